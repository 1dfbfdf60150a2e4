"""Places in the original image and in the network's input, each in terms of the other.

The input shows a rectangle of the original image, its *region*, at a size of its own and possibly
mirrored. Crops, resizings and flips of any number and order come to these three. Coordinates are
pixels counted from the outer edge of the first one, whose centre lies at 0.5. Sizes are
(height, width).
"""

from __future__ import annotations

import numpy as np

from wsoltool.errors import ShapeError

Size = tuple[int, int]
Region = tuple[float, float, float, float]


def points_to_input(points: np.ndarray, region: Region, flipped: bool, size: Size) -> np.ndarray:
    """Where points of the original image lie in the input.

    Args:
        points: ``(..., 2)`` x, y, pixels of the original image.
        region: xyxy of the original image that the input shows.
        flipped: The input shows it mirrored left to right.
        size: Of the input.

    Returns:
        ``(..., 2)`` float64 x, y, pixels of the input; outside of it for points outside the region.

    Raises:
        ShapeError: ``points`` is not ``(..., 2)``, or ``region`` or ``size`` has no area.

    Example:
        >>> points_to_input(np.array([60.0, 10.0]), (50, 0, 100, 50), True, (100, 100)).tolist()
        [80.0, 20.0]
    """
    origin, scale = _frame(region, size)
    placed = (_pairs(points) - origin) * scale
    return _mirrored(placed, size) if flipped else placed


def points_to_original(points: np.ndarray, region: Region, flipped: bool, size: Size) -> np.ndarray:
    """Where points of the input lie in the original image: undoes :func:`points_to_input`.

    Example:
        >>> points_to_original(np.array([80.0, 20.0]), (50, 0, 100, 50), True, (100, 100)).tolist()
        [60.0, 10.0]
    """
    origin, scale = _frame(region, size)
    points = _pairs(points)
    return (_mirrored(points, size) if flipped else points) / scale + origin


def boxes_to_input(boxes: np.ndarray, region: Region, flipped: bool, size: Size) -> np.ndarray:
    """``(N, 4)`` xyxy boxes of the original image, x1 y1 exclusive, in the input's pixels.

    Boxes are not cut at the input's border; see :func:`points_to_input`.

    Example:
        >>> boxes = np.array([[60.0, 10.0, 70.0, 30.0]])
        >>> boxes_to_input(boxes, (50, 0, 100, 50), True, (100, 100)).tolist()
        [[60.0, 20.0, 80.0, 60.0]]
    """
    return _ordered(points_to_input(_corners(boxes), region, flipped, size), flipped)


def boxes_to_original(boxes: np.ndarray, region: Region, flipped: bool, size: Size) -> np.ndarray:
    """``(N, 4)`` xyxy boxes of the input in the original's pixels: undoes :func:`boxes_to_input`.

    Example:
        >>> boxes = np.array([[60.0, 20.0, 80.0, 60.0]])
        >>> boxes_to_original(boxes, (50, 0, 100, 50), True, (100, 100)).tolist()
        [[60.0, 10.0, 70.0, 30.0]]
    """
    return _ordered(points_to_original(_corners(boxes), region, flipped, size), flipped)


def _frame(region: Region, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """x0 y0 of the region, and input pixels for each of the original's, across and down."""
    x0, y0, x1, y1 = map(float, region)
    if not (x1 > x0 and y1 > y0 and min(size) > 0):
        raise ShapeError(
            f"an input of {size[0]} x {size[1]} pixels (height x width) cannot show {region}",
            expected="a region x0 y0 x1 y1 and a size with an area",
        )
    return np.array([x0, y0]), np.array([size[1] / (x1 - x0), size[0] / (y1 - y0)])


def _mirrored(points: np.ndarray, size: Size) -> np.ndarray:
    return np.stack([size[1] - points[..., 0], points[..., 1]], axis=-1)


def _pairs(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim < 1 or points.shape[-1] != 2:
        raise ShapeError(f"points of shape {points.shape}", expected="(..., 2) x, y")
    return points


def _corners(boxes: np.ndarray) -> np.ndarray:
    """``(N, 2, 2)``: x0 y0 and x1 y1 of every box."""
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes of shape {boxes.shape}", expected="(N, 4) xyxy")
    return boxes.reshape(-1, 2, 2)


def _ordered(corners: np.ndarray, flipped: bool) -> np.ndarray:
    """``(N, 4)``: mirroring has made left corners right ones."""
    boxes = corners.reshape(-1, 4)
    return boxes[:, [2, 1, 0, 3]] if flipped else boxes
