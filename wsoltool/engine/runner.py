"""Makes mmengine's Runner out of a checked config and built parts."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner, set_random_seed
from torch import nn

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset
from wsoltool.engine.distributed import wrapper_settings
from wsoltool.engine.erasing import ErasingHook
from wsoltool.engine.hooks import (
    EpochSeedHook,
    PlainCheckpointHook,
    ProgressHook,
    SyncStatisticsHook,
)
from wsoltool.engine.learning_curve import LearningCurveHook
from wsoltool.engine.optimization import Bfloat16OptimWrapper, as_config_error, with_constructor
from wsoltool.engine.schedules import ScheduleHook
from wsoltool.errors import CheckpointError, ConfigError, WsolError
from wsoltool.models.losses import MULTI_LABEL_HINT, CrossEntropy
from wsoltool.paths import writable_folder
from wsoltool.plugin.manager import build

DEFAULT_SEED = 0


class QuietRunner(Runner):
    """mmengine's Runner whose log goes to a file; people see progress and results instead."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(_concerns_people)
        return logger

    def dump_config(self) -> None:
        """Nothing: training saves the config as people wrote it, without mmengine's own keys."""

    def train(self) -> Any:
        with self._progress_closed():
            return super().train()

    def test(self) -> Any:
        with self._progress_closed():
            return super().test()

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        try:
            super().resume(filename, *args, **kwargs)
        except ValueError as error:
            if isinstance(error, WsolError) or "parameter group" not in str(error):
                raise
            raise CheckpointError(
                f"the optimizer's parameter groups are others: {error}",
                at=filename,
                expected="the model.frozen and optim_wrapper.paramwise_cfg that the run began with",
                hint="load_from=<checkpoint> starts anew from its weights",
            ) from error

    @contextmanager
    def _progress_closed(self) -> Iterator[None]:
        # A bar that an error leaves behind would hide the terminal's cursor.
        try:
            yield
        finally:
            for hook in self.hooks:
                if isinstance(hook, ProgressHook):
                    hook.close()

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        with as_config_error("optim_wrapper"):
            if isinstance(optim_wrapper, Mapping):
                optim_wrapper = with_constructor(optim_wrapper)
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        with as_config_error("param_scheduler"):
            return super().build_param_scheduler(scheduler)


def _concerns_people(record: logging.LogRecord) -> bool:
    # mmengine warns at every start of its own file clients' end.
    return not any(name in record.getMessage() for name in ("FileClient", "HardDiskBackend"))


def seed_of(config: Config) -> int:
    """The run's seed."""
    return config.get("randomness", {}).get("seed", DEFAULT_SEED)


def seed_everything(config: Config) -> int:
    """Seed all generators, before any part is built; the seed is returned."""
    seed = seed_of(config)
    set_random_seed(seed)
    return seed


def work_dir_of(config: Config, work_dir: str | Path | None = None) -> Path:
    """The run's folder: the argument, the config's, or ``work_dirs/<config name>``; made if needed.

    Raises:
        WorkDirError: It cannot be written.
    """
    return writable_folder(planned_work_dir(config, work_dir), "--work-dir")


def planned_work_dir(config: Config, work_dir: str | Path | None = None) -> Path:
    """The run's folder, which need not exist."""
    default = Path("work_dirs") / Path(config.filename).stem
    return Path(work_dir or config.get("work_dir") or default)


def check_class_count(num_classes: int, dataset: LocalizationDataset, loader: str) -> None:
    """Raise when the head and the data disagree about the number of classes."""
    found = len(dataset.classes)
    if num_classes != found:
        raise ConfigError(
            f"the head has {num_classes} classes, the data set has {found}",
            at=f"model.head.num_classes against {loader}.dataset",
            expected=f"model.head.num_classes={found}",
        )


def check_labels(model: nn.Module, dataset: LocalizationDataset, loader: str) -> None:
    """Raise when the loss takes one class an image, and an image of the data set has not one."""
    losses = [own for own in model.modules() if isinstance(own, CrossEntropy)]
    if not dataset.multi_label or all(loss.multi_label == "share" for loss in losses):
        return
    for index in range(len(dataset)):
        count = np.count_nonzero(dataset.label(index))
        if count != 1:
            raise ConfigError(
                f"CrossEntropy takes one class an image, but {dataset.image_ids[index]!r} of "
                f"{loader}.dataset has {count}",
                at="model.head.loss",
                hint=MULTI_LABEL_HINT,
            )


def build_runner(config: Config, work_dir: Path, **parts: Any) -> QuietRunner:
    """A Runner of built parts (model, dataloaders, evaluators), with the toolbox's hooks.

    Args:
        config: Saved in the checkpoints.
        work_dir: Of logs and checkpoints.
        parts: Passed to mmengine's Runner.
    """
    kept = config.copy()
    kept["model_wrapper_cfg"] = wrapper_settings()
    log_interval = config.get("log_interval", 50)
    checkpoint = {
        "interval": 1,
        "max_keep_ckpts": 2,
        "save_param_scheduler": bool(config.get("param_scheduler")),
        **plain(config.get("checkpoint", {})),
    }
    # A test's Runner validates too, in the training's folder: the curve there is the training's.
    curve = [LearningCurveHook()] if "train_dataloader" in parts else []
    hooks: list[Hook] = [
        build("runner hook", hook, f"custom_hooks[{index}]")
        for index, hook in enumerate(plain(config.get("custom_hooks", [])))
    ]
    for metric in (*parts.get("val_evaluator", ()), *parts.get("test_evaluator", ())):
        if metric.collect_device == "cpu" and metric.collect_dir is None:
            # Ranks hand over results in a folder: not the current one, which may be read-only.
            metric.collect_dir = str(work_dir / ".results")
    randomness = {"seed": seed_of(config), **plain(config.get("randomness", {}))}
    with warnings.catch_warnings():
        # mmengine asks its own deprecated file client for every checkpoint hook.
        warnings.simplefilter("ignore", DeprecationWarning)
        return QuietRunner(
            work_dir=str(work_dir),
            # Without a launcher mmengine would train every process on its own.
            launcher="pytorch" if is_distributed() else "none",
            cfg=kept,
            experiment_name=f"{Path(config.filename).stem}_{time.time_ns()}",
            default_hooks={
                "checkpoint": {"type": PlainCheckpointHook, **checkpoint},
                "logger": {"type": "LoggerHook", "interval": log_interval},
                "param_scheduler": {"type": ScheduleHook},
            },
            custom_hooks=[
                EpochSeedHook(),
                SyncStatisticsHook(),
                ProgressHook(log_interval),
                ErasingHook(),
                *curve,
                *hooks,
            ],
            randomness=randomness,
            env_cfg={"mp_cfg": {"opencv_num_threads": 0}, "dist_cfg": {"backend": "nccl"}},
            **parts,
        )


def use_amp(optim_wrapper: dict[str, Any]) -> dict[str, Any]:
    """The optimizer's config for mixed precision: float16 on GPUs, bfloat16 on CPUs."""
    if not torch.cuda.is_available():
        return {**optim_wrapper, "type": Bfloat16OptimWrapper}
    return {**optim_wrapper, "type": "AmpOptimWrapper", "dtype": "float16"}
