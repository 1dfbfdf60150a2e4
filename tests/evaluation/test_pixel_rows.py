"""Figures of pixels: by hand, and against resamples that are really drawn."""

from __future__ import annotations

import numpy as np
import pytest

from wsoltool.evaluation.controls import GAUSSIAN, WHOLE
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.pixel_counts import MODEL, PixelCounts
from wsoltool.evaluation.pixel_curves import PixelCurves
from wsoltool.evaluation.pixel_rows import PIXEL_METRICS, pixel_figures
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import FIXED, FULLSUP, ORACLE
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.bootstrap import Bootstrap, interval
from wsoltool.functional.pixels import found_from, pixel_average_precision, score_histograms

GRID = np.array([0.0, 0.5, 0.8])
#: Object and background pixels in [0, .5), [.5, .8), [.8, 1) and at 1; nothing below 0.
HISTOGRAMS = np.array(
    [
        [[0, 0, 0, 2, 2], [0, 6, 0, 0, 0]],  # class 0: perfect from .5 on
        [[0, 4, 2, 0, 2], [0, 0, 2, 0, 0]],  # class 0
        [[0, 1, 0, 1, 0], [0, 14, 2, 0, 2]],  # class 1
    ],
    np.int32,
)
FIXED_COUNTS = np.array([[2, 0, 2, 6], [0, 0, 8, 2], [1, 3, 1, 15]], np.int32)
LABELS = np.array([0, 0, 1])


def results_of(histograms=HISTOGRAMS, labels=LABELS, fixed=FIXED_COUNTS, boxes=None, gaussian=None):
    """Results with pixels of one protocol; the Gaussian answers as the model by default."""
    count = len(labels)
    largest = np.zeros((count, len(GRID)), np.float32) if boxes is None else boxes
    model = PixelCounts(GRID, histograms, fixed)
    other = model if gaussian is None else PixelCounts(GRID, gaussian, fixed)
    return LocalizationResults(
        image_ids=np.array([f"{i}" for i in range(count)]),
        labels=labels,
        top=np.zeros((count, 5), np.int64),
        sizes=np.full((count, 2), 10),
        boxes=[np.array([[0, 0, 9, 9]], np.float32)] * count,
        annotated_boxes=[np.array([[0, 0, 8, 8]], np.float32)] * count,
        part_iou=np.full(count, np.nan, np.float32),
        curves={"tight": BoxCurves(GRID, largest, largest, largest[:, 0])},
        pixels={"tight": {MODEL: model, "gaussian": other}},
    )


def figures_of(results, references, **options):
    found = pixel_figures("tight", results, references, **options)
    return {(figure.name, figure.source): figure for figure in found}


def value(figures, name, source):
    return figures[name, source].estimate.value


def test_figures_at_the_best_thresholds_by_hand():
    boxes = np.array([[0.1, 0.6, 0.4], [0.9, 0.4, 0.9], [0.1, 0.5, 0.1]], np.float32)
    results = results_of(boxes=boxes)
    figures = figures_of(results, {ORACLE: results})
    assert list(figures) == [("PxAP", None), *((name, ORACLE) for name in PIXEL_METRICS[1:])]
    # object, background found at 0: 14, 26; .5: 9, 6; .8: 7, 2; 1: 4, 2
    assert value(figures, "PIoU", ORACLE) == pytest.approx(100 * 9 / 20)
    assert figures["PIoU", ORACLE].estimate.thresholds == (0.5,)
    # class 0: 12/20, 8/14, 6/12; class 1: 2/20, 1/6, 1/4: means .35, .369, .375
    assert value(figures, "mIoU", ORACLE) == pytest.approx(37.5)
    assert figures["mIoU", ORACLE].estimate.thresholds == (0.8,)
    # background: 0; 20/31; 24/33
    assert value(figures, "mIoU (with background)", ORACLE) == pytest.approx(
        100 / 3 * (6 / 12 + 1 / 4 + 24 / 33)
    )
    # at .8: 0/4, 0/2, 2/3
    assert value(figures, "mLEV", ORACLE) == pytest.approx(200 / 9)
    assert value(figures, "mLEV (box)", ORACLE) == pytest.approx(200 / 3)
    assert figures["mLEV", ORACLE].estimate.thresholds == (0.8,)
    area = 4 / 6 * 4 / 14 + 7 / 9 * 3 / 14 + 9 / 15 * 2 / 14 + 14 / 40 * 5 / 14
    assert value(figures, "PxAP", None) == pytest.approx(100 * area)
    assert figures["PxAP", None].estimate.thresholds == ()


