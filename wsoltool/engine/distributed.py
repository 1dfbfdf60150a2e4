"""Process groups: what mmengine assumes of GPUs, done for CPUs as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from inspect import signature
from typing import Any, TypeVar

import torch
from mmengine.dist import get_rank, init_dist, is_distributed
from torch import distributed as torch_dist
from torch.nn.parallel import DistributedDataParallel

from wsoltool.errors import ConfigError, WsolError

_Answer = TypeVar("_Answer")
#: How long the others wait for what the main process does alone.
_PATIENCE = timedelta(days=7)


def on_main_process(action: Callable[[], _Answer]) -> _Answer:
    """Do something in the main process alone, while the others wait; all get its answer.

    Args:
        action: Whose answer can be pickled.

    Raises:
        WsolError: In every process, where it fails in the main one.
    """
    if not is_distributed():
        return action()
    told: list[Any] = [None, None]
    failure: BaseException | None = None
    if get_rank() == 0:
        try:
            told[0] = action()
        except BaseException as error:
            # The others must not wait for an answer that never comes.
            failure = error
            told[1] = error if isinstance(error, WsolError) else WsolError(_failed(error))
    torch_dist.broadcast_object_list(told, src=0, group=_waiting_group())
    if failure is not None:
        raise failure
    if told[1] is not None:
        raise told[1]
    return told[0]


def _failed(error: BaseException) -> str:
    return f"the main process failed: {type(error).__name__}: {error}"


@lru_cache(maxsize=1)
def _waiting_group() -> Any:
    # The group of the training gives up after minutes.
    return torch_dist.new_group(backend="gloo", timeout=_PATIENCE)


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
