"""From the ``model`` part of a config to a localizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from wsoltool.errors import ConfigError, unknown_keys
from wsoltool.models.compilation import compile_backbone, compile_options, replays
from wsoltool.models.contracts import Backbone, BatchAugmentation, Fusion
from wsoltool.models.ensemble import Ensemble
from wsoltool.models.ensemble_config import (
    ENSEMBLE_DEFAULTS,
    ensemble_problems,
    is_ensemble,
    localizer_part,
    members_of,
)
from wsoltool.models.insert_groups import insert_entries
from wsoltool.models.insertion import Build, Inserts
from wsoltool.models.localizer import Localizer
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.plugin.manager import build
from wsoltool.registry import SLOTS, argument_problems

#: Keys of ``model`` and what stands there when the config is silent.
MODEL_DEFAULTS: dict[str, Any] = {
    "inserts": (),
    "batch_augmentations": (),
    "map_source": None,
    "fusion": {"type": "SingleView"},
    "boxes": {"type": "ThresholdBoxes"},
    "preprocessor": {},
    "frozen": None,
    "norm_eval": False,
    "compile": False,
}
MODEL_KEYS = ("type", "backbone", "head", *MODEL_DEFAULTS)


def build_localizer(model: Mapping[str, Any], at: str = "model") -> Localizer:
    """Build every part, inject channel counts, and put them together.

    A model of the type ``Ensemble`` has ``members``, each with the keys of a model of its own (but
    :data:`~wsoltool.models.ensemble_config.NOT_IN_MEMBERS`) and ``classes``; see
    :class:`~wsoltool.models.ensemble.Ensemble`. A member that is None is left out.

    ``frozen`` (a step of the backbone) and ``norm_eval`` are those of
    :class:`~wsoltool.models.backbones.base.Backbone`, ``compile`` is handed to
    :func:`~wsoltool.models.compilation.compile_backbone`.

    Raises:
        WsolError: With the config path of the part that cannot be built.
    """
    if is_ensemble(model):
        return _build_ensemble(model, at)
    check_model_keys(model, at)
    check_training_keys(model, at)
    config = {**MODEL_DEFAULTS, **model}
    backbone = build("backbone", config["backbone"], f"{at}.backbone")
    _set_training(backbone, config["frozen"], config["norm_eval"], f"{at}.frozen")
    head = build("CAM head", config["head"], f"{at}.head", channels=backbone.channels())
    map_source = config["map_source"]
    augmentations = [
        build("batch augmentation", entry, f"{at}.batch_augmentations[{i}]")
        for i, entry in enumerate(config["batch_augmentations"] or ())
    ]
    localizer = Localizer(
        backbone=backbone,
        head=head,
        fusion=build("fusion", config["fusion"], f"{at}.fusion"),
        boxes=build("box extractor", config["boxes"], f"{at}.boxes"),
        preprocessor=_preprocessor(
            backbone, config["preprocessor"] or {}, augmentations, f"{at}.preprocessor"
        ),
        inserts=_inserts(backbone, config["inserts"], f"{at}.inserts"),
        map_source=map_source and build("map source", map_source, f"{at}.map_source"),
    )
    _compile(localizer, localizer.fusion, config["compile"], f"{at}.compile")
    return localizer


def _build_ensemble(model: Mapping[str, Any], at: str) -> Ensemble:
    for problem in ensemble_problems(model, at):
        raise problem
    config = {**ENSEMBLE_DEFAULTS, **model}
    fusion = build("fusion", config["fusion"], f"{at}.fusion")
    boxes = build("box extractor", config["boxes"], f"{at}.boxes")
    members, classes = {}, {}
    for name, member in members_of(model).items():
        here = f"{at}.members.{name}"
        # Compiled afterwards, for the ensemble knows the views.
        members[name] = build_localizer({**localizer_part(member), "compile": False}, here)
        _compile(members[name], fusion, member.get("compile"), f"{here}.compile")
        if member.get("classes") is not None:
            classes[name] = member["classes"]
    return Ensemble(members, fusion, boxes, classes)


def without_pretrained(model: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the ``model`` part whose backbones read no weights: they come later, or not."""
    if is_ensemble(model):
        members = {n: m and without_pretrained(m) for n, m in model["members"].items()}
        return {**model, "members": members}
    return {**model, "backbone": _bare(model["backbone"])}


