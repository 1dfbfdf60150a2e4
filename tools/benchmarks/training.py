"""What the training loop costs beside the network."""

from __future__ import annotations

import io
import tempfile
import time
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.measurement import Measurement, Target, compare, one_thread
from wsoltool.config import plain
from wsoltool.engine.dataloaders import build_dataloader
from wsoltool.engine.runner import QuietRunner
from wsoltool.engine.training import training_runner
from wsoltool.preflight import check

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
WINDOW = 2  # iterations; a line of the log and of progress belongs to each


def train_localizer(quick: bool = False) -> Measurement:
    """mmengine's Runner, as ``wsoltool train`` builds it, beside a bare torch loop.

    Both train a ResNet18 with a CAM head from the same weights on the same images in the same
    order, through loaders with the same settings, by turns of two iterations; the first turns are
    not counted. Everything between two iterations is: batches, hooks, logs, progress. Validation
    and checkpoints are not. A CPU works with one thread, which leaves a core to the workers.
    """
    sizes = (32, 8, 2) if quick else (128, 32, 10)
    # Progress lines are written and counted, but do not belong among the results.
    with tempfile.TemporaryDirectory() as folder, one_thread(), redirect_stdout(io.StringIO()):
        runner, turns = alternating_runner(training_config(*sizes), Path(folder))
        runner.train()
    return compare(
        "training-loop", "images/s", Target("ratio", above=0.95), turns.ours, turns.reference
    )


def training_config(image_size: int, batch_size: int, turns: int) -> Config:
    """ResNet18 and CAM for one epoch of creatures, drawn once; no validation."""
    length = turns * WINDOW * batch_size
    dataset = {"type": "Creatures", "image_size": image_size, "length": length, "in_memory": True}
    sections = {
        "model": {
            "type": "Localizer",
            "backbone": {"type": "ResNet18"},
            "head": {"type": "cam.CAMHead", "num_classes": 10},
        },
        "train_dataloader": {"batch_size": batch_size, "num_workers": 2, "dataset": dataset},
        "train_cfg": {"max_epochs": 1, "val_interval": 0},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", **SGD}},
        "log_interval": WINDOW,
    }
    config = Config(sections, cfg_text="# of tools/benchmark.py\n", filename="training_loop.py")
    check(config, "train")
    return config


def alternating_runner(config: Config, work_dir: Path) -> tuple[QuietRunner, Turns]:
    """A Runner, and the hook in it that runs the bare loop by turns."""
    runner = training_runner(config, work_dir)
    settings, loader = plain(config.train_dataloader), runner.train_dataloader
    second = build_dataloader(loader.dataset, settings, training=True, seed=loader.sampler.seed)
    turns = Turns(BareLoop(deepcopy(runner.model), second))
    runner.register_hook(turns)
    return runner, turns


class BareLoop:
    """Training as a tutorial writes it, for a localizer.

    Args:
        model: The localizer; it is trained.
        loader: Its batches.
    """

    def __init__(self, model: nn.Module, loader: DataLoader) -> None:
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.SGD(model.parameters(), **SGD)

    def start(self) -> None:
        self.model.train()
        self.batches = iter(self.loader)

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            data = self.model.data_preprocessor(next(self.batches), training=True)
            loss = sum(self.model(**data, mode="loss").values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class Turns(Hook):
    """After every window of the Runner's iterations, as many bare ones; speeds of both.

    Args:
        bare: The reference.

    Attributes:
        ours: Images per second of the Runner, by turn.
        reference: Likewise, of the bare loop.
    """

    priority = "LOWEST"

    def __init__(self, bare: BareLoop) -> None:
        self.bare = bare
        self.ours: list[float] = []
        self.reference: list[float] = []

    def before_train_epoch(self, runner: QuietRunner) -> None:
        self.bare.start()
        self._begun = _now()

    def after_train_iter(
        self, runner: QuietRunner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if (batch_idx + 1) % WINDOW:
            return
        images, middle = WINDOW * len(data_batch["samples"]), _now()
        self.bare.run(WINDOW)
        end = _now()
        if batch_idx >= WINDOW:  # the first turns pay for what is done once
            self.ours.append(images / (middle - self._begun))
            self.reference.append(images / (end - middle))
        self._begun = _now()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