def test_thresholds_of_other_images():
    other = results_of(HISTOGRAMS[:1], LABELS[:1], FIXED_COUNTS[:1])  # best from .5 on
    figures = figures_of(results_of(), {FULLSUP: other})
    assert value(figures, "PIoU", FULLSUP) == pytest.approx(100 * 9 / 20)
    assert value(figures, "mIoU", FULLSUP) == pytest.approx(50 * (8 / 14 + 1 / 6))
    expected = 100 / 3 * (8 / 14 + 1 / 6 + 20 / 31)
    assert value(figures, "mIoU (with background)", FULLSUP) == pytest.approx(expected)
    assert value(figures, "mLEV", FULLSUP) == pytest.approx(100 / 3 * (0 + 2 / 6 + 4 / 5))
    assert {f.estimate.thresholds for f in figures.values()} == {(), (0.5,)}


def test_the_fixed_threshold_counts_what_is_strictly_above():
    boxes = np.array([[0.5, 0, 0], [0.4, 0, 0], [0.6, 0, 0]], np.float32)
    figures = figures_of(results_of(boxes=boxes), {FIXED: None}, fixed_threshold=0.3)
    assert value(figures, "PIoU", FIXED) == pytest.approx(100 * 3 / 17)
    assert value(figures, "mIoU", FIXED) == pytest.approx(50 * (2 / 12 + 1 / 5))
    expected = 100 / 3 * (2 / 12 + 1 / 5 + 23 / 37)
    assert value(figures, "mIoU (with background)", FIXED) == pytest.approx(expected)
    # The second image finds nothing, which counts as 100.
    assert value(figures, "mLEV", FIXED) == pytest.approx(100 / 3 * (0 + 1 + 3 / 4))
    assert value(figures, "mLEV (box)", FIXED) == pytest.approx(100 / 3)
    assert all(f.estimate.thresholds == (0.3,) for (_, s), f in figures.items() if s == FIXED)


def test_sources_without_what_they_take_give_no_figures():
    unmasked = results_of()
    unmasked.pixels = None
    assert figures_of(unmasked, {ORACLE: unmasked}) == {}
    results = results_of(fixed=None)
    assert list(figures_of(results, {FIXED: None, FULLSUP: unmasked})) == [("PxAP", None)]


def test_controls_by_hand():
    gaussian = HISTOGRAMS[:, ::-1]  # finds background as the model finds objects
    results = results_of(gaussian=gaussian)
    figures = figures_of(results, {FIXED: None, ORACLE: results}, fixed_threshold=0.3)
    assert figures["PxAP", None].controls[WHOLE] == pytest.approx(35)
    assert figures["PIoU", ORACLE].controls[WHOLE] == pytest.approx(35)
    for source in (FIXED, ORACLE):
        assert figures["mIoU", source].controls[WHOLE] == pytest.approx(50 * (12 / 20 + 2 / 20))
        assert figures["mLEV", source].controls[WHOLE] == pytest.approx(100 / 3 * 1.7)
        assert figures["mLEV (box)", source].controls == {}
    # Its own best threshold: object, background found at 0: 26, 14; .5: 6, 9; .8: 2, 7
    assert figures["PIoU", ORACLE].controls[GAUSSIAN] == pytest.approx(65)


