"""Figures of boxes from curves of three images, by hand; intervals resample by resample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.evaluation.estimates import (
    any_box_estimates,
    image_oracle_estimates,
    largest_box_estimates,
    one_box_estimates,
)
from wsoltool.evaluation.results import BoxCurves
from wsoltool.evaluation.rows import LARGEST_PARTS, V2, V2_COMMON, V2_COMMON_PARTS, V2_PARTS
from wsoltool.functional.bootstrap import Bootstrap

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
