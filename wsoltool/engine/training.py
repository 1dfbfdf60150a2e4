"""Training a localizer from a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.collate import check_classes, check_disjoint
from wsoltool.engine.checkpoints import latest_checkpoint, load_weights, read_checkpoint
from wsoltool.engine.dataloaders import (
    build_dataloader,
    build_dataset,
    check_batch_size,
    check_last_batch,
)
from wsoltool.engine.distributed import join_group
from wsoltool.engine.metrics import build_training_metrics, prepare_scoring
from wsoltool.engine.optimization import optimizer_lines
from wsoltool.engine.runner import (
    QuietRunner,
    build_runner,
    check_class_count,
    check_labels,
    seed_everything,
    use_amp,
    work_dir_of,
)
from wsoltool.engine.stage_list import LAST, is_staged
from wsoltool.engine.stage_records import RECORD
from wsoltool.engine.staged_training import train_stages
from wsoltool.errors import CheckpointError, ConfigError, WorkDirError
from wsoltool.models.builder import build_localizer
from wsoltool.models.localizer import Localizer
from wsoltool.paths import whole_file
from wsoltool.preflight import check


def train(
    config: Config,
    work_dir: str | Path | None = None,
    resume: bool = False,
    amp: bool = False,
    launcher: str = "none",
    redo: Sequence[str] = (),
) -> Path:
    """Train, validate on train-fullsup, save checkpoints; answers the path of ``last.pth``.

    ``last.pth`` holds the weights after the last epoch and the class names; the checkpoints
    ``epoch_*.pth`` hold the optimizer's state too, for ``resume``. A config with ``stages`` goes
    through them, see :func:`wsoltool.engine.staged_training.train_stages`.

    Args:
        config: As :func:`wsoltool.config.load_config` returns it.
        work_dir: Of logs and checkpoints; ``work_dirs/<config name>`` by default.
        resume: Go on after the newest checkpoint in ``work_dir``.
        amp: Mixed precision.
        launcher: ``none``, or ``pytorch`` under torchrun.
        redo: Stages to begin anew, with all later ones that need them.

    Raises:
        WsolError: Before any training, for whatever the config, data or folders lack.
    """
    check(config, "train")
    if is_staged(config):
        return train_stages(config, work_dir, resume, amp, launcher, redo)
    if redo:
        raise ConfigError(
            "there are no stages to redo", at="--redo", expected="a config with stages"
        )
    folder = work_dir_of(config, work_dir)
    _refuse_stages(folder)
    join_group(launcher)
    runner = training_runner(config, folder, resume=resume, amp=amp)
    runner.train()
    if is_main_process():
        _publish(folder)
    return folder / LAST


def _refuse_stages(folder: Path) -> None:
    if stages := sorted(folder.glob(f"*/{RECORD}")):
        raise WorkDirError(
            f"the work directory is that of a training in stages: {stages[0].parent.name!r}",
            at=str(folder),
            expected="a folder of another run without stages, or an empty one",
            hint="name another --work-dir",
        )


def _publish(folder: Path) -> None:
    newest = latest_checkpoint(folder)
    if newest is None:
        raise CheckpointError("training ended without a checkpoint", at=str(folder))
    content = read_checkpoint(newest)
    with whole_file(folder / LAST) as file:
        torch.save({key: content[key] for key in ("meta", "state_dict")}, file)


def training_runner(
    config: Config, work_dir: Path, resume: bool = False, amp: bool = False
) -> QuietRunner:
    """A Runner that is ready to train; the config must have passed the preflight."""
    work_dir.mkdir(parents=True, exist_ok=True)
    seed = seed_everything(config)
    parts: dict[str, Any] = {}
    model = build_localizer(plain(config.model))
    optimizer = plain(config.optim_wrapper)
    settings = plain(config.train_dataloader)
    # What the model alone shows to be wrong is told before the data are looked for.
    optimizer_lines(model, optimizer)
    check_batch_size(model, settings)
    train_set = build_dataset(config, "train_dataloader")
    parts["train_dataloader"] = build_dataloader(train_set, settings, training=True, seed=seed)
    check_last_batch(model, parts["train_dataloader"])
    val_interval = config.train_cfg.get("val_interval", 1)
    parts["train_cfg"] = {
        "by_epoch": True,
        "max_epochs": config.train_cfg.get("max_epochs"),
        "val_interval": val_interval or 1,
    }
    if "val_dataloader" in config and val_interval:
        parts |= _validation(config, train_set, model, seed)
    check_class_count(model.head.num_classes, train_set, "train_dataloader")
    check_labels(model, train_set, "train_dataloader")
    parts["optim_wrapper"] = use_amp(optimizer) if amp else optimizer
    parts["param_scheduler"] = plain(config.get("param_scheduler", [])) or None
    parts |= _start(config, work_dir, resume, model)
    if is_main_process():
        config.dump(work_dir / Path(config.filename).name)
    return build_runner(config, work_dir, model=model, **parts)


def _validation(
    config: Config, train_set: LocalizationDataset, model: Localizer, seed: int
) -> dict[str, Any]:
    val_set = build_dataset(config, "val_dataloader")
    check_disjoint([train_set, val_set])
    check_classes([train_set, val_set])
    metrics = build_training_metrics(config, model.boxes)
    prepare_scoring(model, metrics, val_set, "val_dataloader")
    settings = plain(config.val_dataloader)
    return {
        "val_dataloader": build_dataloader(val_set, settings, training=False, seed=seed),
        "val_cfg": {},
        "val_evaluator": metrics,
    }


def _start(config: Config, work_dir: Path, resume: bool, model: Any) -> dict[str, Any]:
    """Where the weights come from: nowhere, another run, or the run that is resumed."""
    if resume:
        newest = latest_checkpoint(work_dir)
        if newest is None:
            raise CheckpointError(
                "nothing to resume",
                at=str(work_dir),
                expected="a checkpoint of an earlier run in the work directory",
                hint="leave out --resume to start afresh",
            )
        load_weights(model, read_checkpoint(newest)["state_dict"], newest)
        return {"load_from": str(newest), "resume": True}
    if config.get("load_from"):
        load_weights(model, read_checkpoint(config.load_from)["state_dict"], config.load_from)
    return {}
