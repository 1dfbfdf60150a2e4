"""The evaluator's metrics, as the config asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from torch import Tensor

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset
from wsoltool.errors import ConfigError
from wsoltool.evaluation.further import AskingMetric, FurtherMetric
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.models.contracts import BoxExtractor
from wsoltool.models.localizer import Localizer
from wsoltool.plugin.manager import build
from wsoltool.structures import Sample


def build_metrics(config: Config, extractor: BoxExtractor) -> list[BaseMetric]:
    """What ``test`` computes: the localization table first, then the config's further metrics.

    Args:
        config: Its ``evaluation``, None for no localization table, and its ``metrics``.
        extractor: The model's; its threshold, if it has one, is named in the table.
    """
    return [*_localization(config, extractor), *_further(config)]


def build_threshold_metrics(config: Config, extractor: BoxExtractor) -> list[BaseMetric]:
    """What ``test`` computes on train-fullsup: the results that thresholds are chosen on."""
    return [*_localization(config, extractor, resamples=0)]


def build_training_metrics(config: Config, extractor: BoxExtractor) -> list[BaseMetric]:
    """What validation during training computes: the first protocol alone, without intervals."""
    protocols = plain(config.get("evaluation") or {}).get("protocols")
    first = {"protocols": protocols[:1]} if protocols else {}
    further = _further(config)
    for metric in further:
        if isinstance(metric, FurtherMetric):
            metric.resamples = 0
    return [*_localization(config, extractor, resamples=0, **first), *further]


def localization_of(metrics: Iterable[BaseMetric]) -> LocalizationMetric | None:
    """The metric behind the localization table; None if the config switches it off."""
    return next((m for m in metrics if isinstance(m, LocalizationMetric)), None)


def prepare_scoring(
    model: Localizer, metrics: Sequence[BaseMetric], dataset: LocalizationDataset, loader: str
) -> None:
    """Let the model map the classes that the metrics look at, and no others.

    A metric that does not say which looks at those that the model maps anyway: label and surest.

    Raises:
        ConfigError: The localization table is asked of images with several labels.
    """
    if dataset.multi_label and localization_of(metrics) is not None:
        raise ConfigError(
            "the localization table scores one class an image; these images have several labels",
            at=f"evaluation, for {loader}.dataset",
            expected="evaluation=None and metrics=[dict(type='DetectionMetric')]",
        )
    asking = [metric for metric in metrics if isinstance(metric, AskingMetric)]
    usual = [] if len(asking) == len(metrics) else [model.class_query]

    def query(sample: Sample, scores: Tensor) -> list[int]:
        asked = [ask(sample, scores) for ask in usual]
        asked += [metric.asked_classes(sample, scores.numpy()) for metric in asking]
        return list(dict.fromkeys(class_id for classes in asked for class_id in classes))

    if asking:
        model.class_query = query


def _localization(
    config: Config, extractor: BoxExtractor, **overrides: Any
) -> list[LocalizationMetric]:
    evaluation = plain(config.get("evaluation", {}))
    if evaluation is None:
        return []
    settings = {
        "fixed_threshold": getattr(extractor, "threshold", None),
        **evaluation,
        **overrides,
    }
    try:
        return [LocalizationMetric(**settings)]
    except ConfigError as error:
        raise error.located("evaluation") from error


def _further(config: Config) -> list[BaseMetric]:
    return [
        build("metric", metric, f"metrics[{index}]")
        for index, metric in enumerate(plain(config.get("metrics", [])))
    ]
