from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.boxes import (
    box_iou,
    centre_boxes,
    centre_gaussian,
    centre_gaussian_profiles,
    foreground,
    label_components,
    scale_boxes,
    whole_box,
)


def test_inclusive_iou_of_the_golden_pair():
    assert box_iou([[1, 2, 5, 6]], [[3, 1, 4, 5]], inclusive=True).tolist() == [[8 / 27]]


def test_half_open_iou_of_the_same_pair():
    # 4 x 4 and 1 x 4 pixels, 1 x 3 shared
    assert box_iou([[1, 2, 5, 6]], [[3, 1, 4, 5]]).tolist() == [[3 / 17]]


def test_iou_takes_fractional_corners():
    np.testing.assert_allclose(box_iou([[0, 0, 1.5, 1]], [[0.5, 0, 2, 1]]), [[0.5]])


def test_iou_of_every_pair():
    a = np.array([[0, 0, 2, 2], [5, 5, 6, 6]])
    b = np.array([[0, 0, 2, 2], [0, 0, 1, 2], [5, 5, 7, 6]])
    np.testing.assert_allclose(box_iou(a, b), [[1, 0.5, 0], [0, 0, 0.5]])
    assert box_iou(a, b).dtype == np.float64
    assert box_iou(np.zeros((0, 4)), b).shape == (0, 3)


def test_boxes_without_area_overlap_nothing_half_open_and_something_inclusive():
    assert box_iou([[1, 1, 1, 5]], [[1, 1, 1, 5]]).tolist() == [[0.0]]
    assert box_iou([[3, 3, 1, 1]], [[0, 0, 4, 4]]).tolist() == [[0.0]]
    assert box_iou([[1, 1, 1, 5]], [[1, 1, 1, 5]], inclusive=True).tolist() == [[1.0]]


@pytest.mark.parametrize("box", [[2, 0, 1, 3], [0, 2, 3, 1], [-1, 0, 3, 3], [np.nan, 0, 1, 1]])
def test_inclusive_iou_refuses_what_is_no_pixel_box(box):
    with pytest.raises(EvaluationError, match="inclusive pixel box"):
        box_iou([[0, 0, 1, 1]], [box], inclusive=True)


@pytest.mark.parametrize("boxes", [np.zeros(4), np.zeros((2, 5)), np.zeros((1, 2, 4))])
def test_iou_refuses_other_shapes(boxes):
    with pytest.raises(ShapeError, match="shape"):
        box_iou(boxes, np.zeros((1, 4)))


corner = st.integers(0, 12)
pixel_box = st.tuples(corner, corner, corner, corner).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(pixel_box, pixel_box)
def test_iou_counts_pixels(a, b):
    grid_y, grid_x = np.mgrid[:13, :13]
    inside = [
        (grid_x >= x0) & (grid_x <= x1) & (grid_y >= y0) & (grid_y <= y1)
        for x0, y0, x1, y1 in (a, b)
    ]
    expected = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    assert box_iou([a], [b], inclusive=True)[0, 0] == expected
    exclusive = np.array([a, b]) + np.array([0, 0, 1, 1])
    assert box_iou(exclusive[:1], exclusive[1:])[0, 0] == expected


def test_components_come_largest_first():
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = True
    mask[2:4, 2:5] = True
    mask[4, 5] = True  # touches by a corner
    _, boxes, areas = label_components(mask)
    assert boxes.tolist() == [[2, 2, 6, 5], [0, 0, 1, 1]]
    assert boxes.dtype == np.float32
    assert areas.tolist() == [7, 1]


def test_equal_components_are_ordered_by_their_corner():
    mask = np.zeros((5, 5), bool)
    mask[4, 0] = mask[0, 4] = mask[0, 0] = mask[2, 2] = True
    _, boxes, _ = label_components(mask)
    assert boxes[:, :2].tolist() == [[0, 0], [4, 0], [2, 2], [0, 4]]


