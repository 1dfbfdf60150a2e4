"""The best overlap of a map's boxes with the truth, at every threshold.

Both protocols have the same form: a threshold gives a mask, a mask gives boxes, and the image's
score at that threshold is the largest IoU between any of its boxes and any true box. The masks of
all thresholds are followed at once, see :mod:`wsoltool.functional.region_forest`, so that what a
sweep costs does not depend on how many thresholds there are.
"""

from __future__ import annotations

import numpy as np

from wsoltool.errors import EvaluationError, ShapeError, check_choice
from wsoltool.functional.boxes import box_iou, check_inclusive
from wsoltool.functional.level_sets import (
    brighter_neighbours,
    events_by_step,
    fill_holes,
    grey_keys,
    threshold_ranks,
)
from wsoltool.functional.neighbourhood import bright_tables, dark_tables
from wsoltool.functional.region_forest import ANY, PIXELS, POLYGON, follow

THRESHOLDS = np.arange(0, 1, 0.001)
"""``(1000,)`` float64, the thresholds of wsolevaluation: 0, .001, ... .999."""
THRESHOLDS.setflags(write=False)

KINDS = ("largest", "all")
ADDITIONS = 1 << 22
"""Bounds the memory of the sizes of regions: 16 MB; noise alone needs more than one pass then."""
Sweeps = dict[str, np.ndarray]


def wsolevaluation_sweep(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    contours: str = "largest",
    thresholds: np.ndarray = THRESHOLDS,
) -> np.ndarray:
    """One kind of :func:`wsolevaluation_sweeps`: ``(T,)`` float64, in less time."""
    _check_kind(contours)
    return _wsolevaluation(localization_map, gt_boxes, thresholds, (contours,))[contours]


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
        EvaluationError: Values outside [0, 1], no box, a box that is no inclusive pixel box, or
            thresholds outside [0, 1).
    """
    return _wsolevaluation(localization_map, gt_boxes, thresholds, KINDS)


def tight_sweep(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    instances: str = "largest",
    thresholds: np.ndarray = THRESHOLDS,
) -> np.ndarray:
    """One kind of :func:`tight_sweeps`: ``(T,)`` float64, in less time."""
    _check_kind(instances)
    return _tight(localization_map, gt_boxes, thresholds, (instances,))[instances]


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
        EvaluationError: Values outside [0, 1], no box, or thresholds outside [0, 1).
    """
    return _tight(localization_map, gt_boxes, thresholds, KINDS)


def reaches(best_iou: np.ndarray, iou: float) -> np.ndarray:
    """Where the IoU is at least ``iou``, in the precision of the array.

    So an IoU of exactly 0.7 counts as reached in float32 too. (No two different IoUs of boxes with
    whole-pixel corners and a union below 1.6 million pixels fall on opposite sides of .3, .5 or .7
    and on the same float32.)
    """
    return best_iou >= best_iou.dtype.type(iou)


def grey_levels(values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """wsolevaluation's ``(H, W)`` uint8 image of a map, and the ``(T,)`` grey values to exceed."""
    levels = np.floor(np.asarray(values, dtype=np.float64) * 255).astype(np.uint8)
    return levels, _cuts(int(levels.max()), np.asarray(thresholds, dtype=np.float64))


def _cuts(brightest: int, thresholds: np.ndarray) -> np.ndarray:
    return (thresholds * float(brightest)).astype(np.int64)


def _wsolevaluation(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    thresholds: np.ndarray,
    kinds: tuple[str, ...],
) -> Sweeps:
    values, truth = checked_map(localization_map), _checked_boxes(gt_boxes)
    check_inclusive(truth)
    keys, levels, brightest = grey_keys(values)
    cuts = _cuts(brightest, _checked_thresholds(thresholds))
    if not brightest:
        # The benchmark's answer to an empty foreground, which no other map has.
        nothing = box_iou(np.zeros((1, 4)), truth, inclusive=True).max()
        return dict.fromkeys(kinds, np.full(len(cuts), nothing))
    height, width = values.shape
    contour, hole = ((grow, width - 1.0, height - 1.0, 1.0) for grow in (0.0, 1.0))
    # The holes of a cut are the dark regions at or below it that do not reach the edge.
    cases = brighter_neighbours(keys)
    events = events_by_step(cases, levels, dark_tables().event, brightest, True)
    holes, regions = follow(
        cases, levels, events, tuple(dark_tables()), brightest, ANY, truth, hole, ADDITIONS
    )
    swept, islands = {}, True
    if "largest" in kinds:
        # A polygon encloses its holes, so the largest one is the same with all holes filled.
        filled, filled_levels, islands = fill_holes(
            keys, levels, cases, bright_tables().event, regions
        )
        bright = _bright(filled, filled_levels, brightest, POLYGON, truth, contour)
        swept["largest"] = bright[1, cuts]
    if "all" in kinds:
        if islands:
            bright = _bright(keys, levels, brightest, ANY, truth, contour)
        swept["all"] = np.maximum(bright[0], holes[0, :-1])[cuts]
    return swept


def _tight(
    localization_map: np.ndarray,
    gt_boxes: np.ndarray,
    thresholds: np.ndarray,
    kinds: tuple[str, ...],
) -> Sweeps:
    values, truth = checked_map(localization_map), _checked_boxes(gt_boxes)
    rising, place = np.unique(_checked_thresholds(thresholds), return_inverse=True)
    padded, ranks = threshold_ranks(values, rising)
    rule = (0.0, float(values.shape[1]), float(values.shape[0]), 0.0)
    choice = PIXELS if "largest" in kinds else ANY
    bright = _bright(padded, ranks, len(rising), choice, truth, rule)[:, place]
    return {kind: bright[row] for row, kind in enumerate(("all", "largest")) if kind in kinds}


def _bright(
    padded: np.ndarray,
    levels: np.ndarray,
    top: int,
    choice: int,
    truth: np.ndarray,
    rule: tuple[float, float, float, float],
) -> np.ndarray:
    """``(2, top)`` float64 by cut, which leaves what is above it: any region's, the largest's."""
    tables, cases = tuple(bright_tables()), brighter_neighbours(padded)
    events = events_by_step(cases, levels, tables[0], top, False)
    best, _ = follow(cases, levels, events, tables, top, choice, truth, rule, ADDITIONS)
    return best[:, ::-1][:, 1:]


def checked_map(localization_map: np.ndarray) -> np.ndarray:
    """``(H, W)`` float64 in C order, of a map whose shape and range an evaluation can use."""
    values = np.ascontiguousarray(localization_map, dtype=np.float64)
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


def _checked_boxes(gt_boxes: np.ndarray) -> np.ndarray:
    boxes = np.ascontiguousarray(gt_boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"true boxes of shape {boxes.shape}", expected="(M, 4) xyxy")
    if not len(boxes):
        raise EvaluationError("no true box to compare with", expected="at least one box an image")
    return boxes


def _checked_thresholds(thresholds: np.ndarray) -> np.ndarray:
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.ndim != 1 or not ((thresholds >= 0) & (thresholds < 1)).all():
        raise EvaluationError("thresholds outside [0, 1)", expected="(T,) numbers in [0, 1)")
    return thresholds


def _check_kind(kind: str) -> None:
    check_choice(f"unknown kind of sweep {kind!r}", kind, KINDS, error=EvaluationError)
