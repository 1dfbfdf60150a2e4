from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.pixels import (
    background_iou,
    false_share,
    found_above,
    found_from,
    object_iou,
    pixel_average_precision,
    score_histograms,
)
from wsoltool.functional.sweep import THRESHOLDS

GOLDEN = Path(__file__).parents[1] / "golden"
COARSE = np.array([0.0, 0.25, 0.5])
SCORES = np.array([[0.1, 0.25, 0.4], [0.5, 0.9, 1.0]])
MASK = np.array([[0, 1, 255], [0, 1, 1]], np.uint8)


def test_pxap_is_bit_equal_to_the_benchmark():
    reference = np.load(GOLDEN / "pxap_96x96.npz")
    np.testing.assert_array_equal(reference["thresholds"], THRESHOLDS)
    pooled = sum(
        score_histograms(values, mask).astype(np.int64)
        for values, mask in zip(reference["maps"], reference["masks"], strict=True)
    )
    found, totals = found_from(pooled)
    assert pixel_average_precision(found, totals[0]) == float(reference["pxap"])


def test_pixels_are_counted_by_score():
    # below 0: none; [0, .25), [.25, .5), [.5, 1), 1; the ignored .4 is nowhere
    counts = score_histograms(SCORES, MASK, COARSE)
    assert counts.tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 1, 0]]
    assert counts.dtype == np.int32
    assert score_histograms(SCORES, MASK, COARSE[1:]).tolist() == [[0, 1, 1, 1], [1, 0, 1, 0]]


def test_figures_of_the_six_pixels_by_hand():
    found, totals = found_from(score_histograms(SCORES, MASK, COARSE))
    assert found.tolist() == [[3, 3, 2, 1], [2, 1, 1, 0]]
    assert totals.tolist() == [3, 2]
    # from 1 down: P 1, 2/3, 3/4, 3/5 and R 1/3, 2/3, 1, 1
    precision = 100 * (1 / 3 + 2 / 3 / 3 + 3 / 4 / 3)
    assert pixel_average_precision(found, 3) == pytest.approx(precision, rel=1e-15)
    swept = found[:, :-1]
    np.testing.assert_allclose(object_iou(swept, totals), [3 / 5, 3 / 4, 2 / 4])
    np.testing.assert_allclose(background_iou(swept, totals), [0, 1 / 2, 1 / 3])
    np.testing.assert_allclose(false_share(swept), [2 / 5, 1 / 4, 1 / 3])


def test_pixels_strictly_above_a_threshold():
    assert found_above(SCORES, MASK, 0.25).tolist() == [2, 1, 1, 1]
    assert found_above(SCORES, MASK, 0.24).tolist() == [3, 1, 0, 1]
    # float32 .2 is above .2: compared in float64, as boxes are
    assert found_above(np.full((1, 1), 0.2, np.float32), MASK[:1, :1], 0.2).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_map_has_the_share_of_the_object(value):
    mask = np.zeros((10, 10), np.uint8)
    mask[:3] = 1
    mask[8:] = 255
    found, totals = found_from(score_histograms(np.full((10, 10), value), mask))
    assert pixel_average_precision(found, totals[0]) == pytest.approx(37.5, rel=1e-15)


def test_nothing_found_and_nothing_there():
    empty = np.zeros((1, 4), np.uint8)
    found, totals = found_from(score_histograms(np.zeros((1, 4)), empty))
    assert pixel_average_precision(found, totals[0]) == 0
    assert object_iou(found, totals).tolist() == [0] * 1001
    assert false_share(found)[1] == 1  # no pixel at .001
    only_object, all_of_it = found_from(score_histograms(np.ones((1, 4)), empty + 1))
    assert background_iou(only_object, all_of_it)[0] == 0
    assert pixel_average_precision(only_object, 4) == 100


def slow_histogram(scores, mask, thresholds):
    """``np.histogram`` of float64 scores, and how many lie below the first edge."""
    edges = np.concatenate([thresholds, [1, 2]])
    rows = []
    for kind in (1, 0):
        own = np.asarray(scores, np.float64)[mask == kind]
        rows.append([(own < thresholds[0]).sum(), *np.histogram(own, edges)[0]])
    return np.array(rows)


@st.composite
def grids(draw):
    """Rising thresholds: even ones, any ones, and some closer than any table of cells resolves."""
    kind = draw(st.sampled_from(["even", "any", "close"]))
    if kind == "even":
        return np.arange(0, 1, 1 / draw(st.integers(1, 1500)))
    values = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30))
    if kind == "close":
        values += [values[0] + step * 1e-7 for step in range(3) if values[0] < 0.999]
    return np.unique(values)


