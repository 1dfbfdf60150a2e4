from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.segmentation import (
    class_foreground,
    false_share,
    label_map,
    pixel_counts,
    pooled_iou,
)


def test_the_highest_map_above_the_threshold_wins():
    maps = [np.array([[0.9, 0.1, 0.3, 0.0]]), np.array([[0.8, 0.2, 0.4, 0.0]])]
    assert label_map(maps, [3, 1], 0.2, (1, 4)).tolist() == [[4, 0, 2, 0]]


def test_of_equal_maps_the_class_named_first_wins():
    same = np.full((1, 1), 0.5)
    assert label_map([same, same], [6, 2], 0.2, (1, 1)).item() == 7


def test_without_maps_all_is_background():
    assert label_map([], [], 0.2, (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_threshold_is_compared_in_double_precision():
    # 0.2 as float32 is slightly above 0.2.
    values = np.full((1, 1), 0.2, np.float32)
    assert label_map([values], [0], 0.2, (1, 1)).item() == 1
    assert class_foreground(values, 0.2).item()


def test_sizes_and_numbers_must_fit():
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        label_map([np.zeros((2, 2))], [0], 0.2, (2, 3))
    with pytest.raises(ShapeError, match="1 maps of 2 classes"):
        label_map([np.zeros((2, 2))], [0, 1], 0.2, (2, 2))
    with pytest.raises(ShapeError):
        pixel_counts(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(ShapeError):
        false_share(np.zeros((2, 2), bool), np.zeros((2, 3), int), 0)


def test_a_map_that_is_no_number_is_refused():
    with pytest.raises(EvaluationError, match="NaN"):
        class_foreground(np.array([[np.nan]]), 0.2)


def test_counts_by_hand():
    labels = np.array([[0, 1, 1, 1], [2, 2, 0, 1]])
    truth = np.array([[0, 1, 1, 0], [1, 2, 3, -1]])
    present, counts = pixel_counts(labels, truth)
    assert present.tolist() == [0, 1, 2, 3]
    assert counts.tolist() == [[1, 1, 1], [2, 1, 1], [1, 1, 0], [0, 0, 1]]


def test_an_image_whose_pixels_are_all_unknown_counts_nothing():
    present, counts = pixel_counts(np.ones((2, 2), int), np.full((2, 2), -1))
    assert present.shape == (0,)
    assert counts.shape == (0, 3)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_pooled_iou_is_that_of_all_pixels_at_once(seed):
    rng = np.random.default_rng(seed)
    labels, truth = rng.integers(0, 4, (3, 5, 4)), rng.integers(-1, 4, (3, 5, 4))
    parts = [pixel_counts(a, b) for a, b in zip(labels, truth, strict=True)]
    images = np.repeat(np.arange(3), [len(present) for present, _ in parts])
    found = pooled_iou(
        images,
        np.concatenate([present for present, _ in parts]),
        np.concatenate([counts for _, counts in parts]),
        5,
    ).ratios()
    scored = truth >= 0
    for label in range(5):
        a, b = (labels == label) & scored, (truth == label) & scored
        expected = (a & b).sum() / (a | b).sum() if (a | b).any() else np.nan
        np.testing.assert_allclose(found[label], expected)


def test_the_false_share_by_hand():
    mask = np.array([[True, True, True, False], [True, True, False, False]])
    truth = np.array([[3, 3, 0, 3], [-1, 2, 3, 0]])
    assert false_share(mask, truth, 2) == pytest.approx(2 / 4)
    assert false_share(mask, truth, 1) == pytest.approx(3 / 4)
    assert false_share(mask, truth, 7) == 1


def test_an_empty_foreground_localises_nothing():
    truth = np.array([[1, -1]])
    assert false_share(np.array([[False, False]]), truth, 0) == 1
    assert false_share(np.array([[False, True]]), truth, 0) == 1, "it lies on unknown pixels alone"
