"""What several trained networks add to their forwards when they localize as one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measurement import Measurement, Target, one_thread
from benchmarks.methods import measure, predict_maps, random_images
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.backbones.parallel import Parallel
from wsoltool.models.backbones.resnet import ResNet50
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.contracts import Backbone, CAMHead, MapSource
from wsoltool.models.ensemble import Ensemble
from wsoltool.models.fusion import SingleView
from wsoltool.models.localizer import Localizer
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.plugin.manager import build
from wsoltool.structures import Samples

AT_MOST = Target("ratio", above=0.87)  # 1 / 1.15
#: Classes of each level; a class of a level is one of the first level's, modulo.
LEVELS = {"level0": 20, "level1": 12, "level2": 8, "level3": 5}
SIDE = 224


class PooledBranches(CAMHead):
    """CAM of each network of a Parallel: its pooled features and a linear layer; mean logits."""

    def __init__(self, channels: Mapping[str, int], num_classes: int, names: tuple[str, ...]):
        super().__init__()
        self.taps = tuple(f"{name}.last" for name in names)
        self.num_classes = num_classes
        self.linear = nn.ModuleList(nn.Linear(channels[t], num_classes) for t in self.taps)

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        pairs = zip(self.taps, self.linear, strict=True)
        return torch.stack([linear(features[t].mean((2, 3))) for t, linear in pairs]).mean(0)

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        logits = self.logits(features)
        return {"loss": nn.functional.cross_entropy(logits, samples.class_indices())}

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        pairs = zip(self.taps, self.linear, strict=True)
        return {t: class_activation_map(features[t], li.weight, class_ids) for t, li in pairs}


def run_levels(quick: bool = False) -> list[Measurement]:
    """Scores and fused maps of four networks of two ResNet50 each, beside their forwards."""
    with one_thread(), torch.no_grad():
        targets = {"CAM": AT_MOST, "Grad-CAM": None}
        return [_measure_levels(maps, target, quick) for maps, target in targets.items()]


def _measure_levels(maps: str, target: Target | None, quick: bool) -> Measurement:
    make = partial(SmallNet, (8, 16)) if quick else ResNet50
    ensemble = level_ensemble(make, maps)
    images = random_images(32 if quick else SIDE).to(memory_format=torch.channels_last)
    ensemble.to(images.device)
    members = ensemble.localizers().values()
    return measure(
        f"levels {maps}",
        lambda: predict_maps(ensemble, images),
        lambda: [member.backbone(images) for member in members],
        0 if quick else 60,
        target,
    )


def level_ensemble(make: partial[Backbone] | type[Backbone], maps: str) -> Ensemble:
    """Four members with random weights, each of two networks, as class grouping trains them."""
    torch.manual_seed(0)
    members = {name: _member(make, count, maps) for name, count in LEVELS.items()}
    classes = {name: [c % count for c in range(20)] for name, count in LEVELS.items()}
    fusion = SingleView(normalize_branches=True)
    return Ensemble(members, fusion, ThresholdBoxes(), classes).eval()


def _member(make: partial[Backbone] | type[Backbone], count: int, maps: str) -> Localizer:
    backbone = Parallel({"a": make(), "b": make()})
    head = PooledBranches(backbone.channels(), count, ("a", "b"))
    source: MapSource | None = None
    if maps == "Grad-CAM":
        config = {"type": "gradcam.GradCAM", "target": list(head.taps)}
        source = build("map source", config, "map_source")
    preprocessor = Preprocessor(backbone.input_mean, backbone.input_std)
    fusion, boxes = SingleView(), ThresholdBoxes()
    return Localizer(backbone, head, fusion, boxes, preprocessor, map_source=source)
