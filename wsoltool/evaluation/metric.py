"""The evaluator: one pass over the predictions, one small record an image, one summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from mmengine.evaluator import BaseMetric

from wsoltool.errors import ConfigError, EvaluationError, WsolError
from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.folder import write_map
from wsoltool.evaluation.options import resample_count, share
from wsoltool.evaluation.protocols import get_protocols
from wsoltool.evaluation.results import TOP, ImageResult, LocalizationResults
from wsoltool.evaluation.rows import Summary
from wsoltool.evaluation.scoring import chosen_threshold, label_of, score_image
from wsoltool.evaluation.summary import summarize
from wsoltool.structures import Boxes, Sample, Size


class Prediction(Interface):
    """What the metric asks of a model's answer for one image.

    Attributes:
        sample: The image's record, with its truth.
        scores: ``(K,)`` float probabilities.
    """

    sample: Sample
    scores: np.ndarray

    def map(self, class_id: int, size: Size | None = None) -> np.ndarray:
        """``(H, W)`` float32 in [0, 1], at the original image's size or the asked one."""

    def boxes(self, class_id: int) -> Boxes:
        """The box extractor's answer, surest first."""


class LocalizationMetric(BaseMetric):
    """Scores class, map and boxes of single-label images under named protocols.

    The map and the boxes are those of the true class; where the predicted class is right they are
    the predicted class's too, which is all that Top-1 and Top-5 Loc need. Of the extractor's boxes
    the surest counts, as the image's one answer. Where images have masks, the map's pixels are
    scored too. Metric names and threshold sources: :mod:`wsoltool.evaluation.summary` and
    :mod:`wsoltool.evaluation.pixel_rows`; the returned keys are those of ``Summary.metrics``.

    Args:
        protocols: Names; the first is the one that plain metric keys follow.
        fixed_threshold: The box extractor's threshold, in [0, 1), to be shown in the table; None
            if it has none. An extractor that chooses one for each image (``Boxes.thresholds``) has
            none: the table shows how those are spread.
        fullsup: Results of train-fullsup (``save_results`` of an evaluation there): adds the
            figures at thresholds chosen on them.
        save_results: Where to write the per-image results (``.npz``).
        resamples: Of the bootstrap; 0 for no intervals, which is faster during training.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.

    Attributes:
        fullsup: The loaded results of train-fullsup, or None; may be set until the evaluation.
        maps_folder: Where to write each image's map (original size, float32, ``<image id>.npy``),
            or None; may be set until the evaluation.
        results_by_image: The last evaluation's :class:`LocalizationResults`, on the main rank.
        summary: Its :class:`Summary`, checked.

    Raises:
        ConfigError: An option outside its range, or ``fullsup`` is not there.
    """

    def __init__(
        self,
        protocols: Sequence[str] = ("tight", "wsolevaluation"),
        fixed_threshold: float | None = None,
        fullsup: str | None = None,
        save_results: str | None = None,
        resamples: int = 1000,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        # mmengine warns about a missing prefix; ours is missing on purpose: metric keys are stable.
        super().__init__(collect_device, prefix="localization", collect_dir=collect_dir)
        self.prefix = None
        self.protocols = get_protocols(protocols)
        if fixed_threshold is not None:
            name = type(self).__name__
            fixed_threshold = share(name, "fixed_threshold", fixed_threshold, (True, False))
        self.fixed_threshold = fixed_threshold
        self.fullsup = None if fullsup is None else LocalizationResults.load(_existing(fullsup))
        self.save_results = save_results
        self.maps_folder: Path | None = None
        self.resamples = resample_count(type(self).__name__, resamples)
        self.results_by_image: LocalizationResults | None = None
        self.summary: Summary | None = None

    def process(self, data_batch: Any, data_samples: Sequence[Prediction]) -> None:
        """Keep exactly one small result a prediction: mmengine cuts the list to the data set."""
        for prediction in data_samples:
            try:
                self.results.append(self.score(prediction))
                if self.maps_folder is not None:
                    sample = prediction.sample
                    values = prediction.map(label_of(sample), sample.size)
                    write_map(self.maps_folder, sample.image_id, values.astype(np.float32))
            except WsolError as error:
                raise error.located(prediction.sample.image_id) from error

    def score(self, prediction: Prediction) -> ImageResult:
        """Sweep one image's map under every protocol, score its box, and count a mask's pixels.

        Raises:
            EvaluationError: No single label, no true box, or scores, a map, a mask or chosen
                thresholds that cannot be used.
        """
        sample = prediction.sample
        label = label_of(sample)
        top = _top_classes(prediction.scores, label)
        # Held, so that it is not made once more for the boxes.
        whole = prediction.map(label, sample.size)
        boxes = prediction.boxes(label)

        def map_at(size: Size) -> np.ndarray:
            return whole if tuple(size) == tuple(sample.size) else prediction.map(label, size)

        answer, chosen = np.asarray(boxes.xyxy), self._chosen(boxes)
        return score_image(
            sample, self.protocols, map_at, answer, top, self.fixed_threshold, chosen
        )

    def _chosen(self, boxes: Boxes) -> float | None:
        chosen = chosen_threshold(boxes)
        if self.fixed_threshold is not None and chosen is not None and not np.isnan(chosen):
            raise EvaluationError(
                f"the box extractor chose the threshold {chosen:g} for this image, while its fixed "
                f"one is said to be {self.fixed_threshold:g}",
                expected="a fixed threshold, or one chosen for each image",
                hint="evaluation.fixed_threshold=None; an extractor that chooses thresholds has no "
                "attribute `threshold`",
            )
        return chosen

    def compute_metrics(self, results: list[ImageResult]) -> dict[str, float]:
        """Percent by metric name; the whole summary stays in :attr:`summary`."""
        thresholds = {protocol.name: protocol.thresholds for protocol in self.protocols}
        stacked = LocalizationResults.stack(results, thresholds)
        if self.save_results is not None:
            stacked.save(self.save_results)
        summary = summarize(stacked, self.fullsup, self.fixed_threshold, self.resamples)
        check_summary(summary)
        self.results_by_image, self.summary = stacked, summary
        return summary.metrics()


def _top_classes(scores: np.ndarray, label: int) -> np.ndarray:
    """``(5,)`` int64, surest first, equal scores by class index, -1 beyond the last class."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or np.isnan(scores).any():
        raise EvaluationError(
            f"class scores of shape {scores.shape}" + " with NaN" * bool(np.isnan(scores).any()),
            expected="(K,) numbers",
        )
    if label >= len(scores):
        raise EvaluationError(
            f"label {label}, but the model has {len(scores)} classes",
            expected="a label below the number of classes",
            hint="does model.head.num_classes fit the data set?",
        )
    top = np.full(TOP, -1, dtype=np.int64)
    best = np.argsort(-scores, kind="stable")[:TOP]
    top[: len(best)] = best
    return top


def _existing(path: str) -> Path:
    if Path(path).is_file():
        return Path(path)
    raise ConfigError(
        "LocalizationMetric: the file given as fullsup is missing",
        at=str(path),
        expected="results saved by an evaluation of train-fullsup",
        hint="evaluate train-fullsup first, with save_results",
    )
