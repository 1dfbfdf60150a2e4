"""Detections of several objects and classes against true boxes, as PASCAL VOC scores them.

Everingham et al., IJCV 2010, section 4.2, and the rules of the challenge's development kit:

- Detections of a class are taken surest first over all images. Each claims the true box of its
  class and image that it overlaps most; at IoU >= d it is a hit if nothing surer has claimed that
  box, otherwise a miss, as is one with too little overlap. It does not turn to its second choice.
- A ``difficult`` box is neither demanded nor punished: it does not count as an object, and
  detections that claim it count as nothing.
- Equal scores keep the order in which they are given: images as in the data set, then as the
  detector lists them.

CorLoc is that of Deselaers et al., IJCV 2012. N images, D detections, K classes, T overlaps,
R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsoltool.errors import EvaluationError, ShapeError, check_choice
from wsoltool.functional.boxes import box_iou
from wsoltool.functional.ratios import Fractions

MISS, HIT, IGNORED = 0, 1, -1
FORMS = ("area", "11point")
BLOCK = 2_000_000
"""Detections times resamples handled at once; bounds the memory at some 30 MB."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Matched detections of all images and classes.

    Attributes:
        images: ``(D,)`` int64, the index of each one's image.
        classes: ``(D,)`` int64.
        scores: ``(D,)`` float64, comparable within a class.
        outcomes: ``(D, T)`` int8 of :func:`match_detections`, at each of T overlaps.
    """

    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray

    def ranked(self) -> Detections:
        """Class by class, surest first; equal scores keep their order."""
        order = np.lexsort((-self.scores, self.classes))
        columns = self.images, self.classes, self.scores, self.outcomes
        return Detections(*(column[order] for column in columns))

    def shuffled(self, seed: int = 0) -> Detections:
        """The same outcomes under scores that know nothing."""
        return replace(self, scores=np.random.default_rng(seed).random(len(self.scores)))


def match_detections(
    boxes: np.ndarray,
    classes: np.ndarray,
    true_boxes: np.ndarray,
    true_classes: np.ndarray,
    difficult: np.ndarray | None = None,
    ious: Sequence[float] = (0.5,),
    inclusive: bool = False,
) -> np.ndarray:
    """What becomes of each detection in one image.

    Args:
        boxes: ``(D, 4)`` xyxy; those of one class surest first.
        classes: ``(D,)`` int.
        true_boxes: ``(M, 4)`` xyxy, same frame.
        true_classes: ``(M,)`` int.
        difficult: ``(M,)`` bool; none if None.
        ious: T overlaps in (0, 1] that make a hit.
        inclusive: As in :func:`~wsoltool.functional.boxes.box_iou`: VOC's +1.

    Returns:
        ``(D, T)`` int8: ``HIT``, ``MISS`` or ``IGNORED``.

    Raises:
        ShapeError: Boxes, classes and ``difficult`` differ in number.

    Example:
        >>> boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [8, 8, 9, 9]])
        >>> match_detections(boxes, np.zeros(3), boxes[:1], np.zeros(1), ious=(0.5,)).T.tolist()
        [[1, 0, 0]]
    """
    count = len(true_boxes)
    difficult = np.zeros(count, dtype=bool) if difficult is None else np.asarray(difficult, bool)
    if len(boxes) != len(classes) or not count == len(true_classes) == len(difficult):
        raise ShapeError(
            f"{len(boxes)} boxes with {len(classes)} classes against {count} true boxes with "
            f"{len(true_classes)} classes and {len(difficult)} marks of difficulty",
            expected="one class a box, and one mark a true box",
        )
    outcomes = np.full((len(boxes), len(ious)), MISS, dtype=np.int8)
    if not outcomes.size or not count:
        return outcomes
    same = np.asarray(classes)[:, None] == np.asarray(true_classes)
    overlaps = np.where(same, box_iou(boxes, true_boxes, inclusive), -1.0)
    claimed, best = overlaps.argmax(axis=1), overlaps.max(axis=1)
    for column, iou in enumerate(ious):
        reached = np.flatnonzero(best >= iou)
        spared = difficult[claimed[reached]]
        outcomes[reached[spared], column] = IGNORED
        counted = reached[~spared]
        _, first = np.unique(claimed[counted], return_index=True)
        outcomes[counted[first], column] = HIT
    return outcomes


def precision_recall(outcomes: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each detection that counts.

    Args:
        outcomes: ``(D,)`` int8, surest first.
        positives: True boxes of the class that are not difficult, at least one.

    Returns:
        Two arrays ``(d,)`` float64 in [0, 1], d the detections that are not ``IGNORED``.

    Raises:
        EvaluationError: There are fewer true boxes than hits, or none.

    Example:
        >>> precision, recall = precision_recall(np.array([HIT, IGNORED, MISS, HIT]), 4)
        >>> precision.round(2).tolist(), recall.tolist()
        ([1.0, 0.5, 0.67], [0.25, 0.25, 0.5])
    """
    outcomes = np.asarray(outcomes)
    hits = np.cumsum(outcomes[outcomes != IGNORED] == HIT)
    if positives < max(1, hits[-1] if len(hits) else 0):
        raise EvaluationError(
            f"{hits[-1] if len(hits) else 0} hits of {positives} true boxes",
            expected="at least one true box, and one for every hit",
        )
    return hits / np.arange(1, len(hits) + 1), hits / positives


