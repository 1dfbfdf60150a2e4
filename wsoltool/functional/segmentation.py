"""Label maps of several classes, and their pixels against the true ones.

A label map is ``(H, W)`` int: class index + 1, 0 for the background. In a true one, -1 marks pixels
that are not scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.boxes import Size, foreground
from wsoltool.functional.ratios import Fractions


def label_map(
    maps: Sequence[np.ndarray], class_ids: Sequence[int], threshold: float, size: Size
) -> np.ndarray:
    """Each pixel's class: the one with the highest map of those above the threshold.

    Args:
        maps: n maps ``(H, W)`` float in [0, 1]; n may be 0.
        class_ids: Their classes. Of equal maps the one named first wins.
        threshold: Strictly exceeded by foreground, compared in float64.
        size: (H, W), for images without a map.

    Returns:
        ``(H, W)`` int64.

    Raises:
        ShapeError: A map is not of that size, or maps and classes differ in number.

    Example:
        >>> label_map([np.array([[0.9, 0.1]]), np.array([[0.5, 0.3]])], [4, 7], 0.2, (1, 2))
        array([[5, 8]])
    """
    if len(maps) != len(class_ids):
        raise ShapeError(f"{len(maps)} maps of {len(class_ids)} classes")
    labels = np.zeros(size, dtype=np.int64)
    highest = np.full(size, threshold, dtype=np.float64)
    for values, class_id in zip(maps, class_ids, strict=True):
        _check_same(values, labels)
        higher = values > highest
        np.copyto(labels, class_id + 1, where=higher)
        np.copyto(highest, values, where=higher)
    return labels


def pixel_counts(labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True positive, false positive and false negative pixels of what an image shows or predicts.

    Args:
        labels: ``(H, W)`` int label map.
        truth: ``(H, W)`` int label map; pixels at -1 are left out.

    Returns:
        ``(C,)`` int64 labels that occur in either, ascending, 0 the background; ``(C, 3)`` int64
        TP, FP, FN of each.

    Raises:
        ShapeError: The two differ in size.

    Example:
        >>> pixel_counts(np.array([[0, 1, 1, 2]]), np.array([[0, 0, 1, -1]]))
        (array([0, 1]), array([[1, 0, 1], [1, 1, 0]]))
    """
    _check_same(labels, truth)
    scored = truth >= 0
    labels, truth = labels[scored], truth[scored]
    length = 1 + max(labels.max(initial=0), truth.max(initial=0))
    claimed, actual, both = (
        np.bincount(values, minlength=length) for values in (labels, truth, labels[labels == truth])
    )
    present = np.flatnonzero(claimed + actual)
    counts = np.stack([both, claimed - both, actual - both], axis=1)
    return present, counts[present]


def pooled_iou(images: np.ndarray, labels: np.ndarray, counts: np.ndarray, count: int) -> Fractions:
    r"""Intersection over union of every class, of pixels pooled over all images.

    .. math:: IoU_c = \frac{\sum_i TP_{ic}}{\sum_i TP_{ic} + FP_{ic} + FN_{ic}}

    Args:
        images: ``(P,)`` int64, the image of each row of counts.
        labels: ``(P,)`` int64, its label.
        counts: ``(P, 3)`` int64 of :func:`pixel_counts`.
        count: Number of labels, the background included.

    Returns:
        Its ``ratios()`` are ``(count,)``, NaN for labels that occur nowhere.
    """
    return Fractions(images, labels, counts[:, 0], counts.sum(axis=1), count)


def false_share(mask: np.ndarray, truth: np.ndarray, class_id: int) -> float:
    """The share of a class's foreground that lies on something else, FP / (TP + FP).

    1 where there is no foreground: an empty answer localises nothing.

    Args:
        mask: ``(H, W)`` bool, the class's foreground.
        truth: ``(H, W)`` int label map; pixels at -1 are left out.
        class_id: The class, whose label in ``truth`` is one higher.

    Raises:
        ShapeError: The two differ in size.
    """
    _check_same(mask, truth)
    claimed = mask & (truth >= 0)
    total = np.count_nonzero(claimed)
    if not total:
        return 1.0
    return 1.0 - np.count_nonzero(claimed & (truth == class_id + 1)) / total


def class_foreground(localization_map: np.ndarray, threshold: float) -> np.ndarray:
    """``(H, W)`` bool: where a map counts as its class.

    Raises:
        EvaluationError: The map has values that are no numbers.
    """
    if np.isnan(localization_map).any():
        raise EvaluationError("localization map with NaN", expected="values in [0, 1]")
    return foreground(localization_map, threshold)


def _check_same(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ShapeError(f"shapes {first.shape} and {second.shape}", expected="the same (H, W)")
