"""Boxes as arrays: overlap, scaling, and the components of a mask.

Boxes are ``(N, 4)`` xyxy. Unless a function says otherwise x1 and y1 are exclusive and a box may
have fractional corners. Sizes are (height, width).
"""

from __future__ import annotations

import cv2
import numpy as np

from wsoltool.errors import EvaluationError, ShapeError

Size = tuple[int, int]


def box_iou(a: np.ndarray, b: np.ndarray, inclusive: bool = False) -> np.ndarray:
    """Intersection over union of every pair of boxes.

    Args:
        a: ``(N, 4)`` xyxy.
        b: ``(M, 4)`` xyxy, same frame.
        inclusive: x1 and y1 belong to the box, so that a side measures x1 - x0 + 1; otherwise they
            are exclusive and a box without area overlaps nothing.

    Returns:
        ``(N, M)`` float64 in [0, 1].

    Raises:
        ShapeError: An argument is not ``(N, 4)``.
        EvaluationError: An inclusive box has x1 < x0, y1 < y0 or a negative corner.

    Example:
        >>> box_iou(np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]]), inclusive=True) * 27
        array([[8.]])
    """
    a, b = _as_boxes(a), _as_boxes(b)
    if inclusive:
        check_inclusive(a)
        check_inclusive(b)
    extra = 1.0 if inclusive else 0.0
    overlap = _shared(a, b, 0, extra) * _shared(a, b, 1, extra)  # (N, M)
    union = _areas(a, extra)[:, None] + _areas(b, extra)[None] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _shared(a: np.ndarray, b: np.ndarray, axis: int, extra: float) -> np.ndarray:
    """``(N, M)``: how much of a side each pair of boxes has in common."""
    low = np.maximum(a[:, None, axis], b[None, :, axis])
    high = np.minimum(a[:, None, axis + 2], b[None, :, axis + 2])
    return np.maximum(high - low + extra, 0.0)


def _areas(boxes: np.ndarray, extra: float) -> np.ndarray:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + extra, 0.0)
    return sides[:, 0] * sides[:, 1]


def _as_boxes(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes of shape {boxes.shape}", expected="(N, 4) xyxy")
    return boxes


def check_inclusive(boxes: np.ndarray) -> None:
    """Raise unless ``(N, 4)`` boxes are pixel boxes whose x1 and y1 are inside."""
    bad = (boxes[:, 2:] < boxes[:, :2]).any(axis=1) | ~(boxes >= 0).all(axis=1)
    if bad.any():
        raise EvaluationError(
            f"box {boxes[bad][0].tolist()} is not an inclusive pixel box",
            expected="0 <= x0 <= x1 and 0 <= y0 <= y1",
            hint="check the annotation's box format (xyxy, not xywh)",
        )


def scale_boxes(boxes: np.ndarray, size: Size, new_size: Size) -> np.ndarray:
    """``(N, 4)`` boxes of an image of ``size``, in the same image resized to ``new_size``.

    The product is divided, not the ratio multiplied: a corner that lands on a whole pixel does so
    exactly, which matters to protocols that truncate.
    """
    factors = np.array([new_size[1], new_size[0]] * 2, dtype=np.float64)
    return _as_boxes(boxes) * factors / np.array([size[1], size[0]] * 2, dtype=np.float64)


def foreground(localization_map: np.ndarray, threshold: float) -> np.ndarray:
    """``(H, W)`` bool: strictly above the threshold, compared in float64.

    A float32 map against a Python float would be compared in float32, where a pixel that is
    slightly above 0.2 can count as equal to it.
    """
    return np.asarray(localization_map, dtype=np.float64) > threshold


def otsu_threshold(localization_map: np.ndarray) -> float:
    """The threshold that splits a map's values into the two classes that differ most.

    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979, on 256 grey levels.

    Args:
        localization_map: ``(H, W)`` float in [0, 1].

    Returns:
        In (0, 1), in the middle between two grey levels; the foreground is above it. A constant map
        has no two classes: the lowest, below which only zeros are.

    Example:
        >>> otsu_threshold(np.array([[0.0, 0.1, 0.9, 1.0]])) * 255  # between 0.1 and 0.9
        26.5
    """
    levels = np.round(np.asarray(localization_map, dtype=np.float64) * 255).astype(np.uint8)
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return (level + 0.5) / 255  # a level below the highest, 255: there are values above it


def label_components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 8-connected components of a mask, largest first.

    A component is bounded by its outer border: its holes give no boxes, and what lies apart from
    it inside a hole is a component of its own. Equal areas are ordered by the box's y0, x0, y1, x1.

    Args:
        mask: ``(H, W)`` bool, neither side empty.

    Returns:
        ``(H, W)`` int32 labels, 0 for the background and 1..N as ordered; ``(N, 4)`` float32 xyxy
        boxes, x1 y1 exclusive; ``(N,)`` int64 pixel counts.

    Raises:
        ShapeError: ``mask`` is not a non-empty ``(H, W)`` array.

    Example:
        >>> labels, boxes, areas = label_components(np.array([[1, 0, 1], [1, 0, 0]], bool))
        >>> boxes.tolist(), areas.tolist()
        ([[0.0, 0.0, 1.0, 2.0], [2.0, 0.0, 3.0, 1.0]], [2, 1])
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_as_binary(mask), connectivity=8)
    starts, sides, areas = stats[1:, :2], stats[1:, 2:4], stats[1:, 4].astype(np.int64)
    boxes = np.concatenate([starts, starts + sides], axis=1)
    order = _size_order(boxes, areas)
    ranks = np.zeros(len(stats), dtype=np.int32)
    ranks[order + 1] = np.arange(1, len(order) + 1)
    return ranks[labels], boxes[order].astype(np.float32), areas[order]


