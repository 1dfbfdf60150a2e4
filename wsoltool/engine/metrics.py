"""The evaluator's metrics, as the config asks for them."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from wsoltool.config import plain
from wsoltool.errors import ConfigError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.plugin.manager import build


def build_metrics(config: Config) -> list[BaseMetric]:
    """The localization table's metric first, then the config's further ones."""
    try:
        localization = LocalizationMetric(**plain(config.get("evaluation", {})))
    except ConfigError as error:
        raise error.located("evaluation") from error
    further = [
        build("metric", metric, f"metrics[{index}]")
        for index, metric in enumerate(plain(config.get("metrics", [])))
    ]
    return [localization, *further]