def drawn_figures(results, weights, chosen=None):
    """Figures of one resample, its images really repeated; ``chosen``: columns, else its best."""
    rows = np.repeat(np.arange(len(weights)), weights)
    histograms = results.pixels["tight"][MODEL].histograms[rows].astype(np.int64)
    labels, boxes = results.labels[rows], results.curves["tight"].largest[rows]
    found, totals = found_from(histograms)
    pooled, pooled_totals = found.sum(axis=0), totals.sum(axis=0)
    figures = {"PxAP": pixel_average_precision(pooled, pooled_totals[0])}

    def iou(hits, errors, objects):
        return 100 * hits / (errors + objects) if errors + objects else 0.0

    curves = {"PIoU": [], "mIoU": [], "mIoU (with background)": []}
    for column in range(len(GRID)):
        parts = []
        for label in np.unique(labels):
            own = labels == label
            hits, errors = found[own, :, column].sum(axis=0)
            parts.append(iou(hits, errors, totals[own, 0].sum()))
        hits, errors = pooled[:, column]
        left = pooled_totals - pooled[:, column]
        curves["PIoU"].append(iou(hits, errors, pooled_totals[0]))
        curves["mIoU"].append(np.mean(parts))
        parts.append(iou(left[1], left[0], pooled_totals[1]))
        curves["mIoU (with background)"].append(np.mean(parts))
    for name, curve in curves.items():
        figures[name] = curve[int(np.argmax(curve)) if chosen is None else chosen[name]]
    column = int(np.argmax(curves["mIoU"])) if chosen is None else chosen["mIoU"]
    either = found[..., column].sum(axis=1)
    shares = [e / s if s else 1 for e, s in zip(found[:, 1, column], either, strict=True)]
    figures["mLEV"] = 100 * np.mean(shares)
    figures["mLEV (box)"] = 100 * np.mean(boxes[:, column] < 0.5)
    return figures


@pytest.fixture
def drawn():
    """Forty images of five classes with random pixels and boxes."""
    random = np.random.default_rng(3)
    histograms = random.integers(0, 50, (40, 2, 5)).astype(np.int32)
    histograms[:, 0, 3:] *= random.integers(0, 4, (40, 1))
    labels = random.integers(0, 5, 40)
    return results_of(histograms, labels, None, random.random((40, 3)).astype(np.float32))


def test_intervals_are_those_of_drawn_resamples(drawn):
    draws = Bootstrap(len(drawn), 30)
    figures = figures_of(drawn, {ORACLE: drawn}, draws=draws)
    resamples = [drawn_figures(drawn, weights) for weights in draws.counts]
    whole = drawn_figures(drawn, np.ones(40, int))
    for (name, _), figure in figures.items():
        assert figure.estimate.value == pytest.approx(whole[name], rel=1e-12)
        expected = interval(np.array([resample[name] for resample in resamples]))
        assert figure.estimate.interval == pytest.approx(expected, rel=1e-12)


def test_a_threshold_of_other_images_stays_in_every_resample(drawn):
    other = results_of(HISTOGRAMS[:1], LABELS[:1], None)
    draws = Bootstrap(len(drawn), 30)
    figures = figures_of(drawn, {FULLSUP: other}, draws=draws)
    chosen = dict.fromkeys(("PIoU", "mIoU", "mIoU (with background)"), 1)
    resamples = [drawn_figures(drawn, weights, chosen) for weights in draws.counts]
    for (name, _), figure in figures.items():
        expected = interval(np.array([resample[name] for resample in resamples]))
        assert figure.estimate.interval == pytest.approx(expected, rel=1e-12)


def test_many_images_of_a_class_are_pooled_in_parts(drawn, monkeypatch):
    counts, draws = drawn.pixels["tight"][MODEL], Bootstrap(40, 10)
    whole = PixelCurves(counts, drawn.labels, draws)
    monkeypatch.setattr("wsoltool.evaluation.pixel_curves.IMAGES", 3)
    monkeypatch.setattr("wsoltool.evaluation.pixel_curves.BLOCK", 4)
    parts = PixelCurves(counts, drawn.labels, draws)
    np.testing.assert_array_equal(parts.resampled.found, whole.resampled.found)
    for name, curve in whole.resampled.curves.items():
        np.testing.assert_array_equal(parts.resampled.curves[name], curve)


