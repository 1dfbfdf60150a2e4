"""The part of the preflight that mmengine builds by its own names: optimizer and schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from wsoltool.errors import ConfigError, UnknownComponentError, WsolError, did_you_mean
from wsoltool.preflight_schedules import schedule_problems
from wsoltool.registry import argument_problems, locate

#: Top-level keys that are checked here.
OPTIMIZATION = ("optim_wrapper", "param_scheduler")
_REGISTRIES = {
    "optim_wrapper": "mmengine.registry:OPTIM_WRAPPERS",
    "optimizer": "mmengine.registry:OPTIMIZERS",
    "param_scheduler": "mmengine.registry:PARAM_SCHEDULERS",
}


def optimization_problems(tree: Mapping[str, Any]) -> Iterable[WsolError]:
    """Problems of ``optim_wrapper`` and ``param_scheduler`` in a config's plain tree."""
    wrapper = tree.get("optim_wrapper")
    schedulers = tree.get("param_scheduler", ())
    if isinstance(wrapper, Mapping):
        yield from _foreign_type(wrapper, "optim_wrapper", "optim_wrapper", required=False)
        yield from _group_problems(wrapper)
        optimizer = wrapper.get("optimizer")
        if isinstance(optimizer, Mapping):
            at = "optim_wrapper.optimizer"
            yield from _foreign_type(optimizer, "optimizer", at, supplied=("params",))
        else:
            yield ConfigError("optim_wrapper has no optimizer", at="optim_wrapper.optimizer")
    if not isinstance(schedulers, (list, tuple)):
        yield ConfigError("param_scheduler is not a list", at="param_scheduler")
        return
    for index, scheduler in enumerate(schedulers):
        at = f"param_scheduler[{index}]"
        extra = ("optimizer", "param_name", "convert_to_iter_based", "epoch_length")
        yield from _foreign_type(scheduler, "param_scheduler", at, supplied=extra, also=extra)
        yield from schedule_problems(schedulers, index)
        if isinstance(scheduler, Mapping) and scheduler.get("start_factor") == 0:
            # mmengine divides by it, at the first step.
            what = "start_factor is 0"
            yield ConfigError(what, at=f"{at}.start_factor", expected="above 0, at most 1")


def _group_problems(wrapper: Mapping[str, Any]) -> Iterable[WsolError]:
    from wsoltool.engine.optimization import OPTIM_WRAPPER_CONSTRUCTORS, GroupingConstructor
    from wsoltool.engine.parameter_groups import paramwise_problems

    ours = GroupingConstructor.__name__
    name = wrapper.get("constructor", ours)
    known = OPTIM_WRAPPER_CONSTRUCTORS.module_dict
    if not isinstance(name, str) or name not in known:
        what = f"constructor {name!r} not found"
        hint = did_you_mean(str(name), known)
        yield UnknownComponentError(what, at="optim_wrapper.constructor", known=known, hint=hint)
    elif name == ours:
        optimizer = wrapper.get("optimizer")
        optimizer = optimizer if isinstance(optimizer, Mapping) else {}
        paramwise = wrapper.get("paramwise_cfg")
        yield from paramwise_problems(optimizer, paramwise, "optim_wrapper.paramwise_cfg")


def _foreign_type(
    node: Any,
    slot: str,
    at: str,
    required: bool = True,
    supplied: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Iterable[WsolError]:
    """Problems of a component that mmengine builds by its own registries."""
    import mmengine.optim  # noqa: F401  (fills the registries)

    if not isinstance(node, Mapping):
        yield ConfigError(f"{node!r} is no {slot}", at=at, expected="dict(type=...)")
        return
    if "type" not in node and not required:
        return
    known = locate(_REGISTRIES[slot]).module_dict
    name = node.get("type")
    if not isinstance(name, str) or name not in known:
        yield UnknownComponentError(
            f"{slot} {name!r} not found", at=f"{at}.type", hint=did_you_mean(str(name), known)
        )
    elif slot != "optim_wrapper":
        given = [key for key in node if key != "type" and key not in also]
        yield from argument_problems(_with_signature(known[name]), given, at, supplied)


def _with_signature(cls: type) -> type:
    """``cls``, or where it takes whatever its base takes, a class of its name that says what."""
    bases = [base for base in cls.__mro__ if "__init__" in vars(base)]
    for base in bases:
        kinds = {
            parameter.kind for parameter in signature(vars(base)["__init__"]).parameters.values()
        }
        if Parameter.VAR_KEYWORD not in kinds:
            return cls if base is bases[0] else type(cls.__name__, (base,), {})
    return cls
