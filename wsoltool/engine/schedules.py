"""Schedules that wait for a plateau, fed with the training loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler import ReduceOnPlateauParamScheduler
from mmengine.runner import Runner

from wsoltool.engine.hooks import tell
from wsoltool.errors import ConfigError, did_you_mean
from wsoltool.preflight_schedules import TRAINING


class ScheduleHook(ParamSchedulerHook):
    """Steps all schedules, and feeds those that watch a training loss with its mean of the epoch.

    mmengine steps ``ReduceOnPlateauLR`` behind a validation, with what that has computed. Here a
    ``monitor`` of ``train/loss``, or of another loss of the model's, is the mean over all images
    that the epoch has trained on, those of all processes, and the schedule is stepped after every
    epoch. All else is mmengine's: ``patience`` (epochs without improvement that are borne; the
    next one lowers the rate), ``threshold``, ``cooldown``, ``min_value``, ``begin``, ``end``.

    A mean that is no finite number is no sign of a plateau: the schedule stands still then, and
    a warning says so.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._images = 0

    def before_train_epoch(self, runner: Runner) -> None:
        losses = {scheduler.monitor for _, scheduler in _watching(runner, training=True)}
        self._sums = dict.fromkeys(sorted(losses), 0.0)
        self._images = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if not self._sums:
            return
        found = {f"{TRAINING}{name}": value for name, value in (outputs or {}).items()}
        if not self._images:  # the losses have the same names in every batch
            _check_monitors(runner, found, training=True)
        images = len(data_batch["samples"])
        self._images += images
        for name in self._sums:
            self._sums[name] += images * found[name].detach().item()

    def after_train_epoch(self, runner: Runner) -> None:
        # Counts the epoch for all schedules, as mmengine does before its validation.
        super().after_train_epoch(runner)
        if self._sums:
            means = self._means()
            told = ", ".join(f"{name} {mean:.6g}" for name, mean in means.items())
            runner.logger.info(f"epoch {runner.epoch + 1}: mean {told}")
            for _, scheduler in _watching(runner, training=True):
                _step(runner, scheduler, means)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if metrics is None:
            return
        _check_monitors(runner, metrics, training=False)
        for _, scheduler in _watching(runner, training=False):
            _step(runner, scheduler, metrics)

    def _means(self) -> dict[str, float]:
        """The losses over all images of all processes, the same in each."""
        sums = torch.tensor([*self._sums.values(), self._images], dtype=torch.float64)
        all_reduce(sums)
        *totals, images = sums.tolist()
        return {name: total / images for name, total in zip(self._sums, totals, strict=True)}


def _watching(runner: Runner, training: bool) -> list[tuple[int, ReduceOnPlateauParamScheduler]]:
    """(place in the config, schedule) of those that watch training, or else validation."""
    schedulers = runner.param_schedulers
    return [
        (index, scheduler)
        for index, scheduler in enumerate(schedulers if isinstance(schedulers, list) else ())
        if isinstance(scheduler, _ParamScheduler)
        and getattr(scheduler, "need_val_args", False)
        and scheduler.monitor.startswith(TRAINING) is training
    ]


def _check_monitors(runner: Runner, found: Mapping[str, Any], training: bool) -> None:
    for index, scheduler in _watching(runner, training):
        if scheduler.monitor not in found:
            raise ConfigError(
                f"the schedule watches {scheduler.monitor!r}, which is not computed",
                at=f"param_scheduler[{index}].monitor",
                known=found,
                hint=did_you_mean(scheduler.monitor, found),
            )


def _step(
    runner: Runner, scheduler: ReduceOnPlateauParamScheduler, figures: Mapping[str, float]
) -> None:
    """Step a schedule and tell when it lowers what it adjusts."""
    name, figure = scheduler.monitor, float(figures[scheduler.monitor])
    if not math.isfinite(figure):
        what = f"{name} of epoch {runner.epoch + 1} is {figure}: the schedule passes the epoch over"
        runner.logger.warning(what)
        return
    before, bound, epochs = _values(scheduler), _bound(scheduler), scheduler.num_bad_epochs + 1
    scheduler.step({name: figure})
    after = _values(scheduler)
    if after != before:
        moved = dict.fromkeys(zip(before, after, strict=True))
        change = ", ".join(f"{old:.6g} -> {new:.6g}" for old, new in moved)
        verb = "fallen below" if scheduler.rule == "less" else "risen above"
        times = f"{epochs} epochs" if epochs > 1 else "1 epoch"
        line = f"{scheduler.param_name} {change}: {name} has not {verb} {bound:.4g} for {times}"
        tell(runner, line)


def _values(scheduler: ReduceOnPlateauParamScheduler) -> list[float]:
    return [float(group[scheduler.param_name]) for group in scheduler.optimizer.param_groups]


def _bound(scheduler: ReduceOnPlateauParamScheduler) -> float:
    """The value that the figure must pass to count as better."""
    sign = -1 if scheduler.rule == "less" else 1
    if scheduler.threshold_rule == "rel":
        return scheduler.best * (1 + sign * scheduler.threshold)
    return scheduler.best + sign * scheduler.threshold