def slow_components(mask):
    """(area, box) of every component, by joining neighbours until nothing changes."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(labels, 1)
        shifts = [
            padded[y : y + mask.shape[0], x : x + mask.shape[1]] for y in range(3) for x in range(3)
        ]
        grown = np.where(mask, np.max(shifts, axis=0), 0)
        if (grown == labels).all():
            break
        labels = grown
    for label in np.unique(labels[labels > 0]):
        y, x = np.nonzero(labels == label)
        yield len(y), (x.min(), y.min(), x.max() + 1, y.max() + 1)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 14),
    st.integers(1, 14),
    st.floats(0.1, 0.95),
    st.integers(0, 2**32 - 1),
)
def test_components_equal_the_slow_ones(height, width, density, seed):
    mask = np.random.default_rng(seed).random((height, width)) < density
    _, boxes, areas = label_components(mask)
    found = [(area, tuple(box)) for box, area in zip(boxes, areas, strict=True)]
    assert sorted(found) == sorted(slow_components(mask))
    assert (np.diff(areas) <= 0).all()
    assert areas.sum() == mask.sum()


def test_labels_follow_the_order_and_holes_give_no_box():
    mask = np.zeros((7, 9), bool)
    mask[:, 2:] = True
    mask[1:6, 3:8] = False
    mask[3, 5] = True  # an island in the hole
    labels, boxes, areas = label_components(mask)
    assert boxes.tolist() == [[2, 0, 9, 7], [5, 3, 6, 4]]
    assert areas.tolist() == [24, 1]
    assert [(labels == k).sum() for k in range(3)] == [63 - 25, 24, 1]
    assert labels[3, 5] == 2


def test_an_empty_mask_has_no_component():
    _, boxes, areas = label_components(np.zeros((3, 4), bool))
    assert boxes.shape == (0, 4)
    assert areas.shape == (0,)


def test_a_strided_mask_is_read_as_it_looks():
    mask = np.zeros((4, 8), bool)
    mask[:, 2] = True
    assert label_components(mask[:, ::2])[1].tolist() == [[1, 0, 2, 4]]


@pytest.mark.parametrize("mask", [np.zeros(3, bool), np.zeros((0, 3), bool)])
def test_components_refuse_what_is_no_mask(mask):
    with pytest.raises(ShapeError, match="mask of shape"):
        label_components(mask)


def test_scaling_lands_on_whole_pixels():
    assert scale_boxes([[598, 0, 1196, 5]], (10, 1196), (10, 224)).tolist() == [[112, 0, 224, 5]]
    assert scale_boxes([[1, 2, 4, 3]], (20, 10), (10, 35)).tolist() == [[3.5, 1, 14, 1.5]]


def test_the_foreground_is_strictly_above_in_float64():
    values = np.array([[0.2, 0.5, 0.25]], dtype=np.float32)
    assert foreground(values, 0.2).tolist() == [[True, True, True]]  # float32(0.2) > 0.2
    assert foreground(values, 0.25).tolist() == [[False, True, False]]


def test_boxes_of_the_image():
    assert whole_box((10, 20)).tolist() == [[0, 0, 20, 10]]
    boxes = centre_boxes((10, 20), np.array([0.5, 1.0]))
    assert boxes.tolist() == [[5, 2.5, 15, 7.5], [0, 0, 20, 10]]


def test_the_gaussian_is_a_centred_bump():
    bump = centre_gaussian((5, 9), spread=0.25)
    assert bump.shape == (5, 9)
    assert bump.min() == 0
    assert bump[2, 4] == bump.max() == 1
    np.testing.assert_allclose(bump, bump[::-1, ::-1], atol=1e-15)
    raw = np.exp(-((0.4 / 0.25) ** 2) / 2), np.exp(-((4 / 9 / 0.25) ** 2) / 2)
    floor = raw[0] * raw[1]
    np.testing.assert_allclose(bump[2, 0], (raw[1] - floor) / (1 - floor))
    assert centre_gaussian((1, 1)).tolist() == [[0]]


@pytest.mark.parametrize("size", [(5, 9), (224, 224), (1, 7), (333, 500), (1, 1)])
def test_the_profiles_are_the_bumps_to_the_bit(size):
    bump = centre_gaussian(size, spread=0.3)
    across, down = centre_gaussian_profiles(size, spread=0.3)
    np.testing.assert_array_equal(across, bump.max(axis=0))
    np.testing.assert_array_equal(down, bump.max(axis=1))
