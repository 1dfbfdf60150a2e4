from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.controls import CENTRE, GAUSSIAN, WHOLE
from wsoltool.evaluation.estimates import (
    any_box_estimates,
    image_oracle_estimates,
    largest_box_estimates,
    one_box_estimates,
)
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import (
    FIXED,
    FULLSUP,
    IMAGE_ORACLE,
    LARGEST_PARTS,
    ORACLE,
    V2,
    V2_COMMON,
    V2_COMMON_PARTS,
    V2_PARTS,
)
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.sweep import THRESHOLDS

GRID = np.array([0.1, 0.2, 0.3])
LARGEST = np.array([[0.6, 0.5, 0.1], [0.4, 0.5, 0.1], [0.4, 0.2, 0.7]], np.float32)
EVERY = np.array([[0.6, 0.5, 0.8], [0.4, 0.5, 0.8], [0.3, 0.2, 0.7]], np.float32)
CURVES = BoxCurves(GRID, LARGEST, EVERY, np.array([0.5, 0.1, 0.9], np.float32))
CORRECT = {"Top-1": np.array([True, False, True]), "Top-5": np.array([True, True, False])}
THIRD = 100 / 3
UNIT = st.floats(0, 1, width=32)


def values(estimates) -> dict[str, float]:
    return {name: estimate.value for name, estimate in estimates.items()}


def test_the_fixed_box_needs_no_threshold():
    found = one_box_estimates(CURVES, None, CORRECT)
    assert values(found) == pytest.approx(
        {"GT-known Loc": 2 * THIRD, "Top-1 Loc": 2 * THIRD, "Top-5 Loc": THIRD, "mean IoU": 50}
    )
    assert found["mean IoU"].thresholds == ()
    assert found["mean IoU"].interval is None


def test_the_oracle_takes_the_best_threshold_on_these_images():
    found = one_box_estimates(CURVES, CURVES, CORRECT)  # hits 1, 2, 1
    assert values(found) == pytest.approx(
        {"GT-known Loc": 2 * THIRD, "Top-1 Loc": THIRD, "Top-5 Loc": 2 * THIRD, "mean IoU": 140 / 3}
    )
    assert found["Top-1 Loc"].thresholds == (0.2,)
    assert found["mean IoU"].thresholds == (0.1,)  # its own best


def test_a_threshold_of_other_images():
    other = BoxCurves(GRID, np.array([[0.1, 0.2, 0.9]], np.float32), EVERY[:1], None)
    found = one_box_estimates(CURVES, other, CORRECT)
    assert values(found) == pytest.approx(
        {"GT-known Loc": THIRD, "Top-1 Loc": THIRD, "Top-5 Loc": 0, "mean IoU": 30}
    )
    assert found["mean IoU"].thresholds == (0.3,)


def test_the_image_oracle_takes_every_images_own_best():
    found = image_oracle_estimates(CURVES, CORRECT)  # .6, .5, .7
    assert values(found) == pytest.approx(
        {"GT-known Loc": 100, "Top-1 Loc": 2 * THIRD, "Top-5 Loc": 2 * THIRD, "mean IoU": 60}
    )
    assert found["mean IoU"].thresholds == ()
    less = BoxCurves(GRID, LARGEST - np.float32(0.15), EVERY, None)  # .45, .35, .55
    assert image_oracle_estimates(less, {})["GT-known Loc"].value == pytest.approx(THIRD)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=UNIT),
    st.integers(0, 2**32 - 1),
)
def test_no_threshold_for_all_images_beats_one_for_each(largest, seed):
    random = np.random.default_rng(seed)
    images, columns = largest.shape
    curves = BoxCurves(np.arange(columns) / 10, largest, largest, largest[:, 0])
    correct = {"Top-1": random.random(images) < 0.5}
    draws = Bootstrap(images, 8, seed)
    bound = image_oracle_estimates(curves, correct, draws)
    other = BoxCurves(curves.thresholds, random.random((3, columns)).astype("f4"), largest, None)
    for reference in (None, curves, other):
        for name, own in one_box_estimates(curves, reference, correct, draws).items():
            assert bound[name].value >= own.value - 1e-9
            assert (bound[name].resampled >= own.resampled - 1e-9).all()