def average_precision(outcomes: np.ndarray, positives: int, form: str = "area") -> float:
    r"""Average precision of one class, of the ranking's outcomes.

    With p(r) the highest precision at any recall of at least r:

    .. math::
        AP_{area} = \int_0^1 p(r)\, dr, \qquad
        AP_{11} = \frac{1}{11} \sum_{r \in \{0, 0.1, ..., 1\}} p(r)

    ``area`` is VOC's since 2010, ``11point`` the one until 2009, VOC2007 among them. Whether a
    recall reaches r is decided in whole numbers.

    Args:
        outcomes: ``(D,)`` int8, surest first.
        positives: True boxes of the class that are not difficult, at least one.
        form: ``area`` or ``11point``.

    Returns:
        In [0, 1].

    Raises:
        EvaluationError: As :func:`precision_recall`.
        ConfigError: Unknown form.

    Example:
        >>> average_precision(np.array([HIT, MISS, HIT]), 2)  # 1/2 * 1 + 1/2 * 2/3
        0.8333333333333333
    """
    outcomes = np.asarray(outcomes)
    precision_recall(outcomes, positives)  # refuses impossible counts
    weights = np.ones((1, len(outcomes)), dtype=np.int64)
    return float(weighted_precisions(outcomes[:, None], weights, np.array([positives]), form)[0, 0])


def weighted_precisions(
    outcomes: np.ndarray, weights: np.ndarray, positives: np.ndarray, form: str = "area"
) -> np.ndarray:
    """Average precision of one class in resamples of the images.

    Between two hits precision only falls, so that the curve is needed at hits alone.

    Args:
        outcomes: ``(D, T)`` int8, surest first.
        weights: ``(R, D)`` int, how often each resample holds a detection's image.
        positives: ``(R,)`` int, the true boxes of each resample.
        form: As in :func:`average_precision`.

    Returns:
        ``(R, T)`` float64 in [0, 1], NaN where a resample has no true box.
    """
    check_form(form)
    summarise = interpolated_area if form == "area" else eleven_points
    seen = np.cumsum(weights, axis=1, dtype=np.int32)  # (R, D)
    result = np.zeros((len(weights), outcomes.shape[1]))
    for column, marks in enumerate(outcomes.T):
        hits, ignored = np.flatnonzero(marks == HIT), np.flatnonzero(marks == IGNORED)
        if len(hits):
            found = weights[:, hits].astype(np.int64)  # (R, H)
            counted = seen[:, hits] - _weight_before(weights, ignored, hits)
            true = np.cumsum(found, axis=1)
            precision = true / np.maximum(counted, 1)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            result[:, column] = summarise(best, found, true, np.maximum(positives, 1))
    result[np.asarray(positives) == 0] = np.nan
    return result


def _weight_before(weights: np.ndarray, ignored: np.ndarray, hits: np.ndarray) -> np.ndarray | int:
    """``(R, H)``: the weight of ignored detections that are surer than each hit."""
    if not len(ignored):
        return 0
    total = np.cumsum(weights[:, ignored], axis=1, dtype=np.int64)
    total = np.concatenate([np.zeros((len(total), 1), np.int64), total], axis=1)
    return total[:, np.searchsorted(ignored, hits)]


