from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.controls import CENTRE, GAUSSIAN, WHOLE
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import FIXED, FULLSUP, IMAGE_ORACLE, LARGEST_PARTS, ORACLE, V2_PARTS
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.sweep import THRESHOLDS


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