def test_the_image_oracles_interval_is_over_images():
    draws = Bootstrap(3, 60)
    best = LARGEST.max(axis=1).astype(np.float64)
    expected = [100 * np.repeat(best, counts).mean() for counts in draws.counts]
    found = image_oracle_estimates(CURVES, CORRECT, draws)["mean IoU"]
    assert found.interval == pytest.approx(np.percentile(expected, [2.5, 97.5]))


def test_of_equal_thresholds_the_lowest_is_taken():
    flat = BoxCurves(GRID, np.full((2, 3), 0.8, np.float32), EVERY[:2], None)
    assert one_box_estimates(CURVES, flat, CORRECT)["mean IoU"].thresholds == (0.1,)


def test_each_iou_has_its_own_threshold():
    found = any_box_estimates(CURVES, CURVES)
    # .3: all three reach it at .1 (float32 .3 counts) and at .3; .5 and .7: all at .3
    assert set(values(found).values()) == {100}
    assert set(found) == {V2, *V2_PARTS, V2_COMMON, *V2_COMMON_PARTS}
    assert found["MaxBoxAccV2"].thresholds == (0.1, 0.3, 0.3)
    assert found["MaxBoxAccV2 (common threshold)"].thresholds == (0.3,)


def test_one_threshold_for_all_ious():
    every = np.array([[0.6, 0.9], [0.6, 0.1]], np.float32)
    curves = BoxCurves(GRID[:2], every, every, None)
    found = values(any_box_estimates(curves, curves))
    # .3 and .5: both at the first; .7: one of two, at the second. Together 4 hits against 3.
    assert found["MaxBoxAccV2"] == pytest.approx(250 / 3)
    assert found["MaxBoxAccV2 (common threshold)"] == pytest.approx(200 / 3)
    assert [found[name] for name in V2_COMMON_PARTS] == [100, 100, 0]


def test_the_common_threshold_of_other_images():
    other = BoxCurves(GRID, LARGEST, np.array([[0.4, 0.6, 0.9]], np.float32), None)
    found = any_box_estimates(CURVES, other)
    assert found["MaxBoxAccV2 (common threshold)"].thresholds == (0.3,)
    other.all[0] = [0.9, 0.6, 0.4]
    found = any_box_estimates(CURVES, other)
    assert found["MaxBoxAccV2@0.5 (common threshold)"].value == pytest.approx(THIRD)
    assert found["MaxBoxAccV2@0.3 (common threshold)"].value == 100


def test_the_one_box_at_every_iou():
    known = one_box_estimates(CURVES, CURVES, CORRECT)["GT-known Loc"]
    found = largest_box_estimates(CURVES, CURVES, known)
    assert values(found) == pytest.approx(
        {
            "MaxBoxAcc": 2 * THIRD,
            "MaxBoxAcc@0.3": 100,
            "MaxBoxAcc@0.5": 2 * THIRD,
            "MaxBoxAcc@0.7": THIRD,
        }
    )
    assert [found[name].thresholds for name in LARGEST_PARTS] == [(0.1,), (0.2,), (0.3,)]


def golden_results(size: str) -> tuple[LocalizationResults, dict[str, np.ndarray]]:
    """The benchmark's own overlaps as results, and the accuracies that it made of them."""
    golden = dict(np.load(Path(__file__).parents[1] / "golden" / f"box_sweep_{size}.npz"))
    largest, every = (
        golden[f"best_iou_{kind}"].astype(np.float32)
        for kind in ("largest_contour", "all_contours")
    )
    count = len(largest)
    box = np.array([[0, 0, 5, 5]], np.float32)
    curves = BoxCurves(golden["thresholds"], largest, every, largest[:, 200])
    results = LocalizationResults(
        image_ids=np.array([str(index) for index in range(count)]),
        labels=np.zeros(count, int),
        top=np.zeros((count, 5), int),
        sizes=np.full((count, 2), 10),
        boxes=[box] * count,
        annotated_boxes=[box] * count,
        part_iou=np.full(count, np.nan, np.float32),
        curves={"wsolevaluation": curves},
    )
    return results, golden


