"""What the networks of class grouping's levels add to their forwards when they localize as one."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.measurement import Measurement, Target, one_thread
from benchmarks.methods import measure, predict_maps, random_images
from wsoltool.config import load_config, plain
from wsoltool.engine.stage_list import final_config
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.ensemble import Ensemble

CONFIG = "class_grouping/class_grouping_resnet50_voc2012.py"
AT_MOST = Target("ratio", above=0.87)  # 1 / 1.15
SIDE = 224
#: How maps are made -> options of the config, and the target.
MAPS: dict[str, tuple[dict[str, Any], Target | None]] = {
    "CAM": ({"model.map_source": None}, AT_MOST),
    # The backward comes on top of the forwards.
    "Grad-CAM": ({}, None),
}


def run_levels(quick: bool = False) -> list[Measurement]:
    """Scores and fused maps of four networks of two ResNet50 each, beside their forwards."""
    with one_thread(), torch.no_grad():
        return [_measure_levels(maps, quick) for maps in MAPS]


def _measure_levels(maps: str, quick: bool) -> Measurement:
    ensemble = level_ensemble(maps, quick)
    images = random_images(32 if quick else SIDE).to(memory_format=torch.channels_last)
    ensemble.to(images.device)
    members = ensemble.localizers().values()
    return measure(
        f"levels {maps}",
        lambda: predict_maps(ensemble, images),
        lambda: [member.backbone(images) for member in members],
        0 if quick else 60,
        MAPS[maps][1],
    )


def level_ensemble(maps: str, quick: bool = False) -> Ensemble:
    """The config's levels with random weights; ``quick`` takes tiny networks instead.

    Classes are grouped by their numbers, modulo the number of groups.
    """
    torch.manual_seed(0)
    options = dict(MAPS[maps][0])
    if quick:
        tiny = {"_delete_": True, "type": "SmallNet", "channels": (8, 16)}
        options |= {f"model.backbone.networks.{name}": tiny for name in "ab"}
    config = final_config(load_config(CONFIG, options))
    ensemble = build_localizer(without_pretrained(plain(config.model))).eval()
    assert isinstance(ensemble, Ensemble)
    for member in ensemble.localizers().values():
        member.classes.copy_(torch.arange(ensemble.head.num_classes) % member.head.num_classes)
    return ensemble
