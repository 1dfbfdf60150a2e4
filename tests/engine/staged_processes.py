"""What the processes of test_staged_processes.py do; run by torchrun.

``staged_processes.py soup|failure FOLDER``
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from torch import distributed

from wsoltool.config import load_config
from wsoltool.engine.distributed import join_group, on_main_process
from wsoltool.engine.hooks import EpochSeedHook
from wsoltool.engine.stages import StageWork
from wsoltool.engine.train_stage import Train
from wsoltool.engine.training import train
from wsoltool.errors import WsolError
from wsoltool.plugin import manager
from wsoltool.plugin.manager import Origin

OPTIONS = {
    "train_dataloader.dataset.length": 16,
    "train_dataloader.dataset.image_size": 32,
    "train_dataloader.num_workers": 0,
    "train_dataloader.batch_size": 4,
    "train_cfg.max_epochs": 2,
    "train_cfg.val_interval": 0,
    "param_scheduler": [],
    "stages": {"type": "soups.Soup", "seeds": (1,)},
}
EXAMPLE = Path(__file__).with_name("example") / "soups.py"


def install() -> Any:
    """Make the manual's plugin known; its module."""
    spec = spec_from_file_location("soups", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["soups"] = module
    origins = {**manager.discover(), "soups": [Origin("soups", "soups", "soups of a test")]}
    manager.discover = lambda: origins
    return module


def soup(folder: Path) -> None:
    """A run, the same stopped in its second stage and gone on with, and one that is refused."""
    ran = watch(install().Mean)
    config = load_config("cam/cam_small_creatures.py", OPTIONS)
    train(config, folder / "whole", launcher="pytorch")
    whole = list(ran)
    before, ran[:] = EpochSeedHook.before_train_epoch, []
    EpochSeedHook.before_train_epoch = stop_in(ran, before)
    try:
        train(config, folder / "cut", launcher="pytorch")
    except InterruptedError:
        EpochSeedHook.before_train_epoch = before
    train(config, folder / "cut", launcher="pytorch")
    cut, ran[:] = list(ran), []
    train(config, folder / "cut", launcher="pytorch")
    told = {"whole": whole, "cut": cut, "again": list(ran)}
    config.train_cfg.max_epochs = 3
    told["refused"] = failure_of(lambda: train(config, folder / "cut", launcher="pytorch"))
    (folder / f"soup-{get_rank()}.json").write_text(json.dumps(told))


def watch(mean: type) -> list[tuple[str, bool]]:
    """Stages that ran in this process, and whether they resumed, in a list that grows."""
    ran: list[tuple[str, bool]] = []
    for cls in (Train, mean):

        def run(self: Any, work: StageWork, original: Any = cls.run) -> None:
            ran.append((self.name, work.resume))
            original(self, work)

        cls.run = run
    return ran


def stop_in(ran: list[tuple[str, bool]], before: Any) -> Any:
    def stop(self: Any, runner: Any) -> None:
        if ran[-1][0] == "seed_1" and runner.epoch == 1:
            raise InterruptedError
        before(self, runner)

    return stop


def failure(folder: Path) -> None:
    """The main process answers, fails with an expected error, and with another one."""

    def act(error: Exception) -> None:
        raise error

    told = {
        "answer": on_main_process(lambda: {"rank": get_rank()}),
        "expected": failure_of(lambda: on_main_process(lambda: act(WsolError("no", hint="do")))),
        "other": failure_of(lambda: on_main_process(lambda: act(ValueError("a bug")))),
    }
    (folder / f"failure-{get_rank()}.json").write_text(json.dumps(told))


def failure_of(action: Any) -> str:
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    join_group("pytorch")
    globals()[sys.argv[1]](Path(sys.argv[2]))
    distributed.destroy_process_group()
