"""The part of the preflight that judges schedules which wait for a figure to stop improving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsoltool.errors import ConfigError, did_you_mean

#: What the name of a training loss begins with, where a schedule watches it.
TRAINING = "train/"
#: mmengine's default for ``monitor``.
_DEFAULT = "loss"
_RULES = {"rule": ("less", "greater"), "threshold_rule": ("rel", "abs")}


def monitors(schedulers: Any) -> Iterator[tuple[str, str]]:
    """(config path, name) of every figure that a plateau schedule of ``param_scheduler`` watches.

    Example:
        >>> plateau = dict(type="ReduceOnPlateauLR", monitor="PxAP")
        >>> list(monitors([dict(type="StepLR", step_size=3), plateau]))
        [('param_scheduler[1].monitor', 'PxAP')]
    """
    for index, scheduler in enumerate(schedulers if isinstance(schedulers, (list, tuple)) else ()):
        name = scheduler.get("monitor", _DEFAULT) if isinstance(scheduler, Mapping) else None
        if isinstance(name, str) and _waits(_class_of(scheduler)):
            yield f"param_scheduler[{index}].monitor", name


def schedule_problems(schedulers: Sequence[Any], index: int) -> Iterator[ConfigError]:
    """Problems of the scheduler ``index``, if it is one that waits for a plateau.

    Args:
        schedulers: ``param_scheduler`` of a config.
        index: Which of them is judged, alone and beside the others.
    """
    scheduler = schedulers[index]
    at = f"param_scheduler[{index}]"
    if not _waits(_class_of(scheduler)):
        return
    found = [*_value_problems(scheduler, at), *_epoch_problems(scheduler, at)]
    yield from found or _building_problems(_class_of(scheduler), scheduler, at)
    for other, foreign in enumerate(schedulers):
        if _undoes(foreign, scheduler):
            yield ConfigError(
                f"{foreign['type']} sets the {_adjusted(foreign)} anew at every step, "
                f"and would undo what {scheduler['type']} lowers",
                at=f"param_scheduler[{other}], {at}",
                expected="a schedule that goes on from the present value, such as LinearLR",
            )


def _value_problems(scheduler: Mapping[str, Any], at: str) -> Iterator[ConfigError]:
    monitor = scheduler.get("monitor", _DEFAULT)
    if not isinstance(monitor, str) or monitor == TRAINING:
        expected = f"'{TRAINING}loss', another loss of training, or a figure of the table"
        yield ConfigError(f"monitor is {monitor!r}", at=f"{at}.monitor", expected=expected)
    factor = scheduler.get("factor", 0.1)
    if not _is_number(factor) or not 0 < factor < 1:
        yield ConfigError(f"factor is {factor!r}", at=f"{at}.factor", expected="above 0, below 1")
    for key, known in _RULES.items():
        if scheduler.get(key, known[0]) not in known:
            value = scheduler[key]
            near = did_you_mean(str(value), known)
            yield ConfigError(f"{key} is {value!r}", at=f"{at}.{key}", known=known, hint=near)
    for key in ("threshold", "eps", "min_value"):
        several = key == "min_value" and isinstance(scheduler.get(key), (list, tuple))
        values = scheduler[key] if several else [scheduler.get(key, 0)]
        if not all(_is_number(value) and value >= 0 for value in values):
            what = f"{key} is {scheduler[key]!r}"
            yield ConfigError(what, at=f"{at}.{key}", expected="a number, at least 0")
    for key in ("patience", "cooldown"):
        count = scheduler.get(key, 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            expected = "a whole number of epochs, at least 0"
            yield ConfigError(f"{key} is {count!r}", at=f"{at}.{key}", expected=expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _epoch_problems(scheduler: Mapping[str, Any], at: str) -> Iterator[ConfigError]:
    wrong = {"by_epoch": False, "convert_to_iter_based": True}
    for key, value in wrong.items():
        if key in scheduler and bool(scheduler[key]) is value:
            yield ConfigError(
                f"{scheduler['type']} cannot act between epochs: it watches a figure of each",
                at=f"{at}.{key}",
                expected=f"{key}={not value}, or leave it out",
            )


def _building_problems(cls: Any, scheduler: Mapping[str, Any], at: str) -> Iterator[ConfigError]:
    """What mmengine says of the values, which it would say only when the data are loaded."""
    import torch
    from torch.optim import SGD

    # The length of a list of lowest values is that of the optimizer's groups: not known here.
    left_out = ("type", "min_value", "by_epoch", "convert_to_iter_based", "epoch_length")
    settings = {key: value for key, value in scheduler.items() if key not in left_out}
    try:
        cls(SGD([torch.zeros(1)], lr=1.0, momentum=0.5), **settings)
    except TypeError as error:
        if "argument" not in str(error):  # unknown ones are told of by their names
            yield ConfigError(f"{scheduler['type']} cannot be built: {error}", at=at)
    except (ValueError, AssertionError, KeyError) as error:
        yield ConfigError(f"{scheduler['type']} cannot be built: {error}", at=at)


def _undoes(other: Any, scheduler: Mapping[str, Any]) -> bool:
    from mmengine.optim.scheduler import CosineRestartParamScheduler, OneCycleParamScheduler

    cls = _class_of(other)
    absolute = (CosineRestartParamScheduler, OneCycleParamScheduler)
    return (
        cls is not None and issubclass(cls, absolute) and _adjusted(other) == _adjusted(scheduler)
    )


def _adjusted(scheduler: Mapping[str, Any]) -> Any:
    """``lr``, ``momentum``, or what its ``param_name`` says."""
    from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
    from mmengine.optim.scheduler.momentum_scheduler import MomentumSchedulerMixin

    cls = _class_of(scheduler)
    if cls is not None and issubclass(cls, LRSchedulerMixin):
        return "lr"
    if cls is not None and issubclass(cls, MomentumSchedulerMixin):
        return "momentum"
    return scheduler.get("param_name")


def _waits(cls: type | None) -> bool:
    return getattr(cls, "need_val_args", False)


def _class_of(scheduler: Any) -> type | None:
    import mmengine.optim  # noqa: F401  (fills the registry)
    from mmengine.registry import PARAM_SCHEDULERS

    name = scheduler.get("type") if isinstance(scheduler, Mapping) else None
    return PARAM_SCHEDULERS.module_dict.get(name) if isinstance(name, str) else None
