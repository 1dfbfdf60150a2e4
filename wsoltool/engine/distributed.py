"""Process groups: what mmengine assumes of GPUs, done for CPUs as well."""

from __future__ import annotations

import os
from typing import Any

import torch
from mmengine.dist import init_dist
from torch import distributed as torch_dist

from wsoltool.errors import ConfigError


def join_group(launcher: str) -> None:
    """Join the other processes that ``torchrun`` started; nccl on GPUs, gloo without.

    Args:
        launcher: ``none`` or ``pytorch``.

    Raises:
        ConfigError: ``pytorch`` outside of torchrun, or another launcher.
    """
    if launcher == "none" or torch_dist.is_initialized():
        return
    if launcher != "pytorch":
        raise ConfigError(f"unknown launcher {launcher!r}", expected="none or pytorch")
    if "RANK" not in os.environ:
        raise ConfigError(
            "--launcher pytorch outside of torchrun",
            hint="torchrun --nproc_per_node=N tools/train.py CONFIG --launcher pytorch",
        )
    if torch.cuda.is_available():
        init_dist("pytorch", backend="nccl")
    else:
        torch_dist.init_process_group("gloo")


def wrapper_settings() -> dict[str, Any]:
    """How models are wrapped for several processes."""
    settings: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    if not torch.cuda.is_available():
        settings["device_ids"] = None
    return settings
