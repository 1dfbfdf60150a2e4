"""Process groups: what mmengine assumes of GPUs, done for CPUs as well."""

from __future__ import annotations

import os
from inspect import signature
from typing import Any

import torch
from mmengine.dist import init_dist
from torch import distributed as torch_dist
from torch.nn.parallel import DistributedDataParallel

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
    # mmengine would choose the same, and warn.
    os.environ.setdefault("MKL_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    if torch.cuda.is_available():
        init_dist("pytorch", backend="nccl")
    else:
        torch_dist.init_process_group("gloo")


def wrapper_settings() -> dict[str, Any]:
    """How models are wrapped for several processes."""
    # Buffers are not copied at every step; torch has renamed the argument that says so.
    known = signature(DistributedDataParallel).parameters
    key = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {"type": "MMDistributedDataParallel", key: False}
    if not torch.cuda.is_available():
        settings["device_ids"] = None
    return settings
