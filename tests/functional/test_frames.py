"""Places in the original image and in the input: by hand, there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import ShapeError
from wsoltool.functional.frames import (
    boxes_to_input,
    boxes_to_original,
    points_to_input,
    points_to_original,
)

REGION = (10.0, 20.0, 50.0, 40.0)  # 40 x 20 pixels
SIZE = (60, 80)  # twice as wide, three times as high


def test_points_by_hand():
    points = np.array([[10, 20], [50, 40], [15, 21], [0, 0]])
    seen = [[0, 0], [80, 60], [10, 3], [-20, -60]]
    mirrored = [[80, 0], [0, 60], [70, 3], [100, -60]]
    assert points_to_input(points, REGION, False, SIZE).tolist() == seen
    assert points_to_input(points, REGION, True, SIZE).tolist() == mirrored
    assert points_to_original(np.array(mirrored), REGION, True, SIZE).tolist() == points.tolist()
    assert points_to_input(points.reshape(2, 2, 2), REGION, False, SIZE).shape == (2, 2, 2)


def test_boxes_by_hand():
    boxes = np.array([[15, 21, 20, 30], [10, 20, 50, 40]])
    assert boxes_to_input(boxes, REGION, False, SIZE).tolist() == [[10, 3, 20, 30], [0, 0, 80, 60]]
    mirrored = boxes_to_input(boxes, REGION, True, SIZE)
    assert mirrored.tolist() == [[60, 3, 70, 30], [0, 0, 80, 60]]
    assert boxes_to_original(mirrored, REGION, True, SIZE).tolist() == boxes.tolist()
    assert boxes_to_input(np.zeros((0, 4)), REGION, True, SIZE).shape == (0, 4)


sides = st.floats(0.5, 5000)


@given(
    corner=st.tuples(st.floats(-100, 5000), st.floats(-100, 5000)),
    extent=st.tuples(sides, sides),
    size=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    flipped=st.booleans(),
    box=st.tuples(st.floats(0, 5000), st.floats(0, 5000), sides, sides),
)
def test_there_and_back(corner, extent, size, flipped, box):
    region = (*corner, corner[0] + extent[0], corner[1] + extent[1])
    boxes = np.array([[box[0], box[1], box[0] + box[2], box[1] + box[3]]])
    placed = boxes_to_input(boxes, region, flipped, size)
    assert (placed[:, 2:] > placed[:, :2]).all()
    np.testing.assert_allclose(
        boxes_to_original(placed, region, flipped, size), boxes, rtol=1e-9, atol=1e-6
    )
    whole = boxes_to_input(np.array([region]), region, flipped, size)
    np.testing.assert_allclose(whole, [[0, 0, size[1], size[0]]], atol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: points_to_input(np.zeros((2, 3)), REGION, False, SIZE),
        lambda: points_to_input(np.array(1.0), REGION, False, SIZE),
        lambda: boxes_to_input(np.zeros(4), REGION, False, SIZE),
        lambda: boxes_to_original(np.zeros((1, 2)), REGION, False, SIZE),
        lambda: points_to_original(np.zeros((1, 2)), (5, 5, 5, 9), False, SIZE),
        lambda: points_to_input(np.zeros((1, 2)), REGION, False, (0, 4)),
        lambda: points_to_input(np.zeros((1, 2)), (0, 0, float("nan"), 1), False, SIZE),
    ],
)
def test_what_has_no_place_is_refused(call):
    with pytest.raises(ShapeError):
        call()