@pytest.mark.parametrize("size", ["96x72", "112x112", "224x224"])
def test_the_table_has_the_benchmarks_figures(size):
    results, golden = golden_results(size)
    summary = summarize(results, resamples=0)
    check_summary(summary)
    found = summary.metrics()
    one_box = [found[name] for name in LARGEST_PARTS]
    np.testing.assert_allclose(one_box, golden["max_box_acc_v1_per_iou"], rtol=1e-12)
    assert found["MaxBoxAcc"] == found["MaxBoxAcc@0.5"]
    parts = [found[name] for name in V2_PARTS]
    np.testing.assert_allclose(parts, golden["max_box_acc_v2"], rtol=1e-12)
    np.testing.assert_allclose(found["MaxBoxAccV2"], golden["max_box_acc_v2"].mean(), rtol=1e-12)


def test_any_box_at_thresholds_of_other_images():
    other = BoxCurves(GRID, LARGEST, np.array([[0.5, 0.3, 0.2]], np.float32), None)
    found = any_box_estimates(CURVES, other)
    assert found["MaxBoxAccV2@0.5"].value == pytest.approx(THIRD)
    # nothing reaches .7 there: the lowest threshold, where nothing does here either
    assert found["MaxBoxAccV2@0.7"].value == 0
    assert found["MaxBoxAccV2"].value == pytest.approx((100 + THIRD) / 3)


def test_the_oracles_interval_chooses_anew_in_every_resample():
    random = np.random.default_rng(0)
    iou = random.random((40, 3)).astype(np.float32)
    curves = BoxCurves(GRID, iou, iou, iou[:, 0])
    correct = {"Top-1": random.random(40) < 0.5, "Top-5": np.ones(40, bool)}
    draws = Bootstrap(40, 200)
    best, joint, mean = [], [], []
    for counts in draws.counts:
        sample = np.repeat(np.arange(40), counts)
        accuracy = (iou[sample] >= 0.5).mean(axis=0)
        best.append(100 * accuracy.max())
        mean.append(100 * iou[sample].mean(axis=0).max())
        chosen = iou[sample, accuracy.argmax()] >= 0.5
        joint.append(100 * (chosen & correct["Top-1"][sample]).mean())
    found = one_box_estimates(curves, curves, correct, draws)
    assert found["GT-known Loc"].interval == pytest.approx(np.percentile(best, [2.5, 97.5]))
    assert found["Top-1 Loc"].interval == pytest.approx(np.percentile(joint, [2.5, 97.5]))
    assert found["mean IoU"].interval == pytest.approx(np.percentile(mean, [2.5, 97.5]))
    part = any_box_estimates(curves, curves, draws)["MaxBoxAccV2@0.5"]
    assert part.interval == pytest.approx(np.percentile(best, [2.5, 97.5]))


def test_a_figure_keeps_its_resamples_and_its_interval_follows():
    draws = Bootstrap(3, 50)
    found = one_box_estimates(CURVES, None, CORRECT, draws)["GT-known Loc"]
    hits = np.array([True, False, True])
    expected = [100 * np.repeat(hits, counts).mean() for counts in draws.counts]
    np.testing.assert_allclose(found.resampled, expected)
    assert found.interval == pytest.approx(np.percentile(expected, [2.5, 97.5]))
    assert found == one_box_estimates(CURVES, None, CORRECT)["GT-known Loc"], "not compared"
    assert "resampled" not in repr(found)