def interpolated_area(
    best: np.ndarray, found: np.ndarray, true: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """The area under the interpolated curve, from its values at H hits, surest first.

    Args:
        best: ``(R, H)`` float, the highest precision at a hit or behind it.
        found: ``(R, H)`` int, the weight of each hit.
        true: ``(R, H)`` int, of all hits up to it.
        positives: ``(R,)`` int, at least 1.

    Returns:
        ``(R,)`` float64 in [0, 1].
    """
    return (best * found).sum(axis=1) / positives


def eleven_points(
    best: np.ndarray, found: np.ndarray, true: np.ndarray, positives: np.ndarray
) -> np.ndarray:
    """The mean of the interpolated curve at recall 0, 0.1, ..., 1; as :func:`interpolated_area`."""
    padded = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    rows, total = np.arange(len(best)), np.zeros(len(best))
    for tenths in range(11):
        # The first hit whose recall reaches it; one past the last where none does.
        first = (10 * true < tenths * positives[:, None]).sum(axis=1)
        total += padded[rows, first]
    return total / 11


def class_precisions(
    detections: Detections,
    true_images: np.ndarray,
    true_classes: np.ndarray,
    num_classes: int,
    form: str = "area",
    counts: np.ndarray | None = None,
) -> np.ndarray:
    """Average precision of every class in every resample.

    Matching happens within images, so that a resample re-weights outcomes and no more.

    Args:
        detections: Of all images.
        true_images: ``(M,)`` int64, the image of each true box that is not difficult.
        true_classes: ``(M,)`` int64.
        num_classes: K.
        form: As in :func:`average_precision`.
        counts: ``(R, N)`` int, how often each resample holds an image; None for the images as
            they are, R = 1.

    Returns:
        ``(R, K, T)`` float64 in [0, 1], NaN where a class has no true box.
    """
    ranked = detections.ranked()
    if counts is None:
        last = max(ranked.images.max(initial=0), true_images.max(initial=0))
        counts = np.ones((1, int(last) + 1), dtype=np.uint16)
    bounds = np.searchsorted(ranked.classes, np.arange(num_classes + 1))
    result = np.empty((len(counts), num_classes, ranked.outcomes.shape[1]))
    for class_id in range(num_classes):
        own = slice(bounds[class_id], bounds[class_id + 1])
        images, outcomes = ranked.images[own], ranked.outcomes[own]
        demanded = true_images[true_classes == class_id]
        for rows in _blocks(len(counts), max(len(images), len(demanded))):
            weights = np.take(counts[rows], images, axis=1)
            positives = np.take(counts[rows], demanded, axis=1).sum(axis=1, dtype=np.int64)
            result[rows, class_id] = weighted_precisions(outcomes, weights, positives, form)
    return result


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(columns, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def correct_localization(
    images: np.ndarray,
    classes: np.ndarray,
    overlaps: np.ndarray,
    num_classes: int,
    iou: float = 0.5,
) -> Fractions:
    """CorLoc: of the images that show a class, the share whose surest box fits.

    Args:
        images: ``(P,)`` int64, for each pair of an image and a class that it shows: the image.
        classes: ``(P,)`` int64, the class.
        overlaps: ``(P,)`` float in [0, 1]: the IoU of the class's surest box with the true box of
            the class that it fits best; 0 without a box.
        num_classes: K.
        iou: What must be reached.

    Returns:
        Its ``ratios()`` are the classes' CorLoc, ``(K,)`` in [0, 1], NaN for classes that no image
        shows; those of ``pooled()`` the share of all pairs.

    Example:
        >>> pairs = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0.6, 0.4, 0.5])
        >>> correct_localization(*pairs, num_classes=3).ratios().tolist()
        [0.5, 1.0, nan]
    """
    return Fractions.shares(images, classes, np.asarray(overlaps) >= iou, num_classes)


def check_form(form: str) -> None:
    """Refuse a form of AP that does not exist."""
    check_choice(f"unknown form of average precision {form!r}", form, FORMS)