def _bare(backbone: Any) -> Any:
    """A backbone's config without weights; likewise those within it, alone, listed or named."""
    if isinstance(backbone, (list, tuple)):
        return type(backbone)(_bare(inner) for inner in backbone)
    if not isinstance(backbone, Mapping):
        return backbone
    if "type" not in backbone:
        return {name: _bare(inner) for name, inner in backbone.items()}
    inside = {key: _bare(value) for key, value in backbone.items() if _is_of_backbones(key)}
    weights = {"pretrained": False} if "pretrained" in backbone else {}
    return {**backbone, **inside, **weights}


def _is_of_backbones(key: str) -> bool:
    return "backbone" in SLOTS.get(key, ())


def check_model_keys(model: Mapping[str, Any], at: str) -> None:
    """Refuse keys of ``model`` that nothing reads, and a missing backbone or head."""
    for problem in unknown_keys(model, MODEL_KEYS, f"{at}."):
        raise problem
    for key in ("backbone", "head"):
        if key not in model:
            raise ConfigError(f"{at} has no {key}", at=f"{at}.{key}", expected="dict(type=...)")


def check_training_keys(model: Mapping[str, Any], at: str) -> None:
    """Refuse values of ``frozen``, ``norm_eval`` and ``compile`` that no backbone takes."""
    frozen, norm_eval = model.get("frozen"), model.get("norm_eval", False)
    if frozen is not None and not isinstance(frozen, str):
        expected = "the last step to freeze, such as 'stage2'; or None"
        raise ConfigError(f"frozen is {frozen!r}", at=f"{at}.frozen", expected=expected)
    if not isinstance(norm_eval, bool):
        what = f"norm_eval is {norm_eval!r}"
        raise ConfigError(what, at=f"{at}.norm_eval", expected="True or False")
    compile_options(model.get("compile"), f"{at}.compile")


def _set_training(backbone: Backbone, frozen: str | None, norm_eval: bool, at: str) -> None:
    backbone.norm_eval = norm_eval
    if frozen is not None:
        try:
            backbone.freeze(frozen)
        except ConfigError as error:
            raise error.located(at) from error
    backbone.train(backbone.training)


def _compile(localizer: Localizer, fusion: Fusion, value: Any, at: str) -> None:
    options = compile_options(value, at)
    if options is None:
        return
    if replays(options) and len(fusion.views()) > 1:
        raise ConfigError(
            "CUDA graphs overwrite the features of one view by those of the next",
            at=at,
            expected=f"a fusion of one view, where {type(fusion).__name__} has more",
            hint="compile=dict(mode='max-autotune-no-cudagraphs')",
        )
    compile_backbone(localizer.backbone, options, at)


def _preprocessor(
    backbone: Backbone,
    settings: Mapping[str, Any],
    augmentations: Sequence[BatchAugmentation],
    at: str,
) -> Preprocessor:
    own = {"mean": backbone.input_mean, "std": backbone.input_std}
    for problem in argument_problems(Preprocessor, settings, at, supplied=own):
        raise problem
    if "batch_augmentations" in settings:
        what = f"{at} takes no batch_augmentations"
        raise ConfigError(what, at=at, hint="they stand in the model, beside the preprocessor")
    try:
        return Preprocessor(batch_augmentations=augmentations, **{**own, **settings})
    except ConfigError as error:
        raise error.located(at) from error


def _inserts(backbone: Backbone, inserts: Any, at: str) -> Inserts | None:
    entries = insert_entries(inserts, at)
    planned = [plan for here, entry in entries for plan in _insert(backbone, entry, here)]
    return Inserts(backbone, planned) if planned else None


def _insert(backbone: Backbone, entry: Mapping[str, Any], at: str) -> list[tuple[str, Build]]:
    """(point, builder) of each point that an insert is for; all are known to exist."""
    names = [entry["at"]] if isinstance(entry["at"], str) else entry["at"]
    points: dict[int, str] = {}  # each module once, under the first of its names
    try:
        for point in (point for name in names for point in backbone.resolve_points(name)):
            points.setdefault(id(backbone.module_at(point)), point)
    except ConfigError as error:
        raise error.located(f"{at}.at") from error
    build_insert = partial(_build_insert, entry["module"], f"{at}.module")
    return [(point, build_insert) for point in points.values()]


def _build_insert(config: Any, at: str, channels: int, stride: int) -> nn.Module:
    return build(("recalibration", "eraser"), config, at, channels=channels, stride=stride)
