"""One image against its truth: what a model's prediction and a stored map have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.pixel_counts import count_pixels
from wsoltool.evaluation.protocols import Protocol
from wsoltool.evaluation.results import ImageResult
from wsoltool.functional.boxes import box_iou
from wsoltool.functional.runs import Runs
from wsoltool.structures import Boxes, Sample, Size, Truth

MapAt = Callable[[Size], np.ndarray]
Fixed = np.ndarray | float


def score_image(
    sample: Sample,
    protocols: Sequence[Protocol],
    map_at: MapAt | None,
    fixed: Fixed,
    top: np.ndarray | None = None,
    pixel_threshold: float | None = None,
    chosen: float | None = None,
) -> ImageResult:
    """Sweep one image's map under every protocol, score its one box, and count a mask's pixels.

    Args:
        sample: With one label and its truth.
        protocols: At least one.
        map_at: Frame to the true class's map ``(H, W)`` in [0, 1]; None: nothing was localised, so
            that no threshold reaches any overlap, and every pixel has a score of 0.
        fixed: What figures at a fixed threshold are taken from: boxes ``(N, 4)``, pixels of the
            original image, x1 y1 exclusive, of which the first counts; or a threshold in [0, 1),
            at which each protocol makes its own box, that of the largest region.
        top: ``(n,)`` int64, the classes with the highest scores, surest first; None without scores.
        pixel_threshold: For the pixels; where ``fixed`` is a threshold, it is that.
        chosen: Of the first box, see :func:`chosen_threshold`; kept with the result.

    Raises:
        EvaluationError: No single label, no true box, or a map or a mask that cannot be used.
    """
    label, truth = label_of(sample), _truth_of(sample)
    if not isinstance(fixed, np.ndarray):
        pixel_threshold = fixed
    sweeps, overlaps, pixels = {}, {}, {}
    for protocol in protocols:
        name, frame = protocol.name, protocol.frame(sample.size)
        values = None if map_at is None else map_at(frame)
        swept, overlaps[name] = _overlaps(protocol, values, fixed, truth, sample.size)
        sweeps[name] = Runs.of(swept.astype(np.float32))
        if truth.mask is not None:
            scores = np.zeros(frame) if values is None else values
            pixels[name] = count_pixels(protocol, scores, truth, sample.size, pixel_threshold)
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
        pixels=pixels or None,
        chosen_threshold=chosen,
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


def chosen_threshold(boxes: Boxes) -> float | None:
    """At what the surest box was cut, where the extractor chose that for the image.

    Args:
        boxes: Surest first.

    Returns:
        In [0, 1]; NaN without a box; None where the extractor says none.

    Raises:
        EvaluationError: There is not one number in [0, 1] for each box.
    """
    if not len(boxes):
        return float("nan")
    if boxes.thresholds is None:
        return None
    thresholds = np.asarray(boxes.thresholds, dtype=np.float64)
    inside = (thresholds >= 0) & (thresholds <= 1)
    if thresholds.shape != (len(boxes),) or not inside.all():
        raise EvaluationError(
            f"thresholds {thresholds.tolist()} of {len(boxes)} boxes",
            at="Boxes.thresholds",
            expected="for each box the number in [0, 1] at which it was cut, or None for all",
        )
    return float(thresholds[0])


def _truth_of(sample: Sample) -> Truth:
    truth = sample.truth
    if truth is None or not len(truth.boxes) or not len(truth.annotated_boxes):
        raise EvaluationError(
            "image without a true box",
            expected="at least one box in every scored image",
            hint="score a split with boxes (train-fullsup or test), without empty images",
        )
    return truth


def _overlaps(
    protocol: Protocol, values: np.ndarray | None, fixed: Fixed, truth: Truth, size: Size
) -> tuple[np.ndarray, float]:
    """``(2, T)`` best IoU of the largest region and of all, and that of the fixed box."""
    if isinstance(fixed, np.ndarray):
        own, targets = protocol.answers(fixed[:1], size), protocol.targets(truth, size)
        answer = float(protocol.best_iou(own, targets).max(initial=0.0))
        return _sweep(protocol, values, protocol.thresholds, truth, size), answer
    # Swept with the others, for a second sweep would cost as much again.
    place = int(np.searchsorted(protocol.thresholds, fixed))
    grid = np.insert(protocol.thresholds, place, fixed)
    swept = _sweep(protocol, values, grid, truth, size)
    return np.delete(swept, place, axis=1), float(swept[0, place])


def _sweep(
    protocol: Protocol,
    values: np.ndarray | None,
    thresholds: np.ndarray,
    truth: Truth,
    size: Size,
) -> np.ndarray:
    if values is None:
        return np.zeros((2, len(thresholds)))
    swept = protocol.sweep(values, truth, size, thresholds)
    return np.stack([swept["largest"], swept["all"]])


def _part_iou(fixed: Fixed, part_boxes: np.ndarray | None) -> float:
    """Of the given box: a threshold's boxes differ by protocol, and parts have none."""
    if part_boxes is None or not len(part_boxes) or not isinstance(fixed, np.ndarray):
        return float("nan")
    return float(box_iou(fixed[:1], part_boxes).max(initial=0.0))
