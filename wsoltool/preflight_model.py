"""The part of the preflight that knows models: one network's, and an ensemble's members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from wsoltool.errors import (
    ConfigError,
    UnknownComponentError,
    WsolError,
    did_you_mean,
    unknown_keys,
)
from wsoltool.registry import argument_problems


def model_problems(model: Mapping[str, Any], purpose: str) -> Iterable[WsolError]:
    """Problems of ``model`` in a config's plain tree; its components are not looked up."""
    from wsoltool.models.ensemble import not_trained
    from wsoltool.models.ensemble_config import ensemble_problems, is_ensemble, localizer_part

    kind = model.get("type", "Localizer")
    if kind not in ("Localizer", "Ensemble"):
        known = ("Localizer", "Ensemble")
        hint = did_you_mean(str(kind), known)
        what = f"model {kind!r} not found"
        yield UnknownComponentError(what, at="model.type", known=known, hint=hint)
    if not is_ensemble(model):
        yield from _localizer_problems(model, "model")
        return
    if purpose == "train":
        yield not_trained("model.type")
    yield from ensemble_problems(model, "model")
    members = model.get("members")
    for name, member in members.items() if isinstance(members, Mapping) else ():
        if isinstance(member, Mapping):
            yield from _localizer_problems(localizer_part(member), f"model.members.{name}")


def _localizer_problems(model: Mapping[str, Any], at: str) -> Iterable[WsolError]:
    from wsoltool.models.builder import MODEL_KEYS, check_training_keys
    from wsoltool.models.insert_groups import insert_problems
    from wsoltool.models.preprocessor import Preprocessor

    yield from unknown_keys(model, MODEL_KEYS, f"{at}.")
    for key in ("backbone", "head"):
        if not isinstance(model.get(key), Mapping):
            yield ConfigError(f"{at} has no {key}", at=f"{at}.{key}", expected="dict(type=...)")
    try:
        check_training_keys(model, at)
    except ConfigError as error:
        yield error
    yield from list_problems(model, ("batch_augmentations",), f"{at}.")
    yield from insert_problems(model.get("inserts"), f"{at}.inserts")
    settings = model.get("preprocessor", {})
    here = f"{at}.preprocessor"
    if isinstance(settings, Mapping):
        yield from argument_problems(Preprocessor, settings, here, supplied=("mean", "std"))
    else:
        yield ConfigError(f"preprocessor is {settings!r}", at=here, expected="a dict")


def with_one_model(config: Config) -> Iterable[tuple[Config, str]]:
    """The config as plugins know configs, and the path of what stands there as ``model``."""
    from wsoltool.models.ensemble_config import is_ensemble

    model = config.get("model")
    if not is_ensemble(model):
        yield config, ""
        return
    members = model.get("members")
    for name, member in members.items() if isinstance(members, Mapping) else ():
        if isinstance(member, Mapping):
            shared = {key: value for key, value in model.items() if key != "members"}
            own = {key: value for key, value in member.items() if key != "classes"}
            alone = config.copy()
            alone["model"] = {**shared, **own, "type": "Localizer"}
            yield alone, f"model.members.{name}"


def list_problems(
    node: Mapping[str, Any], keys: Sequence[str], prefix: str
) -> Iterable[ConfigError]:
    """An error for each of ``keys`` that holds no list."""
    for key in keys:
        if not isinstance(node.get(key, ()), (list, tuple)):
            yield ConfigError(f"{key} is {node[key]!r}", at=f"{prefix}{key}", expected="a list")
