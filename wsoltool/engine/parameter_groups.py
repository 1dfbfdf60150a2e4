"""Which parameters train with which learning rate and weight decay, in as few groups as can be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from wsoltool.errors import ConfigError, unknown_keys

#: Keys of ``paramwise_cfg``, all of them mmengine's.
PARAMWISE_KEYS = (
    "custom_keys",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "dwconv_decay_mult",
    "flat_decay_mult",
    "bypass_duplicate",
)
CUSTOM_KEYS = ("lr_mult", "decay_mult")
FROZEN = "frozen"
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_AT = "optim_wrapper.paramwise_cfg"


@dataclass(slots=True)
class ParameterGroup:
    """Parameters that train alike.

    Attributes:
        rules: What of ``paramwise_cfg`` chose them: patterns, ``norms``, ``biases``, ``depthwise``,
            ``flat``; ``others`` for none of it; ``frozen`` for those that do not train.
        parameters: By their names in the model.
        options: ``lr`` and ``weight_decay``, where the config gives them.
    """

    rules: list[str]
    parameters: dict[str, nn.Parameter]
    options: dict[str, float]

    def count(self) -> int:
        """Weights in all of the tensors."""
        return sum(parameter.numel() for parameter in self.parameters.values())


def parameter_groups(
    model: nn.Module, optimizer: Mapping[str, Any], paramwise: Mapping[str, Any] | None
) -> list[ParameterGroup]:
    """Group a model's parameters by their options, in the order of the model.

    The rules are mmengine's: the longest of the ``custom_keys`` that a parameter's name contains
    decides; where there is none, the ``*_mult`` keys do, for norms (weight and bias), biases,
    depthwise convolutions and other one-dimensional parameters, in this order. A parameter with
    several names (a shared one) is there once.

    Args:
        model: With its frozen parameters marked.
        optimizer: The optimizer's config, for ``lr`` and ``weight_decay``.
        paramwise: ``paramwise_cfg``.

    Returns:
        Groups of different options, and last, where parameters need no gradient, those.

    Raises:
        ConfigError: A value of ``paramwise`` is wrong, a pattern is in no parameter's name, names
            of one parameter disagree, or nothing is left to train.
    """
    paramwise = paramwise or {}
    for problem in paramwise_problems(optimizer, paramwise, _AT):
        raise problem
    parameters = list(_named_parameters(model))
    _check_patterns(paramwise.get("custom_keys", {}), [name for name, _, _ in parameters])
    first_names: dict[int, tuple[str, dict[str, float]]] = {}
    groups: dict[tuple, ParameterGroup] = {}
    frozen = ParameterGroup([FROZEN], {}, {})
    for name, module, parameter in parameters:
        rule, options = _options(name, module, parameter, optimizer, paramwise)
        if id(parameter) in first_names:
            if not paramwise.get("bypass_duplicate", False):
                _check_alike(*first_names[id(parameter)], name, options)
            continue
        first_names[id(parameter)] = name, options
        group = groups.setdefault(tuple(options.items()), ParameterGroup([], {}, options))
        group = group if parameter.requires_grad else frozen
        group.parameters[name] = parameter
        if rule not in group.rules and group is not frozen:
            group.rules.append(rule)
    found = [group for group in groups.values() if group.parameters]
    if not found:
        raise ConfigError(
            "no parameter of the model is left to train",
            at="model.frozen",
            expected="at least one parameter that needs a gradient",
        )
    return found + [frozen] * bool(frozen.parameters)


def paramwise_problems(
    optimizer: Mapping[str, Any], paramwise: Any, at: str
) -> Iterator[ConfigError]:
    """What is wrong in ``paramwise_cfg``, whatever the model."""
    if paramwise is None:
        return
    if not isinstance(paramwise, Mapping):
        yield ConfigError(f"paramwise_cfg is {paramwise!r}", at=at, expected="a dict")
        return
    yield from unknown_keys(paramwise, PARAMWISE_KEYS, f"{at}.")
    yield from _multipliers(paramwise, optimizer, at)
    bypass = paramwise.get("bypass_duplicate", False)
    if not isinstance(bypass, bool):
        what = f"bypass_duplicate is {bypass!r}"
        yield ConfigError(what, at=f"{at}.bypass_duplicate", expected="True or False")
    custom = paramwise.get("custom_keys", {})
    if not isinstance(custom, Mapping):
        expected = "dict(<part of a parameter's name>=dict(lr_mult=...))"
        yield ConfigError(f"custom_keys is {custom!r}", at=f"{at}.custom_keys", expected=expected)
        return
    for pattern, entry in custom.items():
        here = f"{at}.custom_keys.{pattern}"
        if not isinstance(pattern, str) or not pattern:
            yield ConfigError(f"{pattern!r} is no part of a name", at=here, expected="a string")
        elif not isinstance(entry, Mapping):
            expected = "dict(lr_mult=..., decay_mult=...)"
            yield ConfigError(f"{pattern} is {entry!r}", at=here, expected=expected)
        else:
            yield from unknown_keys(entry, CUSTOM_KEYS, f"{here}.")
            yield from _multipliers(entry, optimizer, here)


def group_lines(groups: Iterable[ParameterGroup], defaults: Mapping[str, Any]) -> list[str]:
    """A table of the groups; ``defaults`` are the optimizer's ``lr`` and ``weight_decay``."""
    rows: list[tuple[str, ...]] = [("group", "tensors", "parameters", "lr", "weight decay")]
    for group in groups:
        values = {**defaults, **group.options}
        known = () if group.rules == [FROZEN] else ("lr", "weight_decay")
        shown = [f"{values[key]:g}" if key in values else "" for key in known] or ["", ""]
        count = f"{group.count():,}"
        rows.append((", ".join(group.rules), str(len(group.parameters)), count, *shown))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])) for row in rows)
    return ["  ".join(cells).rstrip() for cells in aligned]


