"""What happens around training: plain checkpoints, seeds for each epoch, equal ranks, progress."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import chain
from typing import Any

from mmengine.dist import all_reduce_params, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner, set_random_seed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text
from torch.nn.modules.batchnorm import _BatchNorm

from wsoltool import __version__
from wsoltool.engine.checkpoints import from_plain, to_plain
from wsoltool.evaluation.data_entries import data_lines


class PlainCheckpointHook(CheckpointHook):
    """Saves checkpoints that load with ``weights_only=True``, and restores the log from them.

    The class names are saved too, so that photos can be localized without the data set, and which
    images the network was trained on.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        dataset = runner.train_dataloader.dataset
        checkpoint["meta"].update(
            wsoltool_version=__version__,
            classes=list(dataset.classes),
            data={dataset.split: dataset.provenance.plain()},
        )
        for key in [key for key in checkpoint if key not in ("state_dict", "optimizer")]:
            checkpoint[key] = to_plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if "message_hub" in checkpoint:
            checkpoint["message_hub"] = {
                key: from_plain(value) for key, value in checkpoint["message_hub"].items()
            }


class EpochSeedHook(Hook):
    """Seeds every epoch by its number, so that a resumed run repeats an uninterrupted one.

    Without it mmengine's workers draw the same numbers in every epoch, and the main process
    continues after a resume from a state that nobody saved.
    """

    priority = "VERY_HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        set_random_seed(runner.seed + 1009 * runner.epoch + 7919 * runner.rank)


class SyncStatisticsHook(Hook):
    """Averages BatchNorm's running statistics over the ranks after every epoch.

    Gradients are shared at every step, running statistics are not: without this, every rank would
    validate another network, and the checkpoint would hold what the first rank alone has seen.
    """

    def after_train_epoch(self, runner: Runner) -> None:
        norms = (m for m in runner.model.modules() if isinstance(m, _BatchNorm))
        statistics = ((m.running_mean, m.running_var) for m in norms if m.track_running_stats)
        all_reduce_params(list(chain.from_iterable(statistics)), op="mean")


class ProgressHook(Hook):
    """Tells what is going on: a bar on a terminal, lines elsewhere.

    Writes images per second into the log as well (``images_per_s``), over all ranks.

    Args:
        interval: Iterations between two lines where the output is no terminal.
    """

    # Before the logger, which writes the speed.
    priority = "NORMAL"

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self.console = Console(highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._started = self._images = 0.0

    def before_train(self, runner: Runner) -> None:
        self._tell_data(runner)
        self._start(runner, "training", runner.max_iters, completed=runner.iter)

    def before_train_epoch(self, runner: Runner) -> None:
        self._restart_clock()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        speed = self._speed(runner, data_batch)
        runner.message_hub.update_scalar("train/images_per_s", speed)
        loss = outputs["loss"].detach().item() if outputs else float("nan")
        text = f"epoch {runner.epoch + 1}/{runner.max_epochs}  loss {loss:.3f}"
        self._step(text, runner.iter + 1, runner.max_iters, speed, runner.world_size)

    def after_train(self, runner: Runner) -> None:
        self.close()

    def before_val_epoch(self, runner: Runner) -> None:
        self._restart_clock()

    def before_test_epoch(self, runner: Runner) -> None:
        self._restart_clock()
        self._start(runner, "testing", len(runner.test_dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        speed = self._speed(runner, data_batch)
        total = len(runner.test_dataloader)
        self._step("testing", batch_idx + 1, total, speed, runner.world_size)

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self.close()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        if is_main_process() and metrics:
            shown = [f"{name} {value:.2f}" for name, value in headlines(metrics)]
            self.console.print("train-fullsup: " + "  ".join(shown))

    def _tell_data(self, runner: Runner) -> None:
        """Whether images of the training set were left out."""
        dataset = runner.train_dataloader.dataset
        for line in data_lines({dataset.split: dataset.provenance.plain()}):
            self.tell(runner, line)

    def tell(self, runner: Runner, line: str) -> None:
        """Write a line into the log, and for people, above the bar."""
        runner.logger.info(line)
        if is_main_process():
            self.console.print(Text(line))

    def _restart_clock(self) -> None:
        self._started, self._images = time.perf_counter(), 0.0

    def _speed(self, runner: Runner, data_batch: Any) -> float:
        self._images += len(data_batch["samples"]) * runner.world_size
        return self._images / max(time.perf_counter() - self._started, 1e-9)

    def _start(self, runner: Runner, what: str, total: int, completed: int = 0) -> None:
        self._begun, self._first = time.perf_counter(), completed
        if is_main_process() and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, console=self.console)
            self._task = self._bar.add_task(what, total=total, completed=completed)
            self._bar.start()

    def _step(self, text: str, done: int, total: int, speed: float, world_size: int) -> None:
        spent = time.perf_counter() - self._begun
        left = timedelta(seconds=round(spent / (done - self._first) * (total - done)))
        text = f"{text}  {speed:.0f} images/s  {left} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif is_main_process() and (done % self.interval == 0 or done == total):
            self.console.print(f"{text}  ({done}/{total})")

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def tell(runner: Runner, line: str) -> None:
    """Write a line into the log, and for people; for hooks that do not show progress themselves."""
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.tell(runner, line)


def headlines(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """The few of a validation's figures that people are shown, in percent."""
    wanted = ("Top-1 Cls", "GT-known Loc", "MaxBoxAccV2")
    names = [name for name in wanted if name in metrics] or _first_of_each(metrics)
    return [(name, metrics[name]) for name in names]


def _first_of_each(names: Iterable[str], count: int = 4) -> list[str]:
    """Without the localization table: ``count`` figures, but two of each further metric at least.

    Metrics are told apart by what their figures' names begin with.
    """
    metrics: dict[str, list[str]] = {}
    for name in names:
        metrics.setdefault(name.rpartition("/")[0], []).append(name)
    share = max(2, count // max(len(metrics), 1))
    return [name for own in metrics.values() for name in own[:share]]
