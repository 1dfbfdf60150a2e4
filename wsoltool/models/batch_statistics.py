"""BatchNorm needs more than one image: which norms look at the batch, and what to do about it."""

from __future__ import annotations

from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsoltool.errors import ConfigError


def norms_on_batch_statistics(model: nn.Module) -> tuple[str, ...]:
    """Names of the BatchNorms in training mode whose statistics are of one process's batch."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.training and not _is_shared(module)
    )


def one_image_problem(model: nn.Module) -> ConfigError | None:
    """Why ``model``, in training mode, cannot train on a batch of one image; None if it can."""
    norms = norms_on_batch_statistics(model)
    if not norms:
        return None
    more = f" and {len(norms) - 1} more" if len(norms) > 1 else ""
    return ConfigError(
        f"a batch of one image a process has no batch statistics for {norms[0]}{more}",
        at="train_dataloader.batch_size",
        expected="two images or more, in the last batch of an epoch too, where BatchNorms train",
        hint="make batch_size larger or set drop_last=True; or keep the backbone's norms as they "
        "are with model.norm_eval=True; or choose a backbone (and inserts) without BatchNorm",
    )


def _is_shared(module: nn.Module) -> bool:
    # SyncBatchNorm of a single process is a BatchNorm.
    return (
        isinstance(module, nn.SyncBatchNorm)
        and distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size(module.process_group) > 1
    )
