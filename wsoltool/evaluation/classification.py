"""Classification of images with one label or several, as on PASCAL VOC.

Figures, all in percent:

- ``classification/mAP``: for each class the average precision of its scores over all images, the
  area under the interpolated precision-recall curve; the mean over the classes that an image
  shows. ``classification/mAP (11 points)``: its form of VOC2007.
- ``classification/F1 (micro)``, ``classification/F1 (macro)``: of the classes whose probability is
  at least ``min_score``; of all pairs of an image and a class, or the mean over the classes that an
  image shows.
- ``classification/Top-1 hit``: of the images that show a class, the share whose surest class is
  one that they show. With one class an image this is Top-1 Cls.

Images with equal scores for a class are ranked together, so that no figure depends on the order of
the images. An image that shows a class by difficult boxes alone, without the label, is left out for
this class, as in VOC's classification task. An image whose label is empty shows no class, and
counts against the classes that are answered for it.

Controls: ``chance``, which scores every image alike, each class by its share of the images: its
average precision is that share, its surest class the most frequent one. ``every class`` answers
all of them, for F1.

Intervals: 95 %, percentile bootstrap over images; the mean is over the classes that a resample
shows. A resample that shows a class at all often holds one of its images twice, and equal images
are ranked together: of classes that very few images show, average precision in resamples is too
high. An interval may even lie above its figure, which the table then says. Differences of two
evaluations of the same images suffer little, for the same happens to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.further import Figure, FurtherMetric, FurtherSummary, control_values
from wsoltool.evaluation.metric import Prediction
from wsoltool.evaluation.objects import image_classes, likely_classes
from wsoltool.evaluation.options import share
from wsoltool.functional.classification import (
    ABSENT,
    IGNORED,
    SHOWN,
    average_precisions,
    f1_scores,
    prevalences,
    top1_hits,
)
from wsoltool.functional.ratios import Fractions, defined_mean
from wsoltool.structures import Sample

NAMES = ("mAP", "mAP (11 points)", "F1 (micro)", "F1 (macro)", "Top-1 hit")
FEW = 5
CHANCE, EVERY = "chance", "every class"


@dataclass(slots=True)
class ClassificationRecord:
    """One image's result.

    Attributes:
        image_id: Unique in the data set.
        scores: ``(K,)`` float probabilities.
        labels: ``(K,)`` int8, see :mod:`wsoltool.functional.classification`.
    """

    image_id: str
    scores: np.ndarray
    labels: np.ndarray


class ClassificationMetric(FurtherMetric):
    """mAP, F1 and Top-1 of class scores; see the module.

    It asks for no map: where nothing else does, none is made, and only the views that give scores
    are run.

    Args:
        min_score: Probability from which F1 counts a class as answered, in [0, 1].
        resamples: Of the bootstrap; 0 for no intervals.
        prefix: Put before every figure's name, with a slash.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.

    Raises:
        ConfigError: A value outside its range.
    """

    def __init__(
        self,
        min_score: float = 0.5,
        resamples: int = 1000,
        prefix: str | None = "classification",
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(resamples, prefix, collect_device, collect_dir)
        self.min_score = share("ClassificationMetric", "min_score", min_score)

    def asked_classes(self, sample: Sample, scores: np.ndarray) -> Sequence[int]:
        return ()

    def figure_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name_prefix}{name}" for name in NAMES)

    def score(self, prediction: Prediction) -> ClassificationRecord:
        """One image's scores beside its labels.

        Raises:
            EvaluationError: The label is unknown or of a class that the model has not, or the
                scores are no probabilities.
        """
        sample, scores = prediction.sample, np.asarray(prediction.scores)
        likely_classes(scores, self.min_score)
        return ClassificationRecord(sample.image_id, scores, _labels(sample, len(scores)))

    def summarize(self, records: Sequence[ClassificationRecord]) -> FurtherSummary:
        """Every figure.

        Raises:
            EvaluationError: No image shows any class.
        """
        scores = np.stack([record.scores for record in records])
        labels = np.stack([record.labels for record in records])
        if not (labels == SHOWN).any():
            raise EvaluationError(
                "no scored image shows a class", expected="labels of the scored images"
            )
        draws = self.draws(len(records))
        counts = None if draws is None else draws.counts
        figures = [
            *self._precisions(scores, labels, counts),
            *self._f1(scores, labels, counts),
            self._top1(scores, labels, counts),
        ]
        notes = (*self._notes(), *_few_notes(figures, labels))
        return FurtherSummary("Classification", notes, len(records), figures)

    def _precisions(
        self, scores: np.ndarray, labels: np.ndarray, counts: np.ndarray | None
    ) -> list[Figure]:
        names = self.figure_names()[:2]
        found = average_precisions(scores, labels)
        # Of equal scores both forms are the prevalence.
        chance = np.where((labels == SHOWN).any(axis=0), prevalences(labels), np.nan)
        beside = control_values({CHANCE: float(defined_mean(chance))})
        resampled = (None, None) if counts is None else average_precisions(scores, labels, counts)
        return [
            Figure.of(
                name,
                float(defined_mean(by_class[0])),
                None if drawn is None else defined_mean(drawn),
                beside,
                self.by_class(by_class[0]),
            )
            for name, by_class, drawn in zip(names, found, resampled, strict=True)
        ]

    def _f1(
        self, scores: np.ndarray, labels: np.ndarray, counts: np.ndarray | None
    ) -> list[Figure]:
        micro_name, macro_name = self.figure_names()[2:4]
        answers = scores >= self.min_score
        by_class, micro = f1_scores(answers, labels)
        of_every, micro_of_every = f1_scores(np.ones_like(answers), labels)
        drawn, micro_drawn = (None, None) if counts is None else f1_scores(answers, labels, counts)
        return [
            Figure.of(
                micro_name,
                float(micro[0]),
                micro_drawn,
                control_values({EVERY: float(micro_of_every[0])}),
            ),
            Figure.of(
                macro_name,
                float(defined_mean(by_class[0])),
                None if drawn is None else defined_mean(drawn),
                control_values({EVERY: float(defined_mean(of_every[0]))}),
                self.by_class(by_class[0]),
            ),
        ]

    def _top1(self, scores: np.ndarray, labels: np.ndarray, counts: np.ndarray | None) -> Figure:
        hits = top1_hits(scores, labels)
        images = np.flatnonzero(~np.isnan(hits))
        right = Fractions.shares(images, np.zeros_like(images), hits[images], 1)
        alike = np.broadcast_to(prevalences(labels), labels.shape)
        chance = float(defined_mean(top1_hits(alike, labels)))
        return Figure.of(
            self.figure_names()[4],
            float(right.ratios()[0]),
            None if counts is None else right.resampled(counts)[:, 0],
            control_values({CHANCE: chance}),
        )

    def _notes(self) -> tuple[str, ...]:
        return (
            "mAP: area under the interpolated precision-recall curve of a class's scores over all "
            "images, mean over classes; equal scores are ranked together.",
            f"F1: of the classes of probability {self.min_score:g} or more; micro: of all (image, "
            "class) pairs; macro: mean over classes. Top-1 hit: the surest class is a label.",
            "Controls: each class by its share of the images, whatever they show; every class "
            "answered for every image.",
        )


def _few_notes(figures: Sequence[Figure], labels: np.ndarray) -> list[str]:
    """What to think of an interval that leaves out its figure."""
    if all(f.interval is None or f.interval[0] <= f.value <= f.interval[1] for f in figures):
        return []
    shown = (labels == SHOWN).sum(axis=0)
    few = np.count_nonzero((shown > 0) & (shown <= FEW))
    return [
        f"An interval that leaves out its figure: {few} of {np.count_nonzero(shown)} classes are "
        f"shown by {FEW} images or fewer, whose average precision is too high in resamples."
    ]


def _labels(sample: Sample, num_classes: int) -> np.ndarray:
    """``(K,)`` int8."""
    multi_hot = np.ndim(sample.label) == 1
    if not multi_hot and sample.label < 0:
        raise EvaluationError(
            "image without a label",
            expected="known labels in every scored image",
            hint="ClassificationMetric scores a split with labels",
        )
    shown, difficult = image_classes(sample), _difficult_classes(sample)
    highest = max([*shown, *difficult], default=-1)
    if highest >= num_classes or (multi_hot and len(np.asarray(sample.label)) != num_classes):
        size = f"{len(np.asarray(sample.label))} classes" if multi_hot else f"class {highest}"
        raise EvaluationError(
            f"a label of {size}, but the model has {num_classes} classes",
            expected="labels of the model's classes",
            hint="does model.head.num_classes fit the data set?",
        )
    labels = np.full(num_classes, ABSENT, dtype=np.int8)
    labels[difficult] = IGNORED
    labels[shown] = SHOWN
    return labels


def _difficult_classes(sample: Sample) -> list[int]:
    """The classes of difficult boxes."""
    truth = sample.truth
    if truth is None or truth.labels is None or truth.difficult is None:
        return []
    return np.unique(np.asarray(truth.labels)[np.asarray(truth.difficult, bool)]).tolist()
