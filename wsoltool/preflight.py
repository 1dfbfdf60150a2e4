"""Checks a config before data or weights load, and reports every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from wsoltool.config import plain, walk_types
from wsoltool.errors import (
    ConfigError,
    ConfigProblems,
    PluginError,
    WsolError,
    is_whole,
    unknown_keys,
)
from wsoltool.plugin.manager import Catalogue, catalogue
from wsoltool.preflight_data import reader_problems
from wsoltool.preflight_model import list_problems, model_problems, with_one_model
from wsoltool.preflight_optimization import OPTIMIZATION, optimization_problems
from wsoltool.registry import KINDS, SLOTS, argument_problems, handed_on

#: Top-level key -> what it holds, in the order in which the manual explains them.
TOP_LEVEL: dict[str, str] = {
    "model": "the localizer's parts",
    "data_root": "folder of the data set; relative ones lie under $WSOLTOOL_DATA, or ./data",
    "train_dataloader": "batches of split train-weaksup",
    "val_dataloader": "batches of split train-fullsup, which choose thresholds",
    "test_dataloader": "batches of split test",
    "train_cfg": "length of training",
    "optim_wrapper": "optimizer, as mmengine's OptimWrapper takes it",
    "param_scheduler": "learning-rate schedulers of mmengine, a list",
    "evaluation": "protocols and options of the localization table; None for none",
    "metrics": "further metrics, a list",
    "custom_hooks": "further runner hooks, a list",
    "checkpoint": "how often checkpoints are saved, and how many are kept",
    "log_interval": "iterations between two lines of the log",
    "randomness": "seed",
    "work_dir": "folder of logs and checkpoints",
    "load_from": "checkpoint whose weights training starts from",
    "stages": "what is done in turn, where a training has several steps: a list, or a plan",
}

#: Whose keys are names, where it is a dict: groups of inserts, members of an ensemble.
_NAMES = re.compile(r"model(\.members\.\w+)?\.inserts|model\.members")
PRIVATE_HINT = "a variable of the file's own starts with an underscore"
_DATALOADER = ("batch_size", "num_workers", "dataset", "shuffle", "drop_last")
_KEYS: dict[str, tuple[str, ...]] = {
    "train_dataloader": _DATALOADER,
    "val_dataloader": _DATALOADER,
    "test_dataloader": _DATALOADER,
    "train_cfg": ("max_epochs", "val_interval"),
    "optim_wrapper": (
        "type",
        "optimizer",
        "paramwise_cfg",
        "accumulative_counts",
        "clip_grad",
        "constructor",
    ),
    "checkpoint": ("interval", "max_keep_ckpts", "save_best", "rule", "save_optimizer"),
    "randomness": ("seed", "deterministic", "diff_rank_seed"),
}
_NEEDED = {"dataset": "dict(type=...)", "max_epochs": "a whole number"}
_LOWEST = {
    "batch_size": 1,
    "num_workers": 0,
    "max_epochs": 1,
    "val_interval": 0,
    "interval": 1,
    "log_interval": 1,
    "max_keep_ckpts": -1,
    "seed": 0,
}
#: Purposes for which stages are checked too.
_RUN_STAGES = ("train", "check")
_REQUIRED = {
    "train": ("model", "train_dataloader", "train_cfg", "optim_wrapper"),
    "test": ("model", "test_dataloader"),
    "localize": ("model", "test_dataloader"),
    "check": ("model",),
    "data": (),
}


def check(config: Config, purpose: str = "check", components: Catalogue | None = None) -> None:
    """Raise all problems of a config together.

    Args:
        config: As :func:`~wsoltool.config.load_config` returns it.
        purpose: ``train``, ``test``, ``localize``, ``data`` or ``check``: which keys must be there.
        components: The catalogue that ``type`` strings are looked up in.

    Raises:
        ConfigProblems: Unknown keys and components, wrong and missing arguments, and what the
            plugins' own checks find; each with its dotted path.
    """
    components = components or catalogue()
    found = list(find_problems(config, purpose, components))
    found += _plugin_problems(config, components, sound=not found)
    if _has_stages(config) and purpose in _RUN_STAGES:
        found += _stage_problems(config, components, found)
    # A plugin that fails would be told of for each of its components.
    problems = list({str(problem): problem for problem in found}.values())
    if problems:
        raise ConfigProblems(problems, at=config.filename)


def find_problems(config: Config, purpose: str, components: Catalogue) -> Iterable[WsolError]:
    """Problems one by one, in the config's order; without those that plugins see."""
    tree: dict[str, Any] = {key: plain(config[key]) for key in config}
    yield from unknown_keys(tree, TOP_LEVEL, "", PRIVATE_HINT)
    # What each stage is trained with must have them, and is checked for itself.
    for key in () if _has_stages(config) else _REQUIRED[purpose]:
        if key not in tree:
            yield ConfigError(f"the config has no {key}", at=key, expected=TOP_LEVEL[key])
    for key, known in _KEYS.items():
        if key in tree:
            yield from _section_problems(tree[key], known, key)
    yield from _numbers(tree)
    yield from _paths(tree)
    yield from list_problems(tree, ("metrics", "custom_hooks"), "")
    if isinstance(tree.get("model"), Mapping):
        yield from model_problems(tree["model"], purpose)
    elif "model" in tree:
        yield ConfigError(f"model is {tree['model']!r}", at="model", expected="a dict")
    # mmengine builds the optimizer and its schedulers by its own names.
    ours = {key: value for key, value in tree.items() if key not in OPTIMIZATION}
    yield from _walk(ours, "", components)
    yield from reader_problems(tree, purpose, components)
    yield from optimization_problems(tree)
    yield from _evaluation_problems(tree.get("evaluation", {}), tree.get("metrics", ()))
    yield from _metric_problems(tree.get("metrics", ()), components)


