"""Which classes an image shows, and where: single-label and multi-label records alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.structures import Sample, Truth

UNKNOWN = -1
"""Pixels of :func:`true_segments` that are not scored."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The true objects of one image.

    Attributes:
        boxes: ``(M, 4)`` float64 xyxy, x1 y1 exclusive, or the annotation's own numbers.
        classes: ``(M,)`` int64.
        difficult: ``(M,)`` bool, neither demanded nor punished.
    """

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray


def image_classes(sample: Sample) -> list[int]:
    """The classes of the image's label, ascending; none if it is unknown or empty."""
    if np.ndim(sample.label):
        return np.flatnonzero(np.asarray(sample.label) > 0).tolist()
    return [int(sample.label)] if sample.label >= 0 else []


def known_classes(sample: Sample) -> list[int]:
    """The classes of the label and of the true boxes, ascending."""
    truth = sample.truth
    boxed = [] if truth is None or truth.labels is None else np.asarray(truth.labels).tolist()
    return sorted({*image_classes(sample), *boxed})


def likely_classes(scores: np.ndarray, min_score: float) -> list[int]:
    """The classes with a probability of at least ``min_score``, ascending, by ``(K,)`` scores.

    Raises:
        EvaluationError: The scores are no probabilities.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not (scores >= 0).all() or not (scores <= 1).all():
        raise EvaluationError(
            f"class scores of shape {scores.shape}, from {scores.min()} to {scores.max()}",
            expected="(K,) probabilities in [0, 1]",
            hint="the head's scores are softmax or sigmoid outputs, not logits",
        )
    return np.flatnonzero(scores >= min_score).tolist()


def true_objects(sample: Sample, annotated: bool = False) -> Objects:
    """The true boxes of an image with their classes; there may be none.

    Args:
        sample: With its truth. Boxes without labels have the image's one class.
        annotated: The annotation's own numbers instead of exclusive corners.

    Raises:
        EvaluationError: The split has no boxes, or the class of a box is not known.
    """
    truth = _truth(sample)
    boxes = truth.annotated_boxes if annotated else truth.boxes
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    classes = _box_classes(sample, truth, len(boxes))
    difficult = truth.difficult
    difficult = np.zeros(len(boxes)) if difficult is None else np.asarray(difficult)
    if not len(boxes) == len(classes) == len(difficult):
        raise EvaluationError(
            f"{len(boxes)} true boxes, {len(classes)} labels, {len(difficult)} difficulty marks",
            expected="one of each an object",
        )
    return Objects(boxes, classes, difficult.astype(bool))


def true_segments(sample: Sample) -> np.ndarray:
    """``(H, W)`` int64: class index + 1, 0 background, -1 not scored.

    Of the truth's segments; or, where the image has one class, of its mask, nearest pixels.

    Raises:
        EvaluationError: There are neither, or they are not of the image's size.
    """
    truth = _truth(sample)
    if truth.segments is not None:
        segments = np.asarray(truth.segments).astype(np.int64)
    elif truth.mask is not None:
        # A mask's file may have another resolution than its image.
        mask = get_protocol("tight").mask(truth, sample.size).astype(np.int64)
        # A mask of one object kind: without an object there is no class to name.
        class_id = _only_class(sample, "pixels") if (mask == 1).any() else 0
        segments = np.where(mask == 255, UNKNOWN, mask * (class_id + 1))
    else:
        raise EvaluationError(
            "image without segments or a mask",
            expected="pixel labels in every scored image",
            hint="SegmentationMetric needs a data set with masks",
        )
    if segments.shape != tuple(sample.size):
        raise EvaluationError(
            f"segments of shape {segments.shape}", expected=f"{sample.size}, the image's size"
        )
    return segments


def _truth(sample: Sample) -> Truth:
    if sample.truth is None:
        raise EvaluationError(
            "image without a record of its objects",
            expected="true boxes in every scored image; an empty list where there is no object",
            hint="score a split with boxes: train-fullsup or test",
        )
    return sample.truth


def _box_classes(sample: Sample, truth: Truth, count: int) -> np.ndarray:
    if truth.labels is not None:
        return np.asarray(truth.labels, dtype=np.int64)
    class_id = _only_class(sample, "boxes") if count else 0
    return np.full(count, class_id, dtype=np.int64)


def _only_class(sample: Sample, what: str) -> int:
    classes = image_classes(sample)
    if len(classes) != 1:
        raise EvaluationError(
            f"{what} of an image with {len(classes)} classes that do not say which is theirs",
            expected="Truth.labels or Truth.segments where images have several classes",
        )
    return classes[0]
