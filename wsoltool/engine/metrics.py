"""The evaluator's metrics, as the config asks for them."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from wsoltool.config import plain
from wsoltool.errors import ConfigError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.models.contracts import BoxExtractor
from wsoltool.plugin.manager import build


def build_metrics(config: Config, extractor: BoxExtractor) -> list[BaseMetric]:
    """What ``test`` computes: the localization table first, then the config's further metrics.

    Args:
        config: Its ``evaluation`` and ``metrics``.
        extractor: The model's; its threshold, if it has one, is named in the table.
    """
    return [_localization(config, extractor), *_further(config)]


def build_training_metrics(config: Config, extractor: BoxExtractor) -> list[BaseMetric]:
    """What validation during training computes: the first protocol alone, without intervals."""
    protocols = plain(config.get("evaluation", {})).get("protocols")
    first = {"protocols": protocols[:1]} if protocols else {}
    return [_localization(config, extractor, resamples=0, **first), *_further(config)]


def _localization(config: Config, extractor: BoxExtractor, **overrides: Any) -> LocalizationMetric:
    settings = {
        "fixed_threshold": getattr(extractor, "threshold", None),
        **plain(config.get("evaluation", {})),
        **overrides,
    }
    try:
        return LocalizationMetric(**settings)
    except ConfigError as error:
        raise error.located("evaluation") from error


def _further(config: Config) -> list[BaseMetric]:
    return [
        build("metric", metric, f"metrics[{index}]")
        for index, metric in enumerate(plain(config.get("metrics", [])))
    ]
