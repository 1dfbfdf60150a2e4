r"""Class scores of images that show any number of classes, against their labels.

Average precision is that of PASCAL VOC's classification task: the area under the interpolated
precision-recall curve of a class over all images (Everingham et al., IJCV 2010, section 4.1).
Images with equal scores are ranked together: the curve has no point between them. So nothing
depends on the order of the images, and equal scores for all give the class's prevalence, which is
what chance gives.

N images, K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wsoltool.errors import ShapeError
from wsoltool.functional.detection import eleven_points, interpolated_area

SHOWN, ABSENT, IGNORED = 1, 0, -1
"""Labels of an image and a class; what is ignored counts neither as the class nor against it."""
BLOCK = 2_000_000
"""Images times resamples handled at once; bounds the memory at some 30 MB."""


def average_precisions(
    scores: np.ndarray, labels: np.ndarray, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Average precision of every class, of the images or of resamples of them.

    With p(r) the highest precision at any recall of at least r, which is defined where the ranking
    may be cut, between different scores:

    .. math::
        AP = \int_0^1 p(r)\, dr, \qquad AP_{11} = \frac{1}{11} \sum_{r \in \{0, 0.1, ..., 1\}} p(r)

    Args:
        scores: ``(N, K)`` float, comparable within a class.
        labels: ``(N, K)`` int of :data:`SHOWN`, :data:`ABSENT` and :data:`IGNORED`.
        counts: ``(R, N)`` int, how often each resample holds an image; None for the images as they
            are, R = 1.

    Returns:
        The area and the mean of 11 points, both ``(R, K)`` float64 in [0, 1], NaN where no image
        shows the class.

    Raises:
        ShapeError: Scores, labels and counts disagree on N or K.

    Example:
        >>> scores = np.array([[0.9], [0.8], [0.7]])
        >>> average_precisions(scores, np.array([[1], [0], [1]]))[0]  # 1/2 * 1 + 1/2 * 2/3
        array([[0.83333333]])
        >>> average_precisions(0 * scores, np.array([[1], [0], [1]]))[0]  # all at once
        array([[0.66666667]])
    """
    _check_shapes(scores, labels, counts)
    if counts is None:
        counts = np.ones((1, len(scores)), dtype=np.uint8)
    of_images = np.ascontiguousarray(counts.T)  # (N, R): an image's row is read at once
    areas = np.full((len(counts), scores.shape[1]), np.nan)
    points = areas.copy()
    for class_id in range(scores.shape[1]):
        order, hits, ends = _ranking(scores[:, class_id], labels[:, class_id])
        if not len(hits):
            continue
        for rows in _blocks(len(counts), len(order)):
            curve = _curve_at_hits(of_images[order, rows], hits, ends)
            none = curve[3] == 0
            curve = (*curve[:3], np.maximum(curve[3], 1))
            areas[rows, class_id] = np.where(none, np.nan, interpolated_area(*curve))
            points[rows, class_id] = np.where(none, np.nan, eleven_points(*curve))
    return areas, points


def _ranking(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images that count, surest first; places of those that show the class, and for each of these
    the last place of the same score."""
    known = np.flatnonzero(labels != IGNORED)
    order = known[np.argsort(-scores[known], kind="stable")]
    ranked = scores[order]
    cuts = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.flatnonzero(labels[order] == SHOWN)
    return order, hits, cuts[np.searchsorted(cuts, hits)]


def _curve_at_hits(
    weights: np.ndarray, hits: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What :func:`interpolated_area` asks, of ``(n, R)`` weights of the ranked images."""
    seen = np.cumsum(weights, axis=0, dtype=np.int32)[ends]  # (H, R)
    found = weights[hits].astype(np.int64)
    last = np.searchsorted(ends, ends, side="right") - 1  # of the hits of the same score
    true = np.cumsum(found, axis=0)[last]
    precision = true / np.maximum(seen, 1)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    return best.T, found.T, true.T, true[-1]


def f1_scores(
    answers: np.ndarray, labels: np.ndarray, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""F1 of yes-or-no answers, of every class and of all pairs of an image and a class.

    .. math:: F_1 = \frac{2\,TP}{2\,TP + FP + FN}

    Args:
        answers: ``(N, K)`` bool.
        labels: As of :func:`average_precisions`.
        counts: Likewise.

    Returns:
        ``(R, K)`` float64 by class, NaN where no image shows it; and ``(R,)`` of all pairs
        (micro), NaN where no image shows anything.

    Raises:
        ShapeError: Answers, labels and counts disagree on N or K.

    Example:
        >>> by_class, micro = f1_scores(np.array([[True, True]]), np.array([[1, 0]]))
        >>> by_class.tolist(), micro.round(3).tolist()
        ([[1.0, nan]], [0.667])
    """
    _check_shapes(answers, labels, counts)
    if counts is None:
        counts = np.ones((1, len(answers)), dtype=np.uint8)
    shown = labels == SHOWN
    marks = (shown & answers, shown, answers & (labels != IGNORED))
    # Whole numbers far below 2 ** 53: exact.
    weights = counts.astype(np.float64)
    hits, positives, answered = (weights @ mark.astype(np.float64) for mark in marks)  # (R, K)
    by_class = _f1(hits, positives, answered)
    pooled = (each.sum(axis=1) for each in (hits, positives, answered))
    return by_class, _f1(*pooled)


def _f1(hits: np.ndarray, positives: np.ndarray, answered: np.ndarray) -> np.ndarray:
    undefined = np.full(hits.shape, np.nan)
    return np.divide(2 * hits, positives + answered, out=undefined, where=positives > 0)


def top1_hits(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether an image's surest class is among those that it shows.

    Args:
        scores: ``(N, K)`` float; of equal ones the first class is taken.
        labels: As of :func:`average_precisions`; an ignored class is left out of the ranking.

    Returns:
        ``(N,)`` float64: 1 or 0; NaN for an image that shows nothing.

    Example:
        >>> top1_hits(np.array([[0.2, 0.9]] * 3), np.array([[1, 1], [1, 0], [0, 0]])).tolist()
        [1.0, 0.0, nan]
    """
    _check_shapes(scores, labels, None)
    surest = np.where(labels == IGNORED, -np.inf, scores).argmax(axis=1)
    shown = labels == SHOWN
    hits = shown[np.arange(len(scores)), surest].astype(np.float64)
    return np.where(shown.any(axis=1), hits, np.nan)


def prevalences(labels: np.ndarray) -> np.ndarray:
    """``(K,)`` float64: of the images that count for a class, the share that shows it.

    Example:
        >>> prevalences(np.array([[1, 0], [0, 0], [-1, 1]])).round(2).tolist()
        [0.5, 0.33]
    """
    known = (labels != IGNORED).sum(axis=0)
    return (labels == SHOWN).sum(axis=0) / np.maximum(known, 1)


def _check_shapes(values: np.ndarray, labels: np.ndarray, counts: np.ndarray | None) -> None:
    fits = values.ndim == 2 and values.shape == labels.shape
    if not fits or not (counts is None or counts.shape[1:] == values.shape[:1]):
        of_counts = "" if counts is None else f" and counts {counts.shape}"
        raise ShapeError(
            f"scores {values.shape}, labels {labels.shape}{of_counts} disagree",
            expected="(N, K), (N, K) and (R, N)",
        )


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(columns, 1))
    return (slice(start, start + step) for start in range(0, rows, step))
