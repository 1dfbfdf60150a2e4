"""What the training loop costs beside the network."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.measurement import Measurement, Target, compare
from wsoltool.config import plain
from wsoltool.engine.dataloaders import build_dataloader
from wsoltool.engine.training import training_runner
from wsoltool.preflight import check

SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}


def train_localizer(quick: bool = False) -> Measurement:
    """Epochs of mmengine's Runner, as ``wsoltool train`` builds it, beside a bare torch loop.

    Both train a ResNet18 with a CAM head from the same weights on the same images in the same
    order, through loaders with the same settings, by turns: a bare epoch, one of the Runner's, and
    so on. An epoch counts from the first hook to the last, the start of the workers and the log's
    and progress lines included; validation and checkpoints are not in it.
    """
    config = _quick_config() if quick else training_config(image_size=128, length=256, epochs=5)
    check(config, "train")
    # Progress lines are written and counted, but do not belong among the results.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        runner = training_runner(config, Path(folder))
        rival = BareLoop(deepcopy(runner.model), _second_loader(runner.train_dataloader, config))
        rival.warm_up()
        window = Window(rival.run_epoch)
        runner.register_hook(StartOfWindow(window))
        runner.register_hook(EndOfWindow(window))
        runner.train()
    return compare(
        "training-loop", "images/s", Target("ratio", above=0.95), window.ours, window.reference
    )


def training_config(image_size: int, length: int, epochs: int, batch_size: int = 32) -> Config:
    """ResNet18 and CAM on creatures, drawn once; no validation, a checkpoint after the end."""
    dataset = {"type": "Creatures", "image_size": image_size, "length": length, "in_memory": True}
    sections = {
        "model": {
            "type": "Localizer",
            "backbone": {"type": "ResNet18"},
            "head": {"type": "cam.CAMHead", "num_classes": 10},
        },
        "train_dataloader": {"batch_size": batch_size, "num_workers": 2, "dataset": dataset},
        "train_cfg": {"max_epochs": epochs, "val_interval": 0},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", **SGD}},
        "checkpoint": {"interval": epochs},
    }
    return Config(sections, cfg_text="# of tools/benchmark.py\n", filename="training_loop.py")


def _quick_config() -> Config:
    return training_config(image_size=32, length=16, epochs=2, batch_size=8)


def _second_loader(loader: DataLoader, config: Config) -> DataLoader:
    settings = plain(config.train_dataloader)
    return build_dataloader(loader.dataset, settings, training=True, seed=loader.sampler.seed)


class BareLoop:
    """Training as a tutorial writes it, for a localizer.

    Args:
        model: The localizer; it is trained.
        loader: Its batches.
    """

    def __init__(self, model: nn.Module, loader: DataLoader) -> None:
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.SGD(model.parameters(), **SGD)

    def run_epoch(self, epoch: int) -> int:
        """The number of images trained on."""
        self.loader.sampler.set_epoch(epoch)
        self.model.train()
        images = 0
        for batch in self.loader:
            images += self.step(batch)
        return images

    def step(self, batch: dict[str, Any]) -> int:
        data = self.model.data_preprocessor(batch, training=True)
        loss = sum(self.model(**data, mode="loss").values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return len(batch["inputs"])

    def warm_up(self) -> None:
        """A step whose result is thrown away, for what is done at the first one alone."""
        state = deepcopy(self.model.state_dict())
        self.step(next(iter(self.loader)))
        self.model.load_state_dict(state)
        self.optimizer = torch.optim.SGD(self.model.parameters(), **SGD)


class Window:
    """Images per second of the Runner's epochs, and of the bare ones run before each.

    Args:
        bare_epoch: Runs the reference's epoch of a number, answers how many images it had.
    """

    def __init__(self, bare_epoch: Callable[[int], int]) -> None:
        self.bare_epoch = bare_epoch
        self.ours: list[float] = []
        self.reference: list[float] = []

    def start(self, epoch: int) -> None:
        start = _now()
        self.images = self.bare_epoch(epoch)
        self.reference.append(self.images / (_now() - start))
        self._started = _now()

    def end(self) -> None:
        self.ours.append(self.images / (_now() - self._started))


class StartOfWindow(Hook):
    """Before every other hook of an epoch."""

    priority = "HIGHEST"

    def __init__(self, window: Window) -> None:
        self.window = window

    def before_train_epoch(self, runner: Any) -> None:
        self.window.start(runner.epoch)


class EndOfWindow(Hook):
    """After the schedule's, the log's and the progress hook, before the checkpoint's."""

    priority = 80  # ProgressHook has 70 (LOW), mmengine's CheckpointHook 90 (VERY_LOW)

    def __init__(self, window: Window) -> None:
        self.window = window

    def after_train_epoch(self, runner: Any) -> None:
        self.window.end()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
