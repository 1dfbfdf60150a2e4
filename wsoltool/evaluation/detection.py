"""Detection and localization of several classes and instances an image, as on PASCAL VOC.

Figures, all in percent:

- ``mAP@d``: mean average precision of boxes of every class at IoU d, over the classes that have a
  true box that is not difficult. The image's labels are not used: boxes are those of every class
  whose probability is at least ``min_score``, and a box's score is the class's probability times
  the box extractor's own score.
- ``CorLoc``: for each class, the share of the images that show it where the class's surest box has
  IoU >= 0.5 with any true box of the class; the mean over classes. An image shows a class by a box
  that is not difficult; a hit on a difficult box beside it counts. The labels are known, by
  definition.
- ``CorLoc (image mean)``: the share of all pairs of an image and a class that it shows. With one
  class an image this is GT-known Loc of the protocol ``tight``.

Controls: the whole image, or a centre box of half its area, as the one box of every class, scored
by the class's probability; and ``shuffled scores``, the model's own boxes ranked by chance.

Intervals: 95 %, percentile bootstrap over images; the mean is over the classes of each resample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.controls import CENTRE, FIXED_SHARE, WHOLE
from wsoltool.evaluation.further import (
    Figure,
    FurtherMetric,
    FurtherSummary,
    control_values,
    stacked,
)
from wsoltool.evaluation.metric import Prediction
from wsoltool.evaluation.objects import Objects, known_classes, likely_classes, true_objects
from wsoltool.evaluation.options import share
from wsoltool.functional.boxes import box_iou, centre_boxes, whole_box
from wsoltool.functional.detection import (
    Detections,
    check_form,
    class_precisions,
    correct_localization,
    match_detections,
)
from wsoltool.functional.ratios import Fractions, defined_mean
from wsoltool.structures import Boxes, Sample, Size

CORLOC, CORLOC_IMAGES = "CorLoc", "CorLoc (image mean)"
MODEL, SHUFFLED = "model", "shuffled scores"
HIT = 0.5


@dataclass(slots=True)
class Answers:
    """What one detector, or a control, answers for an image, compared with the truth.

    Attributes:
        classes: ``(D,)`` int64, of each detection.
        scores: ``(D,)`` float64.
        outcomes: ``(D, T)`` int8 at each IoU.
        overlaps: ``(P,)`` float64: for each class that the image shows, the best IoU of its surest
            box; 0 without a box.
    """

    classes: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray
    overlaps: np.ndarray


@dataclass(slots=True)
class DetectionRecord:
    """One image's result.

    Attributes:
        image_id: Unique in the data set.
        num_classes: K.
        demanded: ``(M,)`` int64, the classes of the true boxes that are not difficult.
        shown: ``(P,)`` int64, these classes, each once.
        answers: By who answers: ``model`` or a control.
    """

    image_id: str
    num_classes: int
    demanded: np.ndarray
    shown: np.ndarray
    answers: dict[str, Answers]


class DetectionMetric(FurtherMetric):
    """mAP and CorLoc; see the module.

    Args:
        ious: Of mAP, in (0, 1].
        ap: ``area`` (VOC since 2010) or ``11point`` (VOC2007).
        min_score: Smallest probability of a class whose boxes enter mAP, in [0, 1].
        inclusive: Overlaps by VOC's +1 from the annotation's numbers and the boxes' corners as
            they stand, as many tools compute them. Half-open boxes need no +1: their plain IoU is
            that of the inclusive boxes of the same pixels.
        resamples: Of the bootstrap; 0 for no intervals.
        prefix: See :class:`FurtherMetric`.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.

    Raises:
        ConfigError: A value outside its range.
    """

    def __init__(
        self,
        ious: Sequence[float] = (0.5, 0.3, 0.1),
        ap: str = "area",
        min_score: float = 0.05,
        inclusive: bool = False,
        resamples: int = 1000,
        prefix: str | None = None,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(resamples, prefix, collect_device, collect_dir)
        self.ious = _overlaps(ious)
        check_form(ap)
        self.ap = ap
        self.min_score = share("DetectionMetric", "min_score", min_score)
        self.inclusive = bool(inclusive)

    def asked_classes(self, sample: Sample, scores: np.ndarray) -> list[int]:
        return sorted({*known_classes(sample), *likely_classes(scores, self.min_score)})

    def figure_names(self) -> tuple[str, ...]:
        names = (*(f"mAP@{iou:g}" for iou in self.ious), CORLOC, CORLOC_IMAGES)
        return tuple(f"{self.name_prefix}{name}" for name in names)

    def score(self, prediction: Prediction) -> DetectionRecord:
        """Match one image's boxes.

        Raises:
            EvaluationError: The image has no record of its objects, or scores or boxes that cannot
                be used.
        """
        sample = prediction.sample
        scores = np.asarray(prediction.scores, dtype=np.float64)
        objects = true_objects(sample, annotated=self.inclusive)
        if (objects.classes >= len(scores)).any() or (objects.classes < 0).any():
            raise EvaluationError(
                f"true boxes of classes {sorted(set(objects.classes.tolist()))}, but the model has "
                f"{len(scores)}",
                expected="labels from 0 to below the number of classes",
            )
        demanded = objects.classes[~objects.difficult]
        shown, asked = np.unique(demanded), likely_classes(scores, self.min_score)
        wanted = sorted({*asked, *shown.tolist()})
        found = {
            MODEL: {class_id: _surest_first(prediction.boxes(class_id)) for class_id in wanted}
        }
        for name, box in control_boxes(sample.size).items():
            found[name] = dict.fromkeys(wanted, Boxes(box, np.ones(1)))
        answers = {
            who: self._answers(boxes, asked, scores, shown, objects) for who, boxes in found.items()
        }
        return DetectionRecord(sample.image_id, len(scores), demanded, shown, answers)

    def _answers(
        self,
        boxes: Mapping[int, Boxes],
        asked: Sequence[int],
        scores: np.ndarray,
        shown: np.ndarray,
        objects: Objects,
    ) -> Answers:
        counts = [len(boxes[class_id]) for class_id in asked]
        classes = np.repeat(np.asarray(asked, dtype=np.int64), counts)
        xyxy = _joined((boxes[class_id].xyxy for class_id in asked), (0, 4))
        own = _joined((boxes[class_id].scores for class_id in asked), (0,))
        outcomes = match_detections(
            xyxy,
            classes,
            objects.boxes,
            objects.classes,
            objects.difficult,
            self.ious,
            self.inclusive,
        )
        overlaps = [self._best(boxes[int(class_id)], objects, class_id) for class_id in shown]
        return Answers(classes, scores[classes] * own, outcomes, np.array(overlaps))

    def _best(self, boxes: Boxes, objects: Objects, class_id: int) -> float:
        targets = objects.boxes[objects.classes == class_id]
        return float(box_iou(boxes.xyxy[:1], targets, self.inclusive).max(initial=0.0))

    def summarize(self, records: Sequence[DetectionRecord]) -> FurtherSummary:
        """Every figure.

        Raises:
            EvaluationError: No image has a true box that is not difficult.
        """
        num_classes = records[0].num_classes
        demanded, demanded_in = stacked([record.demanded for record in records])
        if not len(demanded):
            raise EvaluationError(
                "no scored image has a true box", expected="true boxes that are not difficult"
            )
        draws = self.draws(len(records))
        counts = None if draws is None else draws.counts
        detections = {who: _detections(records, who) for who in records[0].answers}
        shown = {who: _shown(records, who) for who in records[0].answers}
        ranked = {**detections, SHUFFLED: detections[MODEL].shuffled()}
        truth = demanded_in, demanded, num_classes, self.ap
        precisions = {who: class_precisions(d, *truth)[0].T for who, d in ranked.items()}  # (T, K)
        resampled = None
        if counts is not None:
            of_classes = class_precisions(detections[MODEL], *truth, counts)  # (R, K, T)
            resampled = defined_mean(of_classes.transpose(2, 0, 1))  # (T, R)
        figures = [
            self._figure(
                name,
                {who: own[column] for who, own in precisions.items()},
                None if resampled is None else resampled[column],
            )
            for column, name in enumerate(self.figure_names()[: len(self.ious)])
        ]
        figures += self._corloc(shown, counts)
        return FurtherSummary("Detection", self._notes(), len(records), figures)

    def _figure(
        self, name: str, by_class: dict[str, np.ndarray], resampled: np.ndarray | None
    ) -> Figure:
        """The mean over classes, of the model and the controls, ``(K,)`` shares each."""
        means = {who: float(defined_mean(values)) for who, values in by_class.items()}
        value, classes = means.pop(MODEL), self.by_class(by_class[MODEL])
        return Figure.of(name, value, resampled, control_values(means), classes)

    def _corloc(self, shown: dict[str, Fractions], counts: np.ndarray | None) -> list[Figure]:
        by_class, by_image = self.figure_names()[-2:]
        resampled = None if counts is None else defined_mean(shown[MODEL].resampled(counts))
        means = {who: own.pooled().ratios()[0] for who, own in shown.items()}
        value = means.pop(MODEL)
        pooled = None if counts is None else shown[MODEL].pooled().resampled(counts)[:, 0]
        return [
            self._figure(by_class, {who: own.ratios() for who, own in shown.items()}, resampled),
            Figure.of(by_image, value, pooled, control_values(means)),
        ]

    def _notes(self) -> tuple[str, ...]:
        form = "area under the curve" if self.ap == "area" else "11 points of recall"
        iou = "inclusive (+1)" if self.inclusive else "half-open"
        return (
            f"mAP: {form}, {iou} IoU, VOC's matching; boxes of every class of probability "
            f"{self.min_score:g} or more, scored by class probability x box score.",
            "CorLoc: surest box of each class that the image shows, IoU 0.5; mean over classes, or "
            "over (image, class) pairs.",
            "Controls: one box for every class (the image; its centre, half the area); the model's "
            "boxes in random order.",
        )


def control_boxes(size: Size) -> dict[str, np.ndarray]:
    """``(1, 4)`` float64 box of each control in an image of ``size``."""
    return {WHOLE: whole_box(size), CENTRE: centre_boxes(size, np.array([FIXED_SHARE]))}


def _detections(records: Sequence[DetectionRecord], who: str) -> Detections:
    answers = [record.answers[who] for record in records]
    classes, images = stacked([a.classes for a in answers])
    scores = np.concatenate([a.scores for a in answers])
    return Detections(images, classes, scores, np.concatenate([a.outcomes for a in answers]))


def _shown(records: Sequence[DetectionRecord], who: str) -> Fractions:
    classes, images = stacked([record.shown for record in records])
    overlaps = np.concatenate([record.answers[who].overlaps for record in records])
    return correct_localization(images, classes, overlaps, records[0].num_classes, HIT)


def _surest_first(boxes: Boxes) -> Boxes:
    scores = np.asarray(boxes.scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise EvaluationError(f"box scores {scores.tolist()}", expected="finite numbers")
    order = np.argsort(-scores, kind="stable")
    return Boxes(np.asarray(boxes.xyxy, dtype=np.float64).reshape(-1, 4)[order], scores[order])


def _joined(parts: Iterable[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(empty), *parts])


def _overlaps(ious: Sequence[float]) -> tuple[float, ...]:
    if isinstance(ious, int | float | str) or not ious or len(set(ious)) != len(ious):
        raise ConfigError(
            f"DetectionMetric: ious is {ious!r}", expected="a list of different numbers"
        )
    return tuple(share("DetectionMetric", "ious", iou, (False, True)) for iou in ious)
