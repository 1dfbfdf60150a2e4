"""The best overlap of a map's boxes with the truth, at every threshold.

Both protocols have the same form: a threshold gives a mask, a mask gives boxes, and the image's
score at that threshold is the largest IoU between any of its boxes and any true box. Masks shrink
as the threshold rises, so equal pixel counts mean equal masks, and each is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from wsoltool.errors import EvaluationError, ShapeError, did_you_mean
from wsoltool.functional.boxes import box_iou, component_table, corners, size_order

THRESHOLDS = np.arange(0, 1, 0.001)
"""``(1000,)`` float64, the thresholds of wsolevaluation: 0, .001, ... .999."""
THRESHOLDS.setflags(write=False)

KINDS = ("largest", "all")
Sweeps = dict[str, np.ndarray]


def wsolevaluation_sweep(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    contours: str = "largest",
    thresholds: np.ndarray = THRESHOLDS,
) -> np.ndarray:
    """One kind of :func:`wsolevaluation_sweeps`: ``(T,)`` float64."""
    return _pick(wsolevaluation_sweeps(localization_map, gt_boxes, thresholds), contours)


def tight_sweep(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    instances: str = "largest",
    thresholds: np.ndarray = THRESHOLDS,
) -> np.ndarray:
    """One kind of :func:`tight_sweeps`: ``(T,)`` float64."""
    return _pick(tight_sweeps(localization_map, gt_boxes, thresholds), instances)


def wsolevaluation_sweeps(
    localization_map: np.ndarray, gt_boxes: np.ndarray, thresholds: np.ndarray = THRESHOLDS
) -> Sweeps:
    """Best IoU by the rules of the wsolevaluation benchmark (Choe et al., CVPR 2020).

    The map becomes 256 grey levels, a threshold the grey value ``int(threshold * brightest)``, the
    foreground what is strictly brighter. Every contour gives a box, those of holes too, one pixel
    larger than the pixels it surrounds unless the image ends there. IoU counts x1 and y1 as inside.

    Args:
        localization_map: ``(H, W)`` float in [0, 1].
        gt_boxes: ``(M, 4)`` xyxy, pixels of the map, inclusive; at least one.
        thresholds: ``(T,)`` float in [0, 1).

    Returns:
        ``(T,)`` float64 in [0, 1] for ``largest``, the contour with the largest polygon (the
        benchmark's MaxBoxAcc), and for ``all`` contours (its MaxBoxAccV2).

    Raises:
        ShapeError: The map is not ``(H, W)`` or the boxes not ``(M, 4)``.
        EvaluationError: Values outside [0, 1], no box, or a box that is no inclusive pixel box.
    """
    values = checked_map(localization_map)
    levels, cuts = grey_levels(values, thresholds)
    masks, inverse = _distinct_masks(levels, cuts)
    largest, every, starts = _contour_boxes(levels, masks)
    best = [_best(largest, gt_boxes, True), _best(every, gt_boxes, True)]
    return {
        "largest": best[0][inverse],
        "all": np.maximum.reduceat(best[1], starts)[inverse],
    }


def tight_sweeps(
    localization_map: np.ndarray, gt_boxes: np.ndarray, thresholds: np.ndarray = THRESHOLDS
) -> Sweeps:
    """Best IoU of the tight boxes of 8-connected components; holes give no boxes.

    Args:
        localization_map: ``(H, W)`` float in [0, 1].
        gt_boxes: ``(M, 4)`` xyxy, pixels of the map, x1 y1 exclusive; at least one.
        thresholds: ``(T,)`` float in [0, 1); the foreground is strictly above.

    Returns:
        ``(T,)`` float64 in [0, 1] for the ``largest`` component by pixel count (ties: the upper,
        then the left one) and for ``all``. Without foreground: 0.

    Raises:
        ShapeError: The map is not ``(H, W)`` or the boxes not ``(M, 4)``.
        EvaluationError: Values outside [0, 1], or no box.
    """
    values = checked_map(localization_map)
    masks, inverse = _distinct_masks(values, np.asarray(thresholds, dtype=np.float64))
    largest, every, starts = _tight_boxes(values, masks)
    best = [_best(largest, gt_boxes, False), _best(every, gt_boxes, False)]
    return {
        "largest": best[0][inverse],
        "all": np.maximum.reduceat(best[1], starts)[inverse],
    }


def box_accuracy(best_iou: np.ndarray, iou: float) -> np.ndarray:
    """Share of images at or above ``iou``, in percent: ``(N, T)`` best IoU to ``(T,)``.

    ``iou`` is rounded to the array's precision, so that an IoU of exactly 0.7 counts as reached in
    float32 too. (No two different IoUs of boxes with whole-pixel corners and a union below 1.6
    million pixels fall on opposite sides of .3, .5 or .7 and on the same float32.)
    """
    return 100.0 * reaches(best_iou, iou).mean(axis=0)


def reaches(best_iou: np.ndarray, iou: float) -> np.ndarray:
    """Where the IoU is at least ``iou``, in the precision of the array."""
    return best_iou >= best_iou.dtype.type(iou)


def grey_levels(values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """wsolevaluation's ``(H, W)`` uint8 image of a map, and the ``(T,)`` grey values to exceed."""
    levels = np.floor(np.asarray(values, dtype=np.float64) * 255).astype(np.uint8)
    brightest = np.float64(levels.max())
    return levels, (np.asarray(thresholds, dtype=np.float64) * brightest).astype(np.int64)


def _contour_boxes(
    levels: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes of the largest contour and of all at each of D cuts, and where each cut's begin.

    The kernel of the protocol: ``(D, 4)``, ``(N, 4)`` int64 and ``(D,)`` starts into the latter.
    """
    limit = np.array([levels.shape[1] - 1, levels.shape[0] - 1])
    largest: list[Sequence[int]] = []  # x, y, width, height
    every: list[Sequence[int]] = []
    counts = []
    for mask, offset in _shrinking_masks(levels, cuts):
        found = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=offset)[0]
        boxes = [cv2.boundingRect(contour) for contour in found] or [(0, 0, 0, 0)]
        areas = [cv2.contourArea(contour) for contour in found] if len(found) > 1 else [0.0]
        largest.append(boxes[areas.index(max(areas))])
        every += boxes
        counts.append(len(boxes))
    corner_boxes = [corners(np.array(xywh)) for xywh in (largest, every)]
    for xyxy in corner_boxes:
        xyxy[:, 2:] = np.minimum(xyxy[:, 2:], limit)
    return corner_boxes[0], corner_boxes[1], _starts(counts)


def _tight_boxes(
    values: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Like :func:`_contour_boxes`, for components: a mask without any has one empty box."""
    nothing = np.zeros((1, 5), dtype=np.int32)
    tables, offsets = [], []
    for mask, offset in _shrinking_masks(values, thresholds):
        table = component_table(mask)
        tables.append(table if len(table) else nothing)
        offsets.append(offset)
    counts = [len(table) for table in tables]
    rows = np.concatenate(tables)
    rows[:, :2] += np.repeat(np.array(offsets, dtype=np.int32), counts, axis=0)
    every, starts = corners(rows), _starts(counts)
    most = np.maximum.reduceat(rows[:, 4], starts)
    first = np.flatnonzero(rows[:, 4] == np.repeat(most, counts))
    owners = np.repeat(np.arange(len(counts)), counts)[first]
    first = first[size_order(every[first], rows[first, 4], owners)]
    return every[first[np.unique(owners, return_index=True)[1]]], every, starts


def _shrinking_masks(
    values: np.ndarray, cuts: np.ndarray
) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """The masks ``values > cut`` for rising cuts, each cropped to the foreground before it.

    Yields:
        ``(h, w)`` uint8 mask, and the (x, y) of its upper left pixel.
    """
    x, y = 0, 0
    for cut in cuts:
        mask = (values > cut).view(np.uint8)
        yield mask, (x, y)
        left, top, width, height = cv2.boundingRect(mask)
        if width:
            values = values[top : top + height, left : left + width]
            x, y = x + left, y + top


def _distinct_masks(values: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rising cuts with different masks ``(D,)``, and the one that each cut equals ``(T,)``."""
    # Radix sort for grey levels: ten times as fast as the default, which suits floats.
    flat = values.ravel()
    rising = np.sort(flat, kind="stable") if flat.dtype == np.uint8 else np.sort(flat)
    below = np.searchsorted(rising, cuts, side="right")
    _, first, inverse = np.unique(below, return_index=True, return_inverse=True)
    return cuts[first], inverse


def _best(boxes: np.ndarray, gt_boxes: np.ndarray, inclusive: bool) -> np.ndarray:
    """``(N,)`` float64: each box's best IoU; one true box at a time to bound the memory."""
    gt_boxes = np.asarray(gt_boxes, dtype=np.float64)
    if not len(gt_boxes):
        raise EvaluationError("no true box to compare with", expected="at least one box an image")
    best = np.zeros(len(boxes))
    for index in range(len(gt_boxes)):
        overlap = box_iou(boxes, gt_boxes[index : index + 1], inclusive)[:, 0]
        np.maximum(best, overlap, out=best)
    return best


def _starts(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)[:-1]])


def checked_map(localization_map: np.ndarray) -> np.ndarray:
    values = np.asarray(localization_map, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ShapeError(f"localization map of shape {values.shape}", expected="(H, W), not empty")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise EvaluationError(
            f"localization map with values from {low:g} to {high:g}",
            expected="every value in [0, 1], none NaN",
            hint="normalise the map (the model's fusion does) before it is evaluated",
        )
    return values


def _pick(sweeps: Sweeps, kind: str) -> np.ndarray:
    if kind not in sweeps:
        raise EvaluationError(
            f"unknown kind of sweep {kind!r}",
            expected="one of " + ", ".join(KINDS),
            hint=did_you_mean(kind, KINDS),
        )
    return sweeps[kind]
