"""What the processes of test_distributed.py do; run by torchrun, or alone as the reference.

``two_processes.py step|inserts|schedule|erasing|curve|train|test FOLDER``
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.model import MMDistributedDataParallel
from mmengine.optim.scheduler import ReduceOnPlateauLR
from torch import Tensor, distributed, nn

from wsoltool.config import load_config, plain
from wsoltool.engine.distributed import join_group, wrapper_settings
from wsoltool.engine.erasing import ErasingHook
from wsoltool.engine.learning_curve import LearningCurveHook
from wsoltool.engine.optimization import GroupingConstructor
from wsoltool.engine.schedules import ScheduleHook
from wsoltool.engine.scoring import Scoring, score_checkpoint
from wsoltool.engine.training import training_runner
from wsoltool.evaluation.further_table import figure_rows
from wsoltool.evaluation.table import report
from wsoltool.models.builder import build_localizer
from wsoltool.models.contracts import Eraser, Recalibration
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import Localizer
from wsoltool.structures import Sample, Samples
from wsoltool_plugins.ass.ass import SelectionStrategy

LAUNCHER = "pytorch" if "RANK" in os.environ else "none"
SETTINGS = {
    "train_dataloader.dataset.length": 24,
    "train_dataloader.dataset.image_size": 32,
    "train_dataloader.dataset.in_memory": False,
    "train_dataloader.num_workers": 0,
    "train_dataloader.batch_size": 4,
    "val_dataloader.dataset.length": 7,
    "val_dataloader.dataset.image_size": 32,
    "val_dataloader.num_workers": 0,
    "val_dataloader.batch_size": 4,
    "test_dataloader.dataset.image_size": 32,
    "test_dataloader.num_workers": 0,
    "train_cfg.max_epochs": 1,
    "param_scheduler": [],
    "evaluation.resamples": 20,
    "metrics": [
        {"type": "DetectionMetric", "min_score": 0.0, "resamples": 20},
        {"type": "SegmentationMetric", "resamples": 20},
    ],
}
#: Images with several labels and objects; the classes that are likely differ between them.
SEVERAL = {
    "val_dataloader.num_workers": 0,
    "test_dataloader.dataset.image_size": 64,
    "test_dataloader.num_workers": 0,
    "metrics": [
        {"type": "DetectionMetric", "min_score": 0.4, "ap": "11point", "resamples": 20},
        {"type": "SegmentationMetric", "classes": "predicted", "resamples": 20},
    ],
}
#: Sizes of the test set and its batches. A map's last bits may depend on what it is batched with.
CASES = ((10, 1), (11, 1), (1, 1), (11, 2))
SGD = {"type": "SGD", "lr": 0.5, "momentum": 0.9}
SINGLE = "cam_small_creatures"


class Scale(Recalibration):
    """A factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factor


class HideLabelled(Eraser):
    """Halves the features of images whose label is 1."""

    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        return features * (1 - 0.5 * (samples.labels == 1)).view(-1, 1, 1, 1)


def step(folder: Path) -> None:
    """Two steps of SGD on eight images, each rank on its share of them."""
    take_steps(tiny_localizer(), folder / f"step-{get_rank()}-of-{get_world_size()}.pth")


def inserts(folder: Path) -> None:
    """The same with inserts, at a frozen step and behind it, and with the backbone compiled."""
    model = tiny_localizer(frozen="stage1", norm_eval=True, compile={"backend": "aot_eager"})
    entries = [
        ("stage1", lambda channels, _: Scale(channels)),
        ("stage1", lambda *_: SelectionStrategy(dispersion=4.0)),
        ("conv2", lambda *_: HideLabelled()),
    ]
    model.inserts = Inserts(model.backbone, entries)
    take_steps(model, folder / f"inserts-{get_rank()}-of-{get_world_size()}.pth")


def tiny_localizer(**settings: Any) -> Localizer:
    torch.manual_seed(0)
    backbone = {"type": "SmallNet", "channels": (4, 6)}
    head = {"type": "cam.CAMHead", "num_classes": 3}
    model = build_localizer({"backbone": backbone, "head": head, **settings})
    for name in ("bn1", "bn2"):
        # Statistics of half a batch are not those of the whole one.
        setattr(model.backbone.layers, name, nn.Identity())
    return model


def take_steps(model: Localizer, path: Path) -> None:
    images = torch.randint(256, (8, 16, 16, 3), dtype=torch.uint8)
    items = [Sample(str(i), i % 3, (16, 16), (0.0, 0.0, 16.0, 16.0)) for i in range(8)]
    own = list(range(get_rank(), 8, get_world_size()))
    optimizer = GroupingConstructor({"optimizer": SGD}, {"bias_lr_mult": 2.0})(model)
    wrapped = model
    if LAUNCHER == "pytorch":
        settings = wrapper_settings()
        assert settings.pop("type") == "MMDistributedDataParallel"
        wrapped = MMDistributedDataParallel(model, **settings)
    for _ in range(2):
        batch = {"inputs": images[own], "samples": Samples.of([items[i] for i in own])}
        wrapped.train_step(batch, optimizer)
    torch.save(model.state_dict(), path)