@given(grids(), st.data())
@settings(max_examples=150, deadline=None)
def test_histograms_equal_numpys(thresholds, data):
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    shape = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    # Scores on the thresholds themselves, their neighbours in floating point, and anywhere.
    at = st.sampled_from([*thresholds.tolist(), 0.0, 1.0])
    near = st.builds(np.nextafter, at, st.sampled_from([0.0, 1.0]))
    width = 32 if dtype is np.float32 else 64
    scores = data.draw(
        arrays(np.float64, shape, elements=st.one_of(at, near, st.floats(0, 1, width=width)))
    ).astype(dtype)
    mask = data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255])))
    np.testing.assert_array_equal(
        score_histograms(scores, mask, thresholds), slow_histogram(scores, mask, thresholds)
    )


def test_a_whole_map_equals_numpys():
    random = np.random.default_rng(0)
    mask = random.choice(np.array([0, 1, 255], np.uint8), (224, 224))
    for scores in (random.random((224, 224)), random.integers(0, 1001, (224, 224)) / 1000):
        for values in (scores, scores.astype(np.float32)):
            np.testing.assert_array_equal(
                score_histograms(values, mask), slow_histogram(values, mask, THRESHOLDS)
            )


@given(
    arrays(np.float64, (4, 5), elements=st.floats(0, 1)),
    arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 255])),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6, unique=True),
)
@settings(max_examples=100, deadline=None)
def test_every_figure_equals_one_threshold_at_a_time(scores, mask, thresholds):
    grid = np.sort(np.array(thresholds))
    found, totals = found_from(score_histograms(scores, mask, grid))
    scored = mask != 255
    objects = mask == 1
    area, recall_before = 0.0, 0.0
    points = []
    for column, threshold in enumerate([*grid, 1.0]):
        lit = (scores >= threshold) & scored
        hits, errors = (lit & objects).sum(), (lit & ~objects).sum()
        assert found[:, column].tolist() == [hits, errors]
        points.append((hits, errors))
        if threshold == 1.0:
            continue
        union = (lit | objects) & scored
        rest = (~lit | ~objects) & scored
        iou = (lit & objects).sum() / union.sum() if union.any() else 0
        background = (~lit & ~objects & scored).sum() / rest.sum() if rest.any() else 0
        share = errors / lit.sum() if lit.any() else 1
        assert object_iou(found, totals)[column] == iou
        assert background_iou(found, totals)[column] == background
        assert false_share(found)[column] == share
    for hits, errors in points[::-1]:
        if hits + errors and objects.any():
            recall = hits / objects.sum()
            area += hits / (hits + errors) * (recall - recall_before)
            recall_before = recall
    np.testing.assert_allclose(
        pixel_average_precision(found, totals[0]), 100 * area, rtol=1e-12, atol=1e-12
    )


def test_sums_over_leading_axes():
    histograms = np.stack([score_histograms(SCORES, MASK, COARSE)] * 2)
    found, totals = found_from(histograms)
    one, one_total = found_from(histograms[0])
    np.testing.assert_array_equal(found[1], one)
    np.testing.assert_array_equal(
        object_iou(found, totals), np.stack([object_iou(one, one_total)] * 2)
    )


@pytest.mark.parametrize(
    ("scores", "mask", "error", "says"),
    [
        (SCORES, MASK[:1], ShapeError, "mask of shape (1, 3)"),
        (SCORES * 2, MASK, EvaluationError, "values from 0.2 to 2"),
        (SCORES * np.nan, MASK, EvaluationError, "none NaN"),
        (SCORES, MASK + np.uint8(1), EvaluationError, "values from 0 to 2"),
        (SCORES, MASK.astype(np.int64), EvaluationError, "mask of int64"),
    ],
)
def test_what_cannot_be_counted(scores, mask, error, says):
    for count in (score_histograms, lambda s, m: found_above(s, m, 0.2)):
        with pytest.raises(error) as caught:
            count(scores, mask)
        assert says in str(caught.value)


@pytest.mark.parametrize(
    "thresholds", [[], [0.2, 0.1], [0.1, 0.1], [-0.1, 0.5], [0.5, 1.0], [np.nan]]
)
def test_thresholds_must_rise_from_0_to_below_1(thresholds):
    with pytest.raises(EvaluationError, match="thresholds that do not rise"):
        score_histograms(SCORES, MASK, np.array(thresholds))
