r"""Maps against masks, pixel by pixel: score histograms, and the figures that follow from them.

A histogram holds, for the object's pixels and for the background's, how many have a score in each
bin between two thresholds. All else is sums of histograms, over images and from the top:

- PxAP (Choe et al., CVPR 2020, arXiv:2001.07437), over the thresholds from high to low,
  :math:`\sum_k P_k (R_k - R_{k-1})` with the precision and recall of pooled pixels;
- intersection over union of what is found and what is there, TP / (TP + FP + FN);
- the share of what is found that lies beside the object, FP / (TP + FP).

A pixel is found at a threshold if its score is at least that; ignored pixels are nowhere counted.
Boxes are of what lies strictly above a threshold: for that :func:`found_above` counts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.boxes import foreground
from wsoltool.functional.sweep import THRESHOLDS, checked_map

OBJECT, BACKGROUND, IGNORED = 1, 0, 255
FEWEST_CELLS, MOST_CELLS = 1 << 12, 1 << 16


def score_histograms(
    localization_map: np.ndarray, mask: np.ndarray, thresholds: np.ndarray = THRESHOLDS
) -> np.ndarray:
    """Count the pixels of the object and of the background by score.

    Args:
        localization_map: ``(H, W)`` float in [0, 1].
        mask: ``(H, W)`` uint8: 1 object, 0 background, 255 ignored.
        thresholds: ``(T,)`` float, rising, in [0, 1).

    Returns:
        ``(2, T + 2)`` int32, object and background. Bin 0: scores below the first threshold; bin k:
        from the k-th threshold to below the next one, or below 1 after the last; the last bin:
        scores of 1. Exactly the counts of ``np.histogram`` of the float64 scores.

    Raises:
        ShapeError: Map and mask are not of one size ``(H, W)``.
        EvaluationError: Scores outside [0, 1], other values in the mask, or thresholds that do not
            rise or lie outside [0, 1).

    Example:
        >>> scores, mask = np.array([[0.1, 0.5, 0.7, 1.0]]), np.array([[0, 1, 0, 1]], np.uint8)
        >>> score_histograms(scores, mask, np.array([0.0, 0.5]))
        array([[0, 0, 1, 1],
               [0, 1, 1, 0]], dtype=int32)
    """
    scores, mask = _checked(localization_map, mask)
    edges, first_edges, cells = _lookup(np.ascontiguousarray(thresholds, np.float64).tobytes())
    flat = scores.ravel()
    if cells:
        # Scaling by a power of two is exact: a cell's scores can reach one edge more, and no other.
        bins = first_edges.take((flat * cells).astype(np.intp), mode="clip")
        bins += flat >= edges.take(bins, mode="clip")
    else:
        bins = np.searchsorted(edges[:-1], flat, side="right")
    rows = np.full(256, 2, dtype=np.intp)
    rows[[OBJECT, BACKGROUND]] = 0, 1
    bins += (rows * len(edges)).take(mask.ravel(), mode="clip")
    counts = np.bincount(bins, minlength=3 * len(edges))[: 2 * len(edges)]
    return counts.reshape(2, len(edges)).astype(np.int32)


@lru_cache(maxsize=8)
def _lookup(thresholds: bytes) -> tuple[np.ndarray, np.ndarray, int]:
    """The edges of the bins, and how many edges each of equal cells of [0, 1] has reached.

    Returns:
        ``(T + 2,)`` float64 the thresholds, 1 and infinity; ``(cells + 1,)`` intp, how many of the
        edges are not above the beginning of a cell; and the number of cells, so many that each
        holds at most one edge behind its beginning, or 0 where thresholds lie too close for that.
    """
    edges = np.frombuffer(thresholds, np.float64)
    if not len(edges) or edges[0] < 0 or not edges[-1] < 1 or not (np.diff(edges) > 0).all():
        raise EvaluationError(
            "thresholds that do not rise or lie outside [0, 1)",
            expected="at least one threshold, each above the one before, in [0, 1)",
        )
    edges = np.append(edges, [1.0, np.inf])
    cells = FEWEST_CELLS
    while cells <= MOST_CELLS:
        reached = np.searchsorted(edges, np.arange(cells + 1) / cells, side="right")
        if np.diff(reached).max() <= 1:
            return edges, reached, cells
        cells *= 2
    return edges, np.zeros(0, dtype=np.intp), 0


def found_above(localization_map: np.ndarray, mask: np.ndarray, threshold: float) -> np.ndarray:
    """``(4,)`` int32: TP, FP, FN, TN of the pixels strictly above a threshold, as boxes see them.

    Args:
        localization_map: ``(H, W)`` float in [0, 1].
        mask: ``(H, W)`` uint8: 1 object, 0 background, 255 ignored.
        threshold: Compared in float64.

    Raises:
        ShapeError: Map and mask are not of one size ``(H, W)``.
        EvaluationError: Scores outside [0, 1], or other values in the mask.
    """
    scores, mask = _checked(localization_map, mask)
    found = foreground(scores, threshold)
    objects, background = mask == OBJECT, mask == BACKGROUND
    hits, errors = np.count_nonzero(found & objects), np.count_nonzero(found & background)
    misses = np.count_nonzero(objects) - hits
    return np.array([hits, errors, misses, np.count_nonzero(background) - errors], dtype=np.int32)


def found_from(histograms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulate histograms from the top.

    Args:
        histograms: ``(..., 2, T + 2)`` int, as :func:`score_histograms` counts them, or sums.

    Returns:
        ``(..., 2, T + 1)`` float64, the pixels of the object and of the background with a score of
        at least each threshold, and at last of at least 1; ``(..., 2)`` float64, all its pixels.

    Example:
        >>> found, totals = found_from(np.array([[0, 0, 1, 1], [0, 1, 1, 0]]))
        >>> found.tolist(), totals.tolist()
        ([[2.0, 2.0, 1.0], [2.0, 1.0, 0.0]], [2.0, 2.0])
    """
    # What is not below; whole numbers, so the difference is exact. From the top, against the order
    # in memory, sums would take ten times as long.
    below = histograms.astype(np.float64)
    np.cumsum(below, axis=-1, out=below)
    totals = below[..., -1].copy()
    return totals[..., None] - below[..., :-1], totals