def _named_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """(name, module that owns it, parameter), a shared one under each of its names."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield (f"{prefix}.{name}" if prefix else name), module, parameter


def _options(
    name: str,
    module: nn.Module,
    parameter: nn.Parameter,
    optimizer: Mapping[str, Any],
    paramwise: Mapping[str, Any],
) -> tuple[str, dict[str, float]]:
    """The rule that decides on a parameter, and its learning rate and weight decay."""
    custom = paramwise.get("custom_keys", {})
    pattern = next((key for key in sorted(custom, key=lambda k: (-len(k), k)) if key in name), None)
    if pattern is not None:
        rule, mults = pattern, (custom[pattern].get(key, 1.0) for key in CUSTOM_KEYS)
        lr_mult, decay_mult = mults
    else:
        rule, lr_mult, decay_mult = _kind_of(name, module, parameter, paramwise)
    options = {}
    for key, factor in (("lr", lr_mult), ("weight_decay", decay_mult)):
        # A base that is no number is left to the optimizer, which refuses it.
        if isinstance(base := optimizer.get(key), int | float):
            options[key] = base * factor
    return rule, options


def _kind_of(
    name: str, module: nn.Module, parameter: nn.Parameter, paramwise: Mapping[str, Any]
) -> tuple[str, float, float]:
    """(rule, lr_mult, decay_mult) of a parameter that no pattern names."""
    norm, bias = isinstance(module, _NORMS), name.rpartition(".")[2] == "bias"
    depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
    lr_mult = paramwise.get("bias_lr_mult", 1.0) if bias and not norm else 1.0
    kinds = {"norm": norm, "bias": bias, "dwconv": depthwise, "flat": parameter.ndim == 1}
    rules = {"norm": "norms", "bias": "biases", "dwconv": "depthwise", "flat": "flat"}
    for kind, holds in kinds.items():
        if holds and f"{kind}_decay_mult" in paramwise:
            return rules[kind], lr_mult, paramwise[f"{kind}_decay_mult"]
    return ("biases" if lr_mult != 1.0 else "others"), lr_mult, 1.0


def _multipliers(
    node: Mapping[str, Any], optimizer: Mapping[str, Any], at: str
) -> Iterator[ConfigError]:
    for key, value in node.items():
        if key not in PARAMWISE_KEYS + CUSTOM_KEYS or not str(key).endswith("_mult"):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            expected = "a finite number, 0 or more"
            yield ConfigError(f"{key} is {value!r}", at=f"{at}.{key}", expected=expected)
        base = "lr" if key.endswith("lr_mult") else "weight_decay"
        if optimizer.get(base) is None:
            yield ConfigError(
                f"{key} multiplies the optimizer's {base}, which the config does not give",
                at=f"{at}.{key}",
                expected=f"optim_wrapper.optimizer.{base}",
            )


def _check_patterns(custom: Mapping[str, Any], names: list[str]) -> None:
    for pattern in custom:
        if any(pattern in name for name in names):
            continue
        prefixes = list(dict.fromkeys(p for name in names for p in _prefixes(name)))
        near = get_close_matches(pattern, prefixes, n=5, cutoff=0.6)
        raise ConfigError(
            f"{pattern!r} is in no parameter's name",
            at=f"{_AT}.custom_keys.{pattern}",
            expected="a part of the names of the parameters that it is for",
            known=near or [prefix for prefix in prefixes if prefix.count(".") < 2],
            hint=f"did you mean {near[0]!r}?" if near else None,
        )


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _check_alike(
    first: str, options: Mapping[str, float], second: str, others: Mapping[str, float]
) -> None:
    if options != others:
        raise ConfigError(
            f"{first} and {second} are one parameter, with different options",
            at=_AT,
            expected=f"{dict(options)} for both",
            hint="bypass_duplicate=True lets the first name decide",
        )