def schedule(folder: Path) -> None:
    """Rates of four epochs of six images whose losses differ, each rank with its share of them."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    watching = ReduceOnPlateauLR(optimizer, monitor="train/loss", patience=0, threshold=0.0)
    runner = SimpleNamespace(
        param_schedulers=[watching], hooks=(), epoch=0, logger=logging.getLogger(__name__)
    )
    hook, found = ScheduleHook(), []
    # The means fall, rise and fall; what rank 0 sees alone falls, falls and rises.
    for losses in ([4, 4, 4, 4, 4, 4], [3, 5, 3, 5, 3, 1], [1, 9, 1, 9, 1, 9], [2, 1, 2, 1, 2, 1]):
        own = torch.tensor(losses[get_rank() :: get_world_size()], dtype=torch.float32)
        hook.before_train_epoch(runner)
        for index, part in enumerate((own[:2], own[2:])):
            batch = {"samples": [None] * len(part)}
            hook.after_train_iter(runner, index, batch, {"loss": part.mean()})
        hook.after_train_epoch(runner)
        rate = optimizer.param_groups[0]["lr"]
        found.append((rate, watching.best, watching.num_bad_epochs))
    name = f"schedule-{get_rank()}-of-{get_world_size()}.json"
    (folder / name).write_text(json.dumps(found))


def erasing(folder: Path) -> None:
    """What is told of an epoch of six images, each rank with its share of them."""
    told: list[str] = []
    hook, eraser = ErasingHook(), SelectionStrategy()
    runner: Any = SimpleNamespace(
        model=SimpleNamespace(inserts=nn.ModuleDict({"late": eraser})),
        logger=SimpleNamespace(info=told.append),
        epoch=0,
        max_epochs=2,
    )
    hook.before_train_epoch(runner)
    passed = torch.tensor([1.0, 0, 1, 0, 1, 1])[get_rank() :: get_world_size()]
    for index, part in enumerate((passed[:1], passed[1:])):
        figures = {"late/passed": part.mean(), "late/hidden area": (1 - part.mean()) / 8}
        hook.after_train_iter(runner, index, {"samples": [None] * len(part)}, figures)
    hook.after_train_epoch(runner)
    name = f"erasing-{get_rank()}-of-{get_world_size()}.json"
    (folder / name).write_text(json.dumps(told))


def curve(folder: Path) -> None:
    """The losses of an epoch of six images, each rank with its share; one is rank 0's alone."""
    hook = LearningCurveHook()
    work_dir = folder / f"curve-on-{get_world_size()}"
    if get_rank() == 0:
        work_dir.mkdir()
    runner: Any = SimpleNamespace(work_dir=str(work_dir), epoch=0, hooks=())
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    losses = torch.tensor([1.0, 2, 2, 4, 4, 8])[get_rank() :: get_world_size()]
    for index, part in enumerate((losses[:1], losses[1:])):
        outputs = {"loss": part.mean(), "accuracy": part.mean()}
        if get_rank() == 0 and index == 0:
            outputs["loss_rare"] = part.mean()
        hook.after_train_iter(runner, index, {"samples": [None] * len(part)}, outputs)
    hook.after_train_epoch(runner)
    hook.after_train(runner)


def train(folder: Path) -> None:
    """An epoch; every rank saves the network that it ends with."""
    config = load_config(f"cam/{SINGLE}.py", SETTINGS)
    runner = training_runner(config, folder)
    runner.train()
    model = getattr(runner.model, "module", runner.model)
    torch.save(model.state_dict(), folder / f"rank-{get_rank()}.pth")
    content = {"wrapper": type(runner.model).__name__, "steps": runner.iter}
    (folder / f"rank-{get_rank()}.json").write_text(json.dumps(content))


def test(folder: Path) -> None:
    """Every metric of saved networks, on test sets that two processes divide, and do not."""
    for size, batch in CASES:
        case = f"{size}-by-{batch}-on-{get_world_size()}.json"
        options = {
            "test_dataloader.dataset.length": size,
            "val_dataloader.batch_size": batch,
            "test_dataloader.batch_size": batch,
        }
        scoring = score(f"cam/{SINGLE}.py", {**SETTINGS, **options}, folder / "model.pth", folder)
        told = content(scoring)
        if get_rank() == 0:
            assert scoring.summary is not None
            told["table"] = report(scoring.summary)
            told["images"] = [str(name) for name in scoring.results.image_ids]
            told["chosen_on"] = len(scoring.runner.val_dataloader.dataset)
        else:
            assert scoring.summary is None
            assert scoring.results is None
            assert scoring.tables == []
        save(told, folder / f"single-{case}")
        config = f"cam/{SINGLE}_multilabel.py"
        scoring = score(config, {**SEVERAL, **options}, several(folder), folder)
        assert scoring.summary is None
        save(content(scoring), folder / f"several-{case}")


def score(config: str, options: dict, checkpoint: Path, folder: Path) -> Scoring:
    """The figures of a config with options."""
    return score_checkpoint(load_config(config, options), checkpoint, folder, LAUNCHER)


def several(folder: Path) -> Path:
    """The checkpoint of an untrained multi-label network."""
    path = folder / "several.pth"
    if LAUNCHER == "none" and not path.exists():
        torch.manual_seed(1)
        config = load_config(f"cam/{SINGLE}_multilabel.py")
        model = build_localizer(plain(config.model))
        torch.save({"meta": {}, "state_dict": model.state_dict()}, path)
    return path


def content(scoring: Scoring) -> dict:
    """Figures, intervals, controls and classes of the further metrics."""
    rows = [row for table in scoring.tables for row in figure_rows(table)]
    return {"further": scoring.further, "rows": rows}


def save(told: dict, path: Path) -> None:
    if get_rank() == 0:
        path.write_text(json.dumps(told))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    join_group(LAUNCHER)
    globals()[sys.argv[1]](Path(sys.argv[2]))
    if distributed.is_initialized():
        distributed.destroy_process_group()
