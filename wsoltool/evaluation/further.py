"""Metrics beside the localization table: what the engine may ask of them, and what they answer."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any
from typing import Protocol as Interface

import numpy as np
from mmengine.evaluator import BaseMetric

from wsoltool.errors import WsolError
from wsoltool.evaluation.metric import Prediction
from wsoltool.evaluation.options import resample_count
from wsoltool.evaluation.results import check_scored
from wsoltool.functional.bootstrap import Bootstrap, interval
from wsoltool.structures import Sample, Truth


class Record(Interface):
    """One image's result: small, for it travels between ranks."""

    image_id: str


@dataclass(frozen=True, slots=True)
class Scored:
    """An image that was scored.

    Attributes:
        image_id: Unique in the data set.
        truth: Digest of its label, size and :class:`~wsoltool.structures.Truth`: two evaluations of
            the same image have the same one.
        record: Its result; None where only the image is meant.
    """

    image_id: str
    truth: str
    record: Any = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a table, in percent.

    Attributes:
        name: Key in the returned metrics.
        value: The model's.
        interval: 95 %, or None.
        controls: Control name -> its value.
        per_class: Class name -> value; None where a class has nothing to be scored on.
        resampled: ``(R,)`` float64, the figure in every resample of the images, NaN where it has
            no value; None without bootstrap.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    controls: dict[str, float] = field(default_factory=dict)
    per_class: dict[str, float | None] = field(default_factory=dict)
    resampled: np.ndarray | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        name: str,
        share: float,
        resampled: np.ndarray | None,
        controls: dict[str, float],
        per_class: dict[str, float | None] | None = None,
    ) -> Figure:
        """A figure with its 95 % interval.

        Args:
            name: Key in the returned metrics.
            share: The model's, in [0, 1].
            resampled: ``(R,)`` shares; None without bootstrap.
            controls: In percent, see :func:`control_values`.
            per_class: In percent, see :meth:`FurtherMetric.by_class`.
        """
        percent = None if resampled is None else 100.0 * np.asarray(resampled, dtype=np.float64)
        bounds = spread(resampled)
        return cls(name, 100.0 * float(share), bounds, controls, per_class or {}, percent)


@dataclass(slots=True)
class FurtherSummary:
    """All figures of a metric.

    Attributes:
        title: Of the table, without the number of images.
        notes: What the figures and controls mean, in a few lines.
        images: How many were scored.
        figures: In the table's order.
        scored: Which images these were; empty where the figures are of nothing that was scored.
    """

    title: str
    notes: tuple[str, ...]
    images: int
    figures: list[Figure]
    scored: tuple[Scored, ...] = field(default=(), compare=False, repr=False)

    def metrics(self) -> dict[str, float]:
        """Percent by figure name."""
        return {figure.name: figure.value for figure in self.figures}


class AskingMetric(BaseMetric):
    """A metric that says which classes it looks at: the model maps no others for it."""

    @abstractmethod
    def asked_classes(self, sample: Sample, scores: np.ndarray) -> Sequence[int]:
        """The classes whose maps or boxes this will ask for, by ``(K,)`` scores; there may be none.

        Classes that are not asked for have neither map nor boxes.
        """


class FurtherMetric(AskingMetric):
    """A metric of single images that need not be single-label, with a table of its own.

    A subclass implements :meth:`asked_classes`, :meth:`score`, :meth:`summarize` and
    :meth:`figure_names`. Exactly one record an image is kept, so that mmengine's cut to the data
    set's length drops what the sampler has padded and nothing else.

    Args:
        resamples: Of the bootstrap; 0 for no intervals.
        prefix: Put before every figure's name, with a slash; tells two metrics of one kind apart.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.

    Attributes:
        resamples: May be set until the evaluation.
        summary: The last evaluation's :class:`FurtherSummary`, on the main rank.

    Raises:
        ConfigError: ``resamples`` is no count.
    """

    def __init__(
        self,
        resamples: int = 1000,
        prefix: str | None = None,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        # mmengine would warn about a missing prefix, and put the names together itself.
        super().__init__(collect_device, prefix="further", collect_dir=collect_dir)
        self.prefix = None
        self.name_prefix = f"{prefix}/" if prefix else ""
        self.resamples = resample_count(type(self).__name__, resamples)
        self.summary: FurtherSummary | None = None

    @abstractmethod
    def score(self, prediction: Prediction) -> Record:
        """One image's record."""

    @abstractmethod
    def summarize(self, records: Sequence[Any]) -> FurtherSummary:
        """The figures of all images, at least one."""

    @abstractmethod
    def figure_names(self) -> tuple[str, ...]:
        """The keys of the returned metrics, known before anything is scored."""

    def process(self, data_batch: Any, data_samples: Sequence[Prediction]) -> None:
        for prediction in data_samples:
            try:
                sample = prediction.sample
                record = self.score(prediction)
                self.results.append(Scored(sample.image_id, truth_digest(sample), record))
            except WsolError as error:
                raise error.located(prediction.sample.image_id) from error

    def compute_metrics(self, results: list[Scored]) -> dict[str, float]:
        """Percent by figure name; the whole summary stays in :attr:`summary`."""
        check_scored([scored.image_id for scored in results])
        self.summary = self.summarize([scored.record for scored in results])
        self.summary.scored = tuple(replace(scored, record=None) for scored in results)
        return self.summary.metrics()

    def draws(self, images: int) -> Bootstrap | None:
        """Resamples for intervals, the same for every figure; None without."""
        return Bootstrap(images, self.resamples) if self.resamples else None

    def class_names(self, count: int) -> list[str]:
        """The data set's, or numbers where none are known."""
        names = (self.dataset_meta or {}).get("classes")
        return list(names) if names is not None else [str(index) for index in range(count)]

    def by_class(self, values: np.ndarray) -> dict[str, float | None]:
        """``(K,)`` shares as percent by class name; None for NaN."""
        pairs = zip(self.class_names(len(values)), values, strict=True)
        return {name: None if np.isnan(v) else 100.0 * float(v) for name, v in pairs}


def truth_digest(sample: Sample) -> str:
    """What an image is scored against, its label included, in 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(tuple(sample.size)).encode())
    known = [] if sample.truth is None else [getattr(sample.truth, f.name) for f in fields(Truth)]
    for values in (np.asarray(sample.label), *known):
        array = None if values is None else np.ascontiguousarray(values)
        digest.update(b"none" if array is None else repr((array.dtype.str, array.shape)).encode())
        digest.update(b"" if array is None else array.tobytes())
    return digest.hexdigest()[:32]


def spread(resampled: np.ndarray | None) -> tuple[float, float] | None:
    """The 95 % interval in percent of ``(R,)`` shares; of the resamples that have a value."""
    if resampled is None:
        return None
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return None
    low, high = interval(resampled)
    return 100.0 * low, 100.0 * high


def stacked(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of single images as one, and ``(rows,)`` int64 which image each row is of."""
    images = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), images


def control_values(values: Mapping[str, float]) -> dict[str, float]:
    """Shares by control name in percent."""
    return {name: 100.0 * float(value) for name, value in values.items()}
