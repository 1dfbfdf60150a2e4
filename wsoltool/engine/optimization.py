"""Optimizers in few parameter groups, and mixed precision that also runs where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from mmengine.runner import autocast
from torch import nn
from torch.optim import Optimizer

from wsoltool.engine.parameter_groups import (
    FROZEN,
    ParameterGroup,
    group_lines,
    parameter_groups,
    paramwise_problems,
)
from wsoltool.errors import ConfigError, WsolError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupingConstructor(DefaultOptimWrapperConstructor):
    """Builds an optimizer whose groups are those of different options; the default constructor.

    mmengine's own makes a group of every parameter, and torch updates group by group: its
    updates of many tensors at once would never have more than one.

    Args:
        optim_wrapper_cfg: ``optim_wrapper`` of the config, without ``paramwise_cfg``.
        paramwise_cfg: See :func:`~wsoltool.engine.parameter_groups.parameter_groups`.

    Raises:
        ConfigError: A value of ``paramwise_cfg`` is wrong; when called, it does not fit the model.
    """

    def _validate_cfg(self) -> None:
        for problem in paramwise_problems(
            self.optimizer_cfg, self.paramwise_cfg, "optim_wrapper.paramwise_cfg"
        ):
            raise problem

    def groups(self, model: nn.Module) -> list[ParameterGroup]:
        """The parameter groups of a model, wrapped for several processes or not."""
        model = getattr(model, "module", model)
        return parameter_groups(model, self.optimizer_cfg, self.paramwise_cfg)

    def optimizer(self, groups: list[ParameterGroup]) -> Optimizer:
        """The optimizer of all groups that train."""
        cls = OPTIMIZERS.get(self.optimizer_cfg["type"])
        first_argument = next(iter(signature(cls).parameters))
        trained = [
            {"params": list(group.parameters.values()), **group.options}
            for group in groups
            if group.rules != [FROZEN]
        ]
        return OPTIMIZERS.build({**self.optimizer_cfg, first_argument: trained})

    def lines(self, groups: list[ParameterGroup], optimizer: Optimizer) -> list[str]:
        """What is trained how, for people."""
        return [f"optimizer: {type(optimizer).__name__}", *group_lines(groups, optimizer.defaults)]

    def __call__(self, model: nn.Module) -> OptimWrapper:
        groups = self.groups(model)
        optimizer = self.optimizer(groups)
        print_log("\n".join(self.lines(groups, optimizer)), logger="current")
        settings = {"type": "OptimWrapper", **self.optim_wrapper_cfg}
        return OPTIM_WRAPPERS.build(settings, default_args={"optimizer": optimizer})


class Bfloat16OptimWrapper(OptimWrapper):
    """Forward in bfloat16 by autocast; weights, gradients and updates in float32.

    bfloat16 has float32's range, so no loss scaling is needed.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def with_constructor(optim_wrapper: Mapping[str, Any]) -> dict[str, Any]:
    """The config with its constructor, ours where it names none."""
    return {"constructor": GroupingConstructor.__name__, **optim_wrapper}


def optimizer_lines(model: nn.Module, optim_wrapper: Mapping[str, Any]) -> list[str]:
    """What of ``model`` a config trains how; no line where it names a constructor of its own.

    Raises:
        ConfigError: The optimizer cannot be built for this model.
    """
    settings = with_constructor(optim_wrapper)
    if settings.pop("constructor") != GroupingConstructor.__name__:
        return []
    with as_config_error("optim_wrapper"):
        constructor = GroupingConstructor(settings, settings.pop("paramwise_cfg", None))
        groups = constructor.groups(model)
        return constructor.lines(groups, constructor.optimizer(groups))


@contextmanager
def as_config_error(at: str) -> Iterator[None]:
    """torch and mmengine check the values only when they build these."""
    try:
        yield
    except WsolError:
        raise
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise ConfigError(f"{at} cannot be built: {error}", at=at) from error