def _has_stages(config: Config) -> bool:
    return config.get("stages") is not None


def _stage_problems(
    config: Config, components: Catalogue, found: Sequence[WsolError]
) -> Iterable[WsolError]:
    """What stages find wrong that is not wrong at the top level already."""
    from wsoltool.engine.stage_list import final_problems, stage_problems

    if any((problem.at or "").startswith("stages") for problem in found):
        return []  # they cannot be made
    problems = list(stage_problems(config, components, found))
    return problems if found or problems else final_problems(config, components)


def _section_problems(node: Any, known: Sequence[str], at: str) -> Iterable[ConfigError]:
    if not isinstance(node, Mapping):
        yield ConfigError(f"{at} is {node!r}", at=at, expected="a dict")
        return
    yield from unknown_keys(node, known, f"{at}.")
    for key, expected in _NEEDED.items():
        if key in known and key not in node:
            yield ConfigError(f"{at} has no {key}", at=f"{at}.{key}", expected=expected)


def _numbers(tree: Mapping[str, Any]) -> Iterable[ConfigError]:
    """Counts that must be whole numbers, found before a run fails on them."""
    sections = {key: node for key in _KEYS if isinstance(node := tree.get(key), Mapping)}
    for section, node in ("", tree), *sections.items():
        for key in _LOWEST:
            if key in node and not is_whole(value := node[key], _LOWEST[key]):
                yield ConfigError(
                    f"{key} is {value!r}",
                    at=f"{section}.{key}".lstrip("."),
                    expected=f"a whole number, at least {_LOWEST[key]}",
                )


def _paths(tree: Mapping[str, Any]) -> Iterable[ConfigError]:
    for key in ("data_root", "work_dir", "load_from"):
        value = tree.get(key)
        if value is not None and not isinstance(value, str):
            yield ConfigError(f"{key} is {value!r}", at=key, expected="a path, as a string")


def _walk(
    node: Any, at: str, components: Catalogue, within: _Slot | None = None
) -> Iterable[WsolError]:
    """Resolve every component below a node, which is within a slot or not; bind its arguments."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _walk(item, f"{at}[{index}]", components, within)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{at}.{key}" if at else key
            # A stage's overrides are checked merged into the config, by the stage.
            if key == "config" and at.startswith("stages"):
                continue
            # What has a name of its own may be called as a slot is.
            if key in SLOTS and not _NAMES.fullmatch(at):
                slot = _Slot.of(key, within)
                yield from _slot_problems(value, slot, here, components)
                named = isinstance(value, Mapping) and _are_named(value)
                for name, item in value.items() if named else ():
                    yield from _walk(item, f"{here}.{name}", components, slot)
                if not named:
                    yield from _walk(value, here, components, slot)
            else:
                yield from _walk(value, here, components, within)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The kinds that may stand in a slot, and the arguments that the builder injects there."""

    kinds: tuple[str, ...]
    supplied: Mapping[str, str]

    @classmethod
    def of(cls, key: str, within: _Slot | None) -> _Slot:
        kinds = SLOTS[key]
        if within is not None:
            return cls(kinds, handed_on(within.kinds, key, within.supplied))
        return cls(kinds, {name: kind for kind in kinds for name in KINDS[kind].injected})