def pixel_average_precision(found: np.ndarray, objects: float) -> float:
    """PxAP in percent, in the benchmark's order of operations: bit-equal to it.

    Args:
        found: ``(2, T + 1)`` of pooled pixels, see :func:`found_from`.
        objects: All pixels of objects.

    Returns:
        0 to 100; the objects' share of the pixels where all scores are equal; 0 without objects.
    """
    hits, errors = found[:, ::-1]
    any_found = hits + errors > 0
    if not objects or not any_found.any():
        return 0.0
    hits, errors = hits[any_found], errors[any_found]
    # Nothing found comes first: a recall of 0.
    steps = np.diff(hits / objects, prepend=0.0)
    return float((hits / (hits + errors) * steps).sum() * 100)


def object_iou(found: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """TP / (TP + FP + FN): ``(..., 2, T)`` and ``(..., 2)`` to ``(..., T)``; 0 where all are 0."""
    return _ratio(found[..., 0, :], found[..., 1, :] + totals[..., 0, None])


def background_iou(found: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """TN / (TN + FN + FP), the same of what is not found; 0 where all are 0."""
    left = totals[..., None] - found
    return _ratio(left[..., 1, :], left[..., 0, :] + totals[..., 1, None])


def false_share(found: np.ndarray) -> np.ndarray:
    """FP / (TP + FP): ``(..., 2, T)`` to ``(..., T)``; 1 where nothing is found.

    An answer without a pixel localises nothing, so that no threshold gets better by being so high
    that maps are empty.
    """
    either = found[..., 0, :] + found[..., 1, :]
    return np.divide(found[..., 1, :], either, out=np.ones_like(either), where=either > 0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _checked(localization_map: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, mask = checked_map(localization_map), np.asarray(mask)
    if mask.shape != scores.shape:
        raise ShapeError(f"mask of shape {mask.shape}", expected=f"that of the map, {scores.shape}")
    known = sum(np.count_nonzero(mask == value) for value in (OBJECT, BACKGROUND, IGNORED))
    if mask.dtype != np.uint8 or known < mask.size:
        raise EvaluationError(
            f"mask of {mask.dtype} with values from {mask.min()} to {mask.max()}",
            expected="uint8: 1 object, 0 background, 255 ignored",
        )
    return scores, mask
