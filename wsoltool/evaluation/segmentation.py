"""Maps of several classes as pixel labels, as on PASCAL VOC.

Figures, all in percent, named after the classes whose maps are used: those of the image's
``label`` (which must be known: the setting of pseudo-labels), or the ``predicted`` ones. A pixel
gets the class with the highest map of those above the threshold, of equal maps the surest class's.

- ``segmentation/mIoU (label)``: mean over classes of the intersection over union of pixels pooled
  over all images, without the background; ``segmentation/mIoU (label, with background)`` with it.
  Classes that occur neither in the truth nor in any answer are left out.
- ``segmentation/mLEV (label)``, mean localization error value, lower is better: the share of a
  class's foreground, its map above the threshold, that lies on something else, FP / (TP + FP); the
  mean over all pairs of an image and a used class. An empty foreground counts as 100.
- ``segmentation/mLEV (label, box)``: the share of these pairs whose surest box has IoU < 0.5 with
  every true box of the class.

They are not the localization table's figures of pixels (:mod:`wsoltool.evaluation.pixel_rows`:
PxAP, PIoU, mIoU, mLEV), which are of one foreground and choose thresholds: here the maps of an
image's classes compete, at a threshold that the config fixes.

Controls: the whole image, or a centre box of half its area, as the foreground of every used class;
the surest one wins the pixels. Intervals: 95 %, percentile bootstrap over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from wsoltool.errors import EvaluationError, check_choice
from wsoltool.evaluation.detection import MODEL, control_boxes
from wsoltool.evaluation.further import (
    Figure,
    FurtherMetric,
    FurtherSummary,
    control_values,
    stacked,
)
from wsoltool.evaluation.metric import Prediction
from wsoltool.evaluation.objects import (
    Objects,
    image_classes,
    likely_classes,
    true_objects,
    true_segments,
)
from wsoltool.evaluation.options import share
from wsoltool.functional.boxes import box_iou
from wsoltool.functional.ratios import Fractions, defined_mean
from wsoltool.functional.segmentation import (
    class_foreground,
    false_share,
    label_map,
    pixel_counts,
    pooled_iou,
)
from wsoltool.structures import Sample, Size

LABEL, PREDICTED = "label", "predicted"
READINGS = ("area", "box")
HIT = 0.5


@dataclass(slots=True)
class Pixels:
    """The pixels of one image's answer, the model's or a control's, compared with the truth.

    Attributes:
        labels: ``(C,)`` int64, labels that occur in the answer or the truth; 0 the background.
        counts: ``(C, 3)`` int64 TP, FP, FN.
        errors: Reading -> ``(P,)`` float64, localization error of every used class.
    """

    labels: np.ndarray
    counts: np.ndarray
    errors: dict[str, np.ndarray]


@dataclass(slots=True)
class SegmentationRecord:
    """One image's result.

    Attributes:
        image_id: Unique in the data set.
        num_classes: K.
        used: ``(P,)`` int64, the classes whose maps were used.
        pixels: By who answers: ``model`` or a control.
    """

    image_id: str
    num_classes: int
    used: np.ndarray
    pixels: dict[str, Pixels]


@dataclass(slots=True)
class _Goal:
    """The true pixels of an image, and its true boxes where they are asked for."""

    segments: np.ndarray
    objects: Objects | None

    def missed(self, box: np.ndarray, class_id: int) -> bool:
        """Whether a class's one box, if any, has IoU < 0.5 with all of the class's true ones."""
        assert self.objects is not None
        targets = self.objects.boxes[self.objects.classes == class_id]
        if not len(targets) and (self.segments == class_id + 1).any():
            raise EvaluationError(
                f"pixels of class {class_id} without a true box",
                expected="boxes of all segments",
                hint="SegmentationMetric(readings=['area']) needs none",
            )
        return bool(box_iou(box, targets).max(initial=0.0) < HIT)


class SegmentationMetric(FurtherMetric):
    """mIoU and mLEV of several classes; see the module.

    Args:
        threshold: Of the maps, in [0, 1).
        classes: ``label``, or ``predicted``: those with a probability of at least ``min_score``.
        min_score: In [0, 1]; for ``predicted`` alone.
        readings: Of mLEV: ``area``, ``box`` or both; ``box`` needs true boxes.
        resamples: Of the bootstrap; 0 for no intervals.
        prefix: Put before every figure's name, with a slash.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.

    Raises:
        ConfigError: A value outside its range.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        classes: str = LABEL,
        min_score: float = 0.5,
        readings: Sequence[str] = READINGS,
        resamples: int = 1000,
        prefix: str | None = "segmentation",
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(resamples, prefix, collect_device, collect_dir)
        self.threshold = share("SegmentationMetric", "threshold", threshold, (True, False))
        check_choice(f"SegmentationMetric: classes is {classes!r}", classes, (LABEL, PREDICTED))
        self.classes = classes
        self.min_score = share("SegmentationMetric", "min_score", min_score)
        self.readings = (readings,) if isinstance(readings, str) else tuple(readings)
        for reading in self.readings:
            check_choice(f"SegmentationMetric: readings is {reading!r}", reading, READINGS)

    def asked_classes(self, sample: Sample, scores: np.ndarray) -> list[int]:
        if self.classes == PREDICTED:
            return likely_classes(scores, self.min_score)
        return image_classes(sample)

    def figure_names(self) -> tuple[str, ...]:
        notes = {"area": self.classes, "box": f"{self.classes}, box"}
        names = [f"mIoU ({self.classes})", f"mIoU ({self.classes}, with background)"]
        names += [f"mLEV ({notes[reading]})" for reading in self.readings]
        return tuple(f"{self.name_prefix}{name}" for name in names)

    def score(self, prediction: Prediction) -> SegmentationRecord:
        """Count one image's pixels.

        Raises:
            EvaluationError: The image has no segments, no label, or maps that cannot be used.
        """
        sample, scores = prediction.sample, np.asarray(prediction.scores, dtype=np.float64)
        if self.classes == LABEL and not np.ndim(sample.label) and sample.label < 0:
            raise EvaluationError(
                "image without a label",
                expected="known labels for classes='label'",
                hint="SegmentationMetric(classes='predicted') needs none",
            )
        truth = true_segments(sample)
        if truth.max(initial=0) > len(scores):
            raise EvaluationError(
                f"segments of class {truth.max() - 1}, but the model has {len(scores)} classes",
                expected="labels below the number of classes",
            )
        used = np.array(self.asked_classes(sample, scores), dtype=np.int64)
        used = used[np.argsort(-scores[used], kind="stable")]
        goal = _Goal(truth, true_objects(sample) if "box" in self.readings else None)
        pixels = {MODEL: self._pixels(*self._answers(prediction, used), used, goal)}
        for name, box in control_boxes(sample.size).items():
            filled = [_filled(box, sample.size)] * len(used)
            pixels[name] = self._pixels(filled, [box] * len(used), used, goal)
        return SegmentationRecord(sample.image_id, len(scores), used, pixels)

    def _answers(
        self, prediction: Prediction, used: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The maps and the surest boxes of the used classes."""
        # The maps first: boxes are then found in the same ones, not in maps made anew.
        maps = [prediction.map(class_id) for class_id in used.tolist()]
        if "box" not in self.readings:
            return maps, []
        return maps, [np.asarray(prediction.boxes(c).xyxy)[:1] for c in used.tolist()]

    def _pixels(
        self, maps: list[np.ndarray], boxes: list[np.ndarray], used: np.ndarray, goal: _Goal
    ) -> Pixels:
        masks = [class_foreground(values, self.threshold) for values in maps]
        labels = label_map(maps, used.tolist(), self.threshold, goal.segments.shape)
        errors = {}
        if "area" in self.readings:
            pairs = zip(masks, used.tolist(), strict=True)
            errors["area"] = np.array([false_share(m, goal.segments, c) for m, c in pairs])
        if "box" in self.readings:
            missed = [goal.missed(b, c) for b, c in zip(boxes, used.tolist(), strict=True)]
            errors["box"] = np.array(missed, dtype=np.float64)
        return Pixels(*pixel_counts(labels, goal.segments), errors)

    def summarize(self, records: Sequence[SegmentationRecord]) -> FurtherSummary:
        """Every figure."""
        draws = self.draws(len(records))
        counts = None if draws is None else draws.counts
        names = iter(self.figure_names())
        ious = {who: _ious(records, who) for who in records[0].pixels}
        values = {who: own.ratios() for who, own in ious.items()}
        resampled = None if counts is None else ious[MODEL].resampled(counts)
        # Without the background, which has the first label, and with it.
        figures = [_iou_figure(next(names), values, resampled, first) for first in (1, 0)]
        figures[0].per_class.update(self.by_class(values[MODEL][1:]))
        background = float(values[MODEL][0])
        figures[1].per_class["background"] = None if isnan(background) else 100.0 * background
        for reading in self.readings:
            errors = {who: _errors(records, who, reading) for who in records[0].pixels}
            figures.append(self._error_figure(next(names), errors, counts))
        # Nothing to be scored on: no class used, no object anywhere.
        figures = [figure for figure in figures if not isnan(figure.value)]
        return FurtherSummary("Segmentation", self._notes(), len(records), figures)

    def _error_figure(
        self, name: str, errors: dict[str, Fractions], counts: np.ndarray | None
    ) -> Figure:
        means = {who: own.pooled().ratios()[0] for who, own in errors.items()}
        value = means.pop(MODEL)
        resampled = None if counts is None else errors[MODEL].pooled().resampled(counts)[:, 0]
        classes = self.by_class(errors[MODEL].ratios())
        return Figure.of(name, value, resampled, control_values(means), classes)

    def _notes(self) -> tuple[str, ...]:
        used = "of the image's label"
        if self.classes == PREDICTED:
            used = f"of probability {self.min_score:g} or more"
        return (
            f"Maps of the classes {used}; a pixel has the class of the highest map above "
            f"{self.threshold:g}.",
            "mIoU: pixels pooled over images, mean over classes.",
            "mLEV, lower is better: share of a class's foreground that is wrong; box: of (image, "
            "class) pairs whose surest box has IoU < 0.5.",
            "Controls: the image, or its centre (half the area), as the foreground of these "
            "classes.",
        )


def _iou_figure(
    name: str, values: dict[str, np.ndarray], resampled: np.ndarray | None, first: int
) -> Figure:
    """The mean over labels from the ``first``: ``(K + 1,)`` IoUs, ``(R, K + 1)`` resamples."""
    means = {who: float(defined_mean(own[first:])) for who, own in values.items()}
    value = means.pop(MODEL)
    drawn = None if resampled is None else defined_mean(resampled[:, first:])
    return Figure.of(name, value, drawn, control_values(means))


def _ious(records: Sequence[SegmentationRecord], who: str) -> Fractions:
    pixels = [record.pixels[who] for record in records]
    labels, images = stacked([p.labels for p in pixels])
    counts = np.concatenate([p.counts for p in pixels])
    return pooled_iou(images, labels, counts, records[0].num_classes + 1)


def _errors(records: Sequence[SegmentationRecord], who: str, reading: str) -> Fractions:
    used, images = stacked([record.used for record in records])
    errors = np.concatenate([record.pixels[who].errors[reading] for record in records])
    return Fractions.shares(images, used, errors, records[0].num_classes)


def _filled(box: np.ndarray, size: Size) -> np.ndarray:
    """``(H, W)`` float32 map: 1 on the pixels whose centre lies in the ``(1, 4)`` box."""
    inside = [
        (low <= centres) & (centres < high)
        for low, high, centres in (
            (box[0, 1], box[0, 3], np.arange(size[0]) + 0.5),
            (box[0, 0], box[0, 2], np.arange(size[1]) + 0.5),
        )
    ]
    return np.outer(*inside).astype(np.float32)
