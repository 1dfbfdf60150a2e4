"""One image against its truth: what a model's prediction and a stored map have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.protocols import Protocol
from wsoltool.evaluation.results import ImageResult
from wsoltool.functional.boxes import box_iou
from wsoltool.structures import Sample, Size, Truth

MapAt = Callable[[Size], np.ndarray]
Fixed = np.ndarray | float


def score_image(
    sample: Sample,
    protocols: Sequence[Protocol],
    map_at: MapAt | None,
    fixed: Fixed,
    top: np.ndarray | None = None,
) -> ImageResult:
    """Sweep one image's map under every protocol, and score its one box.

    Args:
        sample: With one label and its truth.
        protocols: At least one.
        map_at: Frame to the true class's map ``(H, W)`` in [0, 1]; None: nothing was localised,
            and no threshold reaches any overlap.
        fixed: What figures at a fixed threshold are taken from: boxes ``(N, 4)``, pixels of the
            original image, x1 y1 exclusive, of which the first counts; or a threshold in [0, 1),
            at which each protocol makes its own box, that of the largest region.
        top: ``(5,)`` int64, the classes with the highest scores, surest first; None without scores.

    Raises:
        EvaluationError: No single label, no true box, or a map that cannot be used.
    """
    label, truth = label_of(sample), _boxes_of(sample)
    sweeps, overlaps = {}, {}
    for protocol in protocols:
        swept, at_threshold = _sweep(protocol, map_at, fixed, truth, sample.size)
        sweeps[protocol.name] = swept.astype(np.float32)
        if isinstance(fixed, np.ndarray):
            own = protocol.answers(fixed[:1], sample.size)
            targets = protocol.targets(truth, sample.size)
            at_threshold = float(protocol.best_iou(own, targets).max(initial=0.0))
        overlaps[protocol.name] = at_threshold
    return ImageResult(
        image_id=sample.image_id,
        label=label,
        top=top,
        size=sample.size,
        boxes=np.asarray(truth.boxes, dtype=np.float32),
        annotated_boxes=np.asarray(truth.annotated_boxes, dtype=np.float32),
        part_iou=_part_iou(fixed, truth.part_boxes),
        sweeps=sweeps,
        fixed=overlaps,
    )


def label_of(sample: Sample) -> int:
    """The image's one label.

    Raises:
        EvaluationError: It has several, or none.
    """
    if np.ndim(sample.label):
        raise EvaluationError(
            "image with several labels (a multi-hot vector)",
            expected="one class index an image",
            hint="these metrics score single-label data sets",
        )
    if sample.label < 0:
        raise EvaluationError("image without a label", expected="a class index from 0")
    return int(sample.label)


def _boxes_of(sample: Sample) -> Truth:
    truth = sample.truth
    if truth is None or not len(truth.boxes) or not len(truth.annotated_boxes):
        raise EvaluationError(
            "image without a true box",
            expected="at least one box in every scored image",
            hint="score a split with boxes (train-fullsup or test), without empty images",
        )
    return truth


def _sweep(
    protocol: Protocol, map_at: MapAt | None, fixed: Fixed, truth: Truth, size: Size
) -> tuple[np.ndarray, float]:
    """``(2, T)`` best IoU of the largest region and of all, and that of the largest at ``fixed``.

    The fixed threshold is swept with the others, for a second sweep would cost as much again.
    """
    thresholds = protocol.thresholds
    if map_at is None:
        return np.zeros((2, len(thresholds))), 0.0
    values = map_at(protocol.frame(size))
    if isinstance(fixed, np.ndarray):
        swept = protocol.sweep(values, truth, size)
        return np.stack([swept["largest"], swept["all"]]), 0.0
    place = int(np.searchsorted(thresholds, fixed))
    swept = protocol.sweep(values, truth, size, np.insert(thresholds, place, fixed))
    both = np.stack([swept["largest"], swept["all"]])
    return np.delete(both, place, axis=1), float(both[0, place])


def _part_iou(fixed: Fixed, part_boxes: np.ndarray | None) -> float:
    """Of the given box: a threshold's boxes differ by protocol, and parts have none."""
    if part_boxes is None or not len(part_boxes) or not isinstance(fixed, np.ndarray):
        return float("nan")
    return float(box_iou(fixed[:1], part_boxes).max(initial=0.0))