def test_classes_that_a_resample_lacks_do_not_count():
    curves = PixelCurves(PixelCounts(GRID, HISTOGRAMS, None), LABELS, Bootstrap(3, 200))
    lacking = np.flatnonzero(curves.draws.counts[:, 2] == 0)
    assert len(lacking)
    for row in lacking[:5]:
        np.testing.assert_allclose(
            curves.resampled.curves["mIoU"][row], curves.resampled.curves["PIoU"][row]
        )


def test_a_summary_with_masks(four, mask_boxes):
    metric = LocalizationMetric(["tight", "wsolevaluation"], fixed_threshold=0.2, resamples=20)
    metric.process(None, mask_boxes(four))
    metrics = metric.evaluate(4)
    # lit and object: 16 of 16, 8 of 16, 80 of 80, 0 of 16 and 4 beside it; all of class 0
    assert metrics["mIoU"] == metrics["PIoU (fixed)"] == pytest.approx(100 * 104 / 132)
    assert metrics["mIoU (with background)"] == pytest.approx(50 * (104 / 132 + 268 / 296))
    assert metrics["mLEV"] == 25
    assert metrics["mLEV (box)"] == 100 - metrics["GT-known Loc"] == 25
    # at 0 the first pixels too, and all: 104 hits of 108 at 1, 128 of 400 below .1
    first = 104 / 108 * 104 / 128
    # the pixels at .1 are background in a, b and d, and of the object in c, where it is lit
    assert metrics["PxAP"] == pytest.approx(100 * (first + 128 / 400 * 24 / 128))
    assert metrics["PIoU"] == metrics["PIoU (fixed)"]
    assert metrics["PIoU (small)"] == pytest.approx(100 * 24 / 52)
    rows = [row for row in metric.summary.rows if row.name in PIXEL_METRICS]
    # PxAP once and the others from two sources, for all and small, of two protocols
    assert len(rows) == 4 * 11
    assert all(row.estimate.interval is not None for row in rows)
    assert {row.images for row in rows if row.subset == "small"} == {3}
    assert "mLEV (box) (test-oracle)" in metrics


def test_full_thresholds_come_from_the_results_of_train_fullsup(four, predict, mask_boxes):
    metric = LocalizationMetric(["tight"], fixed_threshold=0.2, resamples=0)
    tuned = predict("tune")
    tuned.values[:, :] = np.maximum(tuned.values, 0.6)
    metric.process(None, mask_boxes([tuned]))
    metric.evaluate(1)
    fullsup = metric.results_by_image
    metric.process(None, mask_boxes(four))
    metric.evaluate(4)
    summary = summarize(metric.results_by_image, fullsup, 0.2, 0)
    rows = [row for row in summary.rows if row.source == FULLSUP and row.name == "mIoU"]
    # .6 in float32 is above .6: the first threshold without the background is .601
    assert [row.estimate.thresholds for row in rows] == [(0.601,)] * 2
    fullsup.pixels = None
    summary = summarize(metric.results_by_image, fullsup, 0.2, 0)
    assert not [row for row in summary.rows if row.source == FULLSUP and row.name[1:] == "IoU"]


def test_pxap_of_a_map_is_that_of_its_histogram(predict, mask_boxes):
    random = np.random.default_rng(2)
    prediction = mask_boxes([predict(size=(30, 20), box=(3, 4, 15, 25))])[0]
    prediction.values = random.random((30, 20)).astype(np.float32)
    metric = LocalizationMetric(["tight"], resamples=0)
    metric.process(None, [prediction])
    found, totals = found_from(score_histograms(prediction.values, prediction.sample.truth.mask))
    assert metric.evaluate(1)["PxAP"] == pixel_average_precision(found, totals[0])
