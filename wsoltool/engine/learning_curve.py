"""Keeps each epoch's losses and validation figures in the work directory, as a table and a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from wsoltool.engine.hooks import headlines, tell
from wsoltool.errors import DataError
from wsoltool.paths import whole_file
from wsoltool.preflight_schedules import TRAINING

TABLE, PLOT = "learning_curve.csv", "learning_curve.png"
COLUMNS = ("epoch", "name", "value")
VALIDATION = "val/"


class Point(NamedTuple):
    """A figure of one epoch.

    Attributes:
        epoch: Counted from 1.
        name: ``train/<loss>``, or ``val/<figure>``.
        value: NaN or infinite where training has diverged.
    """

    epoch: int
    name: str
    value: float


class LearningCurveHook(Hook):
    """Writes ``learning_curve.csv`` after every epoch, ``learning_curve.png`` when it has news.

    The table has a row for each loss (``train/loss`` and its parts: the mean over all images that
    the epoch has trained on, those of all processes) and for each figure of a validation
    (``val/GT-known Loc``). The plot shows the losses, and the headlines of the validations in
    percent; it is drawn after every validation and at the end.

    A resumed run keeps the rows of the epochs that it has; an epoch that it repeats replaces its
    own. A validation that was killed is not repeated, so that its figures are missing. A new run
    in the same folder begins a new table.

    Raises:
        DataError: Before the first epoch of a resumed run, where its table cannot be read.
        WorkDirError: A file cannot be written.
    """

    # Before the checkpoint: no epoch is kept whose losses are not.
    priority = "NORMAL"

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._drawn = 0
        self._sums: dict[str, Tensor] = {}
        self._images: dict[str, int] = {}

    def before_train(self, runner: Runner) -> None:
        self._points, self._drawn = [], 0
        table = Path(runner.work_dir, TABLE)
        if is_main_process() and runner.epoch and table.exists():
            self._points = [p for p in read_points(table) if p.epoch <= runner.epoch]

    def before_train_epoch(self, runner: Runner) -> None:
        self._sums, self._images = {}, {}

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        images = len(data_batch["samples"])
        for name, loss in (outputs or {}).items():
            if "loss" in name:
                # Summed where it is: a number asked of a GPU in every step would wait for it.
                share = images * loss.detach().to(_sum_type(loss))
                self._sums[name] = share + self._sums[name] if name in self._sums else share
                self._images[name] = self._images.get(name, 0) + images

    def after_train_epoch(self, runner: Runner) -> None:
        means = self._means()
        self._add(runner, runner.epoch + 1, {f"{TRAINING}{k}": v for k, v in means.items()})

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        # The epoch counts as done by now.
        self._add(runner, runner.epoch, {f"{VALIDATION}{k}": v for k, v in (metrics or {}).items()})
        self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        self._draw(runner)
        if self._points:
            tell(runner, f"learning curve: {Path(runner.work_dir, PLOT)}")

    def _means(self) -> dict[str, float]:
        """The losses over all images of all processes, the same in each."""
        own = {name: (float(total), self._images[name]) for name, total in self._sums.items()}
        found: dict[str, list[tuple[float, int]]] = {}
        for of_rank in all_gather_object(own):
            for name, figures in of_rank.items():
                found.setdefault(name, []).append(figures)
        sums = {name: map(sum, zip(*figures, strict=True)) for name, figures in found.items()}
        return {name: total / images for name, (total, images) in sums.items()}

    def _add(self, runner: Runner, epoch: int, figures: Mapping[str, float]) -> None:
        if is_main_process() and figures:
            self._points += [Point(epoch, name, float(value)) for name, value in figures.items()]
            write_points(Path(runner.work_dir, TABLE), self._points)

    def _draw(self, runner: Runner) -> None:
        if len(self._points) > self._drawn:
            self._drawn = len(self._points)
            draw(Path(runner.work_dir, PLOT), self._points)


def _sum_type(loss: Tensor) -> torch.dtype:
    """Of sums over an epoch; Apple's GPUs have no float64."""
    return torch.float32 if loss.device.type == "mps" else torch.float64


def write_points(path: Path, points: Iterable[Point]) -> None:
    """Write the table: a header, a row a point, every digit of the value.

    Raises:
        WorkDirError: It cannot be written; what was there before is still there.
    """
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((epoch, name, repr(value)) for epoch, name, value in points)
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def read_points(path: Path) -> list[Point]:
    """Read a table that :func:`write_points` has written.

    Raises:
        DataError: It is not one.
    """
    hint = "move it away: the run then begins a new one, without the epochs before"
    try:
        rows = list(csv.reader(StringIO(path.read_text(encoding="utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"unreadable learning curve: {error}", at=str(path), hint=hint) from error
    if not rows or tuple(rows[0]) != COLUMNS:
        expected = ",".join(COLUMNS)
        raise DataError("no learning curve", at=f"{path}:1", expected=expected, hint=hint)
    points = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            epoch, name, value = row
            points.append(Point(int(epoch), name, float(value)))
        except ValueError as error:
            what = f"no row of a learning curve: {','.join(row)!r}"
            raise DataError(what, at=f"{path}:{line}", hint=hint) from error
    return points


def draw(path: Path, points: Iterable[Point]) -> None:
    """Plot the losses, and the headlines of the validations.

    Raises:
        WorkDirError: It cannot be written.
    """
    # matplotlib takes its time, and only the main process draws.
    from wsoltool.visualization.curves import Panel, curves_png

    losses, figures = _series(points, TRAINING), _series(points, VALIDATION)
    shown = [name for name, _ in headlines(dict.fromkeys(figures, math.nan))]
    panels = [
        Panel("loss, mean over the epoch", losses),
        Panel("train-fullsup, %", {name: figures[name] for name in shown}, (0.0, 100.0)),
    ]
    with whole_file(path) as file:
        file.write(curves_png([panel for panel in panels if panel.series], "epoch"))


def _series(points: Iterable[Point], prefix: str) -> dict[str, dict[int, float]]:
    """Of the names with a prefix, without it: epoch -> value."""
    found: dict[str, dict[int, float]] = {}
    for epoch, name, value in points:
        if name.startswith(prefix):
            found.setdefault(name.removeprefix(prefix), {})[epoch] = value
    return found
