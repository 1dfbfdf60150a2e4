"""The part of the preflight that knows what validation computes: what a run may choose by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from wsoltool.config import plain
from wsoltool.errors import ConfigError, WsolError, did_you_mean
from wsoltool.plugin.manager import catalogue
from wsoltool.preflight_schedules import TRAINING, monitors


def save_best_problems(config: Config) -> list[ConfigError]:
    """A figure to keep the best checkpoint by must be one that validation computes."""
    names = plain(config.get("checkpoint", {})).get("save_best", ())
    names = (names,) if isinstance(names, str) else names
    known = _known_figures(config) if names else None
    return [
        ConfigError(
            f"save_best is {name!r}, which is no figure of the table",
            at="checkpoint.save_best",
            known=known or (),
            hint=did_you_mean(str(name), known or ()),
        )
        for name in names or ()
        if known is not None and name not in (*known, "auto")
    ]


def monitor_problems(config: Config) -> Iterator[ConfigError]:
    """What a schedule watches must be a loss, or a figure that a validation computes."""
    tree = {key: plain(config[key]) for key in config}
    for at, name in monitors(tree.get("param_scheduler")):
        if name.startswith(TRAINING):
            continue  # which losses there are is told by the first step
        if "val_dataloader" not in tree or not tree.get("train_cfg", {}).get("val_interval", 1):
            yield ConfigError(
                f"the schedule watches {name!r} of a validation that never happens",
                at=at,
                expected="val_dataloader and train_cfg.val_interval above 0",
                hint=f"monitor='{TRAINING}loss' watches the training loss",
            )
            continue
        known = _known_figures(config)
        if known is not None and name not in known:
            names = (f"{TRAINING}loss", *known)
            what = f"the schedule watches {name!r}, which is no figure of a validation"
            yield ConfigError(what, at=at, known=names, hint=did_you_mean(name, names))


def _known_figures(config: Config) -> tuple[str, ...] | None:
    """Names of what validation computes; None if a further metric cannot say."""
    from wsoltool.evaluation.rows import BOX_METRICS, CLASS_METRICS, DEFINED_ON_TEST

    known = (*CLASS_METRICS, *BOX_METRICS, *DEFINED_ON_TEST)
    known = () if config.get("evaluation", {}) is None else known
    further = _further_names(plain(config.get("metrics", ())))
    return None if further is None else known + further


def _further_names(metrics: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """The figures that further metrics will give; None if one of them cannot say."""
    from wsoltool.evaluation.further import FurtherMetric

    found: tuple[str, ...] = ()
    for index, settings in enumerate(metrics):
        try:
            metric = catalogue().build(("metric",), settings, f"metrics[{index}]")
        except WsolError:
            return None  # reported where the config names it
        if not isinstance(metric, FurtherMetric):
            return None
        found += metric.figure_names()
    return found