def _slot_problems(value: Any, slot: _Slot, at: str, components: Catalogue) -> Iterable[WsolError]:
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _slot_problems(item, slot, f"{at}[{index}]", components)
        return
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield ConfigError(f"{value!r} is no component", at=at, expected="dict(type=...)")
        return
    if _are_named(value):
        for name, item in value.items():
            yield from _slot_problems(item, slot, f"{at}.{name}", components)
        return
    try:
        cls = components.resolve(slot.kinds, value.get("type"), f"{at}.type")
    except WsolError as error:
        yield error
        return
    given = [key for key in value if key != "type"]
    yield from argument_problems(cls, given, at, slot.supplied)


def _are_named(value: Mapping[str, Any]) -> bool:
    """Whether a slot holds components by name, not one component."""
    named = (item is None or isinstance(item, Mapping) for item in value.values())
    return bool(value) and "type" not in value and all(named)


def _evaluation_problems(evaluation: Any, metrics: Any) -> Iterable[WsolError]:
    from wsoltool.evaluation.metric import LocalizationMetric

    if evaluation is None:
        if not metrics:
            what = "evaluation is None, and there are no metrics"
            yield ConfigError(what, at="metrics", expected="[dict(type='DetectionMetric')], say")
        return
    if not isinstance(evaluation, Mapping):
        yield ConfigError(f"evaluation is {evaluation!r}", at="evaluation", expected="a dict")
        return
    problems = argument_problems(LocalizationMetric, evaluation, "evaluation")
    yield from problems
    if not problems:
        try:
            LocalizationMetric(**evaluation)
        except ConfigError as error:
            yield error.located("evaluation")
        except (TypeError, ValueError) as error:
            yield ConfigError(f"a value cannot be used: {error}", at="evaluation")


def _metric_problems(metrics: Any, components: Catalogue) -> Iterable[WsolError]:
    """Values that the toolbox's own kind of metric refuses; others may do work when built."""
    from wsoltool.evaluation.further import FurtherMetric

    for index, settings in enumerate(metrics if isinstance(metrics, (list, tuple)) else ()):
        at = f"metrics[{index}]"
        try:
            name = settings.get("type") if isinstance(settings, Mapping) else None
            if issubclass(components.resolve(("metric",), name, f"{at}.type"), FurtherMetric):
                components.build(("metric",), settings, at)
        except WsolError as error:
            yield error


def _plugin_problems(config: Config, components: Catalogue, sound: bool) -> Iterable[WsolError]:
    """What the named plugins say of the whole config; of an ensemble, with each member as model."""
    for alone, at in with_one_model(config):
        for problem in _plugin_problems_of(alone, components, sound):
            if at and problem.at and problem.at.startswith("model."):
                problem.at = f"{at}.{problem.at.removeprefix('model.')}"
            yield problem


def _plugin_problems_of(config: Config, components: Catalogue, sound: bool) -> Iterable[WsolError]:
    """What the named plugins say of a config with one network.

    Their checks may rely on its shape. One that fails on an unsound config is passed over, for it
    will be asked again when the problems found so far are gone.
    """
    tree = {key: plain(config[key]) for key in config}
    scopes = dict.fromkeys(name.partition(".")[0] for name in walk_types(tree) if "." in name)
    for scope in [""] + [scope for scope in scopes if scope in components.origins]:
        try:
            plugin = components.plugin(scope)
        except PluginError:
            continue  # reported where the config names it
        try:
            answers = plugin.hooks.hook.wsoltool_check_config(config=config)
            yield from [problem for problems in answers for problem in problems or ()]
        except Exception as error:
            if sound:
                yield PluginError(
                    f"plugin {scope or 'core'!r} fails to check the config: "
                    f"{type(error).__name__}: {error}",
                    at=plugin.origin.description,
                    hint="a value that it reads may be of a wrong kind",
                )