def _as_binary(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or not mask.size:
        raise ShapeError(f"mask of shape {mask.shape}", expected="(H, W), not empty")
    return np.ascontiguousarray(mask, dtype=bool).view(np.uint8)


def _size_order(boxes: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """``(N,)`` indices: largest area first, equal ones by y0, x0, y1, x1."""
    return np.lexsort((boxes[:, 2], boxes[:, 3], boxes[:, 0], boxes[:, 1], -areas))


def whole_box(size: Size) -> np.ndarray:
    """``(1, 4)`` float64: the image itself."""
    return centre_boxes(size, np.ones(1))


def centre_boxes(size: Size, shares: np.ndarray) -> np.ndarray:
    """``(S, 4)`` float64: boxes about the image's centre with ``shares`` ``(S,)`` of each side.

    Example:
        >>> centre_boxes((10, 20), np.array([0.5])).tolist()
        [[5.0, 2.5, 15.0, 7.5]]
    """
    half = np.asarray(shares, dtype=np.float64)[:, None] / 2
    sides = np.array([size[1], size[0]], dtype=np.float64)
    return np.concatenate([(0.5 - half) * sides, (0.5 + half) * sides], axis=1)


def centre_gaussian(size: Size, spread: float = 0.25) -> np.ndarray:
    """A map that knows nothing of the image: a bump at its centre.

    Args:
        size: (height, width).
        spread: Standard deviation as a share of each side.

    Returns:
        ``(H, W)`` float64, scaled to [0, 1]; zeros where it would be constant.
    """
    down, across = (_bell(side, spread) for side in size)
    return _scaled(down[:, None] * across, down.min() * across.min(), down.max() * across.max())


def centre_gaussian_profiles(size: Size, spread: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """The maxima of :func:`centre_gaussian`'s columns ``(W,)`` and rows ``(H,)``, to the bit."""
    down, across = (_bell(side, spread) for side in size)
    low, high = down.min() * across.min(), down.max() * across.max()
    return _scaled(down.max() * across, low, high), _scaled(across.max() * down, low, high)


def _bell(side: int, spread: float) -> np.ndarray:
    return np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * spread**2))


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