def test_the_mean_of_figures_averages_their_resamples():
    draws = Bootstrap(3, 40)
    found = any_box_estimates(CURVES, CURVES, draws)
    parts = [found[f"MaxBoxAccV2@{iou}"].resampled for iou in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(found["MaxBoxAccV2"].resampled, sum(parts) / 3)
    assert any_box_estimates(CURVES, CURVES)["MaxBoxAccV2"].resampled is None


def random_results(images: int, seed: int, prefix: str = "image") -> LocalizationResults:
    """Plausible curves, classes and boxes; 20 x 10 images, one to three objects each."""
    random = np.random.default_rng(seed)
    boxes = []
    for _ in range(images):
        corners = random.random((random.integers(1, 4), 2, 2)) * [20, 10]
        boxes.append(np.concatenate([corners.min(axis=1), corners.max(axis=1)], 1).astype("f4"))
    largest = random.random((images, len(THRESHOLDS))).astype(np.float32)
    every = np.maximum(largest, random.random(largest.shape).astype(np.float32))
    return LocalizationResults(
        image_ids=np.array([f"{prefix}{i}" for i in range(images)]),
        labels=random.integers(0, 8, images),
        top=np.stack([random.permutation(8)[:5] for _ in range(images)]),
        sizes=np.tile([10, 20], (images, 1)),
        boxes=boxes,
        annotated_boxes=[np.floor(b) for b in boxes],
        part_iou=np.where(random.random(images) < 0.5, np.nan, 0.25).astype(np.float32),
        curves={
            name: BoxCurves(THRESHOLDS, largest, every, largest[:, 200])
            for name in ("wsolevaluation", "tight")
        },
    )


def test_rows_of_every_protocol_source_and_subset():
    summary = summarize(random_results(60, 0), random_results(20, 1, "val"), 0.2, resamples=30)
    check_summary(summary)
    found = {(row.protocol, row.source, row.subset) for row in summary.rows}
    boxes = {
        (protocol, source, subset)
        for protocol in ("wsolevaluation", "tight")
        for source in (FIXED, FULLSUP, ORACLE, IMAGE_ORACLE)
        for subset in ("all", "small")
    }
    assert found == boxes | {(None, None, "all"), (None, None, "small")}
    assert all(row.estimate.interval is not None for row in summary.rows)
    for row in summary.rows:
        low, high = row.estimate.interval
        assert low <= high
    counts = {row.subset: row.images for row in summary.rows if row.name == "Top-1 Cls"}
    assert counts["all"] == 60 > counts["small"] > 0


def test_gaps_are_paired_differences():
    summary = summarize(random_results(60, 0), random_results(20, 1, "val"), 0.2, resamples=40)
    rows = {(r.name, r.protocol, r.source, r.subset): r.estimate for r in summary.rows}
    gaps = summary.gaps()
    assert {gap.source for gap in gaps if gap.name == "GT-known Loc"} == {FIXED, FULLSUP}
    assert {gap.source for gap in gaps if gap.name == "MaxBoxAccV2"} == {FULLSUP}
    for gap in gaps:
        best = rows[gap.name, gap.protocol, ORACLE, gap.subset]
        own = rows[gap.name, gap.protocol, gap.source, gap.subset]
        assert gap.value == best.value - own.value
        paired = np.percentile(best.resampled - own.resampled, [2.5, 97.5])
        assert gap.interval == pytest.approx(tuple(paired))
    own = [gap for gap in gaps if gap.name == "GT-known Loc" and gap.source == FULLSUP]
    assert all(gap.interval[0] >= 0 for gap in own), "no resample's best is below another"
    assert {gap.source for gap in gaps} == {FIXED, FULLSUP}, "the image-oracle is no method's"


def test_every_protocol_source_and_subset_has_its_histogram():
    summary = summarize(random_results(60, 0), random_results(20, 1, "val"), resamples=0)
    found = {(h.protocol, h.source, h.subset): h for h in summary.histograms}
    assert len(found) == len(summary.histograms) == 2 * 3 * 2
    for row in summary.rows:
        if row.name == "GT-known Loc" and row.source != IMAGE_ORACLE:
            histogram = found[row.protocol, row.source, row.subset]
            assert histogram.box_recall[0.5] == pytest.approx(row.estimate.value)
            assert sum(histogram.counts) == row.images


def test_fixed_boxes_of_the_sweep_are_known_as_such():
    results = random_results(30, 0)
    assert summarize(results, fixed_threshold=0.2, resamples=0).swept == ("wsolevaluation", "tight")
    assert summarize(results, fixed_threshold=0.3, resamples=0).swept == ()
    assert summarize(results, resamples=0).swept == ()
    results.curves["tight"].fixed = results.curves["tight"].fixed.copy()
    results.curves["tight"].fixed[0] += 0.01
    assert summarize(results, fixed_threshold=0.2, resamples=0).swept == ("wsolevaluation",)


def test_controls_can_be_left_out():
    summary = summarize(random_results(20, 0), fixed_threshold=0.2, resamples=0, controls=False)
    check_summary(summary)
    assert all(not row.controls for row in summary.rows)


def test_the_seed_changes_the_resamples_alone():
    results = random_results(20, 0)
    first, same, other = (summarize(results, resamples=30, seed=seed) for seed in (0, 0, 1))
    assert first.metrics() == same.metrics() == other.metrics()
    for a, b in zip(first.rows, same.rows, strict=True):
        np.testing.assert_array_equal(a.estimate.resampled, b.estimate.resampled)
    pairs = zip(first.rows, other.rows, strict=True)
    assert any((a.estimate.resampled != b.estimate.resampled).any() for a, b in pairs)


def test_keys_name_the_source_where_it_is_not_the_usual_one():
    summary = summarize(random_results(60, 0), random_results(20, 1, "val"), resamples=0)
    metrics = summary.metrics()
    for key in ("GT-known Loc", "Top-1 Loc", "MaxBoxAcc", "MaxBoxAccV2", "MaxBoxAccV2@0.5"):
        assert key in metrics
    for key in (
        "GT-known Loc (fullsup)",
        "GT-known Loc (test-oracle)",
        "GT-known Loc (test-oracle, small)",
        "Top-1 Loc (image-oracle)",
        "mean IoU (image-oracle, small)",
        "GT-known Loc (small)",
        "MaxBoxAccV2 (fullsup)",
        "MaxBoxAccV2@0.7 (fullsup, small)",
        "mean IoU (part box)",
        "mean IoU (part box) (small)",
    ):
        assert key in metrics
    assert "MaxBoxAccV2 (test-oracle)" not in metrics
    assert metrics["MaxBoxAcc (fullsup)"] == metrics["GT-known Loc (fullsup)"]
    assert "MaxBoxAccV2@0.7 (common threshold) (fullsup, small)" in metrics
    assert metrics["mean IoU (part box)"] == 25


def test_keys_are_those_of_one_row_each():
    summary = summarize(random_results(30, 0), random_results(20, 1, "val"), resamples=0)
    for protocol in summary.protocols:
        keys = [row.key for row in summary.rows if row.protocol == protocol]
        assert len(keys) == len(set(keys))


def test_small_objects_only_where_there_are_others():
    results = random_results(10, 0)
    results.boxes = [np.array([[0, 0, 5, 5]], np.float32)] * 10
    assert {row.subset for row in summarize(results, resamples=0).rows} == {"all"}
    results.boxes[0] = np.array([[0, 0, 20, 5]], np.float32)  # exactly half is not small
    rows = summarize(results, resamples=0).rows
    assert {row.images for row in rows if row.subset == "small" and row.protocol == "tight"} >= {9}


def test_controls_stand_beside_box_metrics_alone():
    summary = summarize(random_results(40, 0), fixed_threshold=0.3, resamples=0)
    for row in summary.rows:
        expected = {WHOLE, CENTRE, GAUSSIAN}
        if row.protocol is None or row.name.startswith("mean IoU (part"):
            expected = set()
        assert set(row.controls) == expected
        if row.source == FIXED and row.controls:
            assert row.estimate.thresholds == (0.3,)


def test_the_image_oracle_of_a_control_chooses_its_share_for_every_image():
    results = random_results(2, 0)
    # Half of each side, and the whole: a share up to .70 fits the one, from .71 the other.
    results.boxes = [np.array([box], np.float32) for box in ((5, 2.5, 15, 7.5), (0, 0, 20, 10))]
    found = {
        (row.name, row.source): row.controls
        for row in summarize(results, resamples=0).rows
        if (row.protocol, row.subset) == ("tight", "all")
    }
    assert found["GT-known Loc", ORACLE][CENTRE] == 50
    assert found["GT-known Loc", IMAGE_ORACLE] == {WHOLE: 50, CENTRE: 100, GAUSSIAN: 100}
    assert found["mean IoU", ORACLE][CENTRE] == pytest.approx(62.5)
    assert found["mean IoU", IMAGE_ORACLE][CENTRE] == pytest.approx(100)
    assert found["mean IoU", IMAGE_ORACLE][WHOLE] == pytest.approx(62.5)


def test_what_the_extractor_chose_is_told_with_the_figures():
    results = random_results(20, 0)
    assert summarize(results, resamples=0).chosen is None
    results.chosen_thresholds = np.linspace(0, 1, 20).astype(np.float32)
    results.chosen_thresholds[0] = np.nan
    for curves in results.curves.values():
        curves.fixed = np.where(np.arange(20) == 0, 0, curves.fixed).astype(np.float32)
    summary = summarize(results, resamples=0)
    check_summary(summary)
    assert (summary.chosen.none, summary.chosen.images) == (1, 20)
    assert summary.swept == ()


def test_without_a_fixed_threshold_the_gaussian_has_no_fixed_figure():
    summary = summarize(random_results(40, 0), resamples=0)
    fixed = [row for row in summary.rows if row.source == FIXED and row.controls]
    assert fixed
    assert all(set(row.controls) == {WHOLE, CENTRE} for row in fixed)
    assert all(row.estimate.thresholds == () for row in fixed)


def test_the_whole_image_beside_gt_known():
    results = random_results(4, 0)
    shares = (0.4, 0.5, 0.9, 0.6)
    results.boxes = [np.array([[0, 0, 20, 10 * share]], np.float32) for share in shares]
    rows = summarize(results, resamples=0).rows
    known = [
        r
        for r in rows
        if (r.name, r.protocol, r.source, r.subset) == ("GT-known Loc", "tight", FIXED, "all")
    ]
    assert known[0].controls[WHOLE] == 75
    v2 = [
        r
        for r in rows
        if (r.name, r.protocol, r.source, r.subset) == ("MaxBoxAccV2", "tight", ORACLE, "all")
    ]
    assert v2[0].controls[WHOLE] == pytest.approx((100 + 75 + 25) / 3)


def test_without_class_scores_their_rows_are_absent_and_the_others_unchanged():
    results, fullsup = random_results(40, 0), random_results(15, 1, "tuned")
    with_scores = summarize(results, fullsup, fixed_threshold=0.2, resamples=10)
    results.top = fullsup.top = None
    without = summarize(results, fullsup, fixed_threshold=0.2, resamples=10)
    check_summary(without)
    assert not any(row.name.startswith("Top-") for row in without.rows)
    kept = [row for row in with_scores.rows if not row.name.startswith("Top-")]
    assert [(r.key, r.protocol, r.estimate, r.controls, r.images) for r in without.rows] == [
        (r.key, r.protocol, r.estimate, r.controls, r.images) for r in kept
    ]


def test_fewer_than_five_classes_give_no_top_5():
    results = random_results(40, 0)
    expected = summarize(results, resamples=0).metrics()
    results.top = results.top[:, :2]
    found = summarize(results, resamples=0).metrics()
    assert found == {key: value for key, value in expected.items() if not key.startswith("Top-5")}
    assert {"Top-1 Cls", "Top-1 Loc", "Top-1 Loc (test-oracle)"} <= set(found)
