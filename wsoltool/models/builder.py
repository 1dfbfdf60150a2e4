"""From the ``model`` part of a config to a localizer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from wsoltool.errors import ConfigError, did_you_mean
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import Localizer
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.plugin.manager import build

#: Keys of ``model`` and what stands there when the config is silent.
MODEL_DEFAULTS: dict[str, Any] = {
    "inserts": (),
    "batch_augmentations": (),
    "map_source": None,
    "fusion": {"type": "SingleView"},
    "boxes": {"type": "ThresholdBoxes"},
    "preprocessor": {},
}
MODEL_KEYS = ("type", "backbone", "head", *MODEL_DEFAULTS)


def build_localizer(model: Mapping[str, Any], at: str = "model") -> Localizer:
    """Build every part, inject channel counts, and put them together.

    Raises:
        WsolError: With the config path of the part that cannot be built.
    """
    check_model_keys(model, at)
    config = {**MODEL_DEFAULTS, **model}
    backbone = build("backbone", config["backbone"], f"{at}.backbone")
    head = build("CAM head", config["head"], f"{at}.head", channels=backbone.channels())
    map_source = config["map_source"]
    augmentations = [
        build("batch augmentation", entry, f"{at}.batch_augmentations[{i}]")
        for i, entry in enumerate(config["batch_augmentations"])
    ]
    settings = {"mean": backbone.input_mean, "std": backbone.input_std, **config["preprocessor"]}
    return Localizer(
        backbone=backbone,
        head=head,
        fusion=build("fusion", config["fusion"], f"{at}.fusion"),
        boxes=build("box extractor", config["boxes"], f"{at}.boxes"),
        preprocessor=Preprocessor(batch_augmentations=augmentations, **settings),
        inserts=_inserts(backbone, config["inserts"], f"{at}.inserts"),
        map_source=map_source and build("map source", map_source, f"{at}.map_source"),
    )


def check_model_keys(model: Mapping[str, Any], at: str) -> None:
    """Refuse keys of ``model`` that nothing reads, and a missing backbone or head."""
    for key in model:
        if key not in MODEL_KEYS:
            raise ConfigError(
                f"unknown key {key!r}",
                at=f"{at}.{key}",
                known=MODEL_KEYS,
                hint=did_you_mean(key, MODEL_KEYS),
            )
    for key in ("backbone", "head"):
        if key not in model:
            raise ConfigError(f"{at} has no {key}", at=f"{at}.{key}", expected="dict(type=...)")


def _inserts(backbone: Any, entries: Any, at: str) -> Inserts | None:
    if not entries:
        return None
    planned = [
        (entry["at"], partial(_build_insert, entry["module"], f"{at}[{i}].module"))
        for i, entry in enumerate(entries)
    ]
    return Inserts(backbone, planned)


def _build_insert(config: Any, at: str, channels: int, stride: int) -> nn.Module:
    return build(("recalibration", "eraser"), config, at, channels=channels, stride=stride)
