"""What a localizer costs, against hand counts and the papers' own figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, VGG16_Weights

from wsoltool.errors import ShapeError
from wsoltool.models.backbones.resnet import ResNet18
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer
from wsoltool.models.complexity import (
    Complexity,
    ModuleCost,
    measure,
    measure_views,
    module_names,
    points_by_module,
    sample_images,
)
from wsoltool.models.complexity_rows import depth_rows, stage_rows
from wsoltool.models.contracts import CAMHead, Eraser
from wsoltool.models.fusion import MultiScale, SingleView
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import Localizer
from wsoltool.models.preprocessor import Preprocessor

CHANNELS = (4, 6, 8)


class Linear(CAMHead):
    """Two classes of the pooled last features."""

    num_classes = 2

    def __init__(self, channels):
        super().__init__()
        self.classifier = nn.Linear(channels, 2)

    def logits(self, features):
        return self.classifier(features["last"].mean(dim=(2, 3)))

    def loss(self, features, samples):
        raise NotImplementedError

    def maps(self, features, class_ids):
        raise NotImplementedError


class Again(Linear):
    """Runs the last stage a second time, on what the first run made of the image."""

    taps = ("stage2", "last")

    def bind(self, backbone):
        object.__setattr__(self, "backbone", backbone)

    def logits(self, features):
        again = self.backbone.forward_from(features["stage2"] * 0.5, "stage2")
        return super().logits(features) + super().logits(again)


class Refused(Eraser):
    def erase(self, features, samples):
        raise AssertionError("an eraser was called")


def localizer(inserts=(), head=Linear, backbone=None, **parts):
    backbone = backbone or SmallNet(channels=CHANNELS)
    channels = backbone.insert_points["last"][0]
    return Localizer(
        backbone=backbone,
        head=head(channels),
        boxes=ThresholdBoxes(),
        preprocessor=Preprocessor(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        inserts=Inserts(backbone, inserts) if inserts else None,
        **{"fusion": SingleView(), **parts},
    )


def by_name(complexity):
    return {module.name: module for module in complexity.modules}


def flops_of(complexity):
    return {module.name: module.flops for module in complexity.modules if module.flops}


PLAIN = {
    "backbone.conv1": 8 * 8 * 9 * 3 * 4,
    "backbone.conv2": 4 * 4 * 9 * 4 * 6,
    "backbone.conv3": 4 * 4 * 9 * 6 * 8,
    "head.classifier": 8 * 2,
}
IMAGES = torch.zeros(1, 3, 16, 16)


def test_a_small_localizer_by_hand():
    complexity = measure(localizer(), IMAGES)
    assert complexity.input == (16, 16)
    assert flops_of(complexity) == PLAIN
    assert complexity.flops == sum(PLAIN.values())
    convolutions = 9 * (3 * 4 + 4 * 6 + 6 * 8)
    assert complexity.params == complexity.trainable == convolutions + 2 * (4 + 6 + 8) + 8 * 2 + 2
    # The images, then what every BatchNorm is given and every ReLU answers, and the means.
    cells = 8 * 8 * 4 + 4 * 4 * 6 + 4 * 4 * 8
    assert complexity.activation_bytes == 4 * (3 * 16 * 16 + 2 * cells + 8)
    assert by_name(complexity)["backbone.conv2"] == ModuleCost(
        "backbone.conv2", "Conv2d", 9 * 4 * 6, PLAIN["backbone.conv2"], 0
    )


def test_an_inserts_work_is_its_own():
    inserts = [
        ("stage1", lambda channels, stride: nn.Conv2d(channels, channels, 1)),
        (
            "stage1",
            lambda channels, stride: nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)),
        ),
        ("input", lambda channels, stride: nn.Conv2d(channels, channels, 1)),
    ]
    complexity = measure(localizer(inserts), IMAGES)
    assert flops_of(complexity) == {
        **PLAIN,
        "inserts.stage1": 8 * 8 * 4 * 4,
        "inserts.stage1_2.0": 8 * 8 * 9 * 4 * 4,
        "inserts.input": 16 * 16 * 3 * 3,
    }
    assert by_name(complexity)["inserts.stage1"].params == 4 * 4 + 4


def test_erasers_are_off_and_modes_are_kept():
    model = localizer([("stage2", lambda channels, stride: Refused())]).train()
    model.backbone.layers.bn1.eval()
    complexity = measure(model, IMAGES)
    assert flops_of(complexity) == PLAIN
    assert model.training
    assert model.inserts["stage2"].training
    assert not model.backbone.layers.bn1.training


def test_layers_that_the_head_runs_again_count_again():
    complexity = measure(localizer(head=Again), IMAGES)
    twice = ("backbone.conv3", "head.classifier")
    assert flops_of(complexity) == {n: f * (2 if n in twice else 1) for n, f in PLAIN.items()}
    assert by_name(complexity)["backbone.conv3"].params == 9 * 6 * 8
    assert complexity.points["stage3"].shape == (8, 4, 4)


def test_shared_and_idle_and_frozen_parameters():
    model = localizer(
        [("stage1", lambda c, s: nn.Conv2d(c, c, 1)), ("stage1", lambda c, s: nn.Identity())]
    )
    plain = measure(model, IMAGES).params
    model.head.idle = nn.Linear(10, 10)
    model.head.tied = nn.Linear(10, 10)
    model.head.tied.weight = model.head.idle.weight
    model.inserts["stage1_2"] = model.inserts["stage1"]
    model.backbone.requires_grad_(False)
    complexity = measure(model, IMAGES)
    assert complexity.params == plain + 100 + 10 + 10 == sum(p.numel() for p in model.parameters())
    assert complexity.trainable == complexity.params - sum(
        p.numel() for p in model.backbone.parameters()
    )
    assert by_name(complexity)["head.idle"] == ModuleCost("head.idle", "Linear", 110, 0, 0)
    assert by_name(complexity)["head.tied"].params == 10
    assert flops_of(complexity)["inserts.stage1"] == 2 * 8 * 8 * 4 * 4  # it runs twice


class Beside(SmallNet):
    """A layer named as a step, a product outside of all steps."""

    def __init__(self):
        super().__init__(channels=CHANNELS)
        self.conv1 = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        return super().forward(self.conv1(images) + images.mT.matmul(images).mean())


def test_what_a_backbone_does_beside_its_steps_is_not_lost():
    model = localizer(backbone=Beside())
    complexity = measure(model, IMAGES)
    assert flops_of(complexity) == {
        **PLAIN,
        "backbone.conv1_": 16 * 16 * 3 * 3,
        "backbone": 3 * 16 * 16 * 16,
    }
    assert complexity.params == sum(p.numel() for p in model.parameters())
    rows = {row.name: row for row in stage_rows(model, complexity)}
    assert rows["  between steps"].flops == 16 * 16 * 3 * 3 + 3 * 16 * 16 * 16
    assert rows["backbone"].flops + rows["head"].flops == complexity.flops


def test_modules_have_unique_names_by_steps():
    model = localizer([("pool1", lambda c, s: nn.BatchNorm2d(c))], backbone=VGG16(extra_conv=16))
    names = module_names(model)
    assert names.keys() == {*model.modules()}
    assert len({*names.values()}) == len(names)
    assert names[model] == "localizer"
    assert names[model.backbone.features[0]] == "backbone.conv1_1"
    assert names[model.backbone.conv6] == "backbone.conv6"
    assert names[model.inserts["pool1"]] == "inserts.pool1"
    assert names[model.head.classifier] == "head.classifier"


@pytest.mark.parametrize("size", [(64, 64), (70, 90)])
def test_points_have_the_shapes_of_the_features(size):
    backbone = ResNet18(output_stride=16)
    model = localizer(backbone=backbone)
    complexity = measure(model, sample_images(model, size))
    assert complexity.points.keys() == backbone.insert_points.keys()
    with torch.no_grad(), backbone.also(backbone.step_names):
        features = backbone(sample_images(model, size))
    for name, feature in features.items():
        point = complexity.points[name]
        assert point.shape == feature.shape[1:]
        assert (point.channels, point.stride) == backbone.insert_points[name]
    for point, (channels, _) in backbone.insert_points.items():
        assert complexity.points[point].shape[0] == channels
    assert complexity.points["stage3"] == complexity.points["layer3.1"]


def test_canonical_names_stand_beside_the_own_ones():
    backbone = ResNet18()
    points = points_by_module(backbone)
    assert points["layer1.1"] == ("stage1", "layer1")
    assert set(points["layer4.1"]) == {"stage4", "layer4", "last"}
    assert points["relu"] == ("stem",)
    assert points["layer1.0.conv1"] == ()
    assert [name for name in points if name in backbone.step_names] == [*backbone.step_names]


def test_sample_images_are_normalised_noise_and_always_the_same():
    images = sample_images(localizer(), (5, 7))
    assert images.shape == (1, 3, 5, 7)
    assert images.dtype == torch.float32
    assert images.unique().numel() > 50
    assert torch.equal(images, sample_images(localizer(), (5, 7)))


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ShapeError, match="too small"):
        measure(localizer(), torch.zeros(1, 3, 2, 2))


# --- views


def test_each_size_of_a_view_is_run_once(monkeypatch):
    model = localizer(fusion=MultiScale(scales=(1.0, 1.5, 2.0), flip=True))
    seen = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x: seen.append(tuple(x.shape)) or forward(x))
    views = measure_views(model, IMAGES)
    assert [(v.scale, v.flip, v.size) for v in views] == [
        (scale, flip, (side, side))
        for scale, side in ((1.0, 16), (1.5, 24), (2.0, 32))
        for flip in (False, True)
    ]
    assert seen == [(1, 3, side, side) for side in (16, 24, 32)]
    for view in views:
        assert view.flops == measure(localizer(), torch.zeros(1, 3, *view.size)).flops
    classifier = PLAIN["head.classifier"]
    assert views[-1].flops - classifier == 4 * (views[0].flops - classifier)


def test_views_of_a_larger_input_shrink():
    model = localizer(fusion=MultiScale(scales=(1.0, 2.0), input_scale=2.0))
    assert [v.size for v in measure_views(model, torch.zeros(1, 3, 32, 48))] == [(16, 24), (32, 48)]


# --- rows


def test_stages_end_at_canonical_names_and_sum_to_the_backbone():
    model = localizer([("stage2", lambda c, s: nn.Conv2d(c, c, 1))])
    complexity = measure(model, IMAGES)
    rows = {row.name: row for row in stage_rows(model, complexity)}
    assert [row.name for row in stage_rows(model, complexity)] == [
        *("backbone", "  stage1", "  stage2", "  stage3", "inserts"),
        *("  stage2", "head"),
    ]
    assert rows["  stage1"].contents == "conv1 .. relu1"
    assert rows["  stage1"].shape == (4, 8, 8)
    assert rows["  stage2"].contents == "Conv2d"  # the insert's, of the same name
    assert rows["head"].contents == "Linear"
    tops = [row for name, row in rows.items() if not name.startswith(" ")]
    for figure in ("params", "flops", "activation_bytes"):
        assert sum(getattr(row, figure) for row in tops) == getattr(complexity, figure)
    stages = [row for row in stage_rows(model, complexity) if row.name.startswith("  stage")][:3]
    assert sum(row.flops for row in stages) == rows["backbone"].flops
    assert sum(row.params for row in stages) == rows["backbone"].params


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        (lambda: VGG16(16), {"stage2": "conv4_1 .. relu4_3", "pool4": "pool4"}),
        (lambda: VGG16(extra_conv=8), {"stage3": "conv5_1 .. relu5_3", "last": "conv6 .. relu6"}),
        (ResNet18, {"stem": "conv1 .. relu", "pool1": "maxpool", "stage4": "layer4.0 .. layer4.1"}),
    ],
)
def test_stages_of_published_networks(backbone, stages):
    model = localizer(backbone=backbone())
    complexity = measure(model, torch.zeros(1, 3, 32, 32))
    rows = stage_rows(model, complexity)
    found = {row.name.strip(): row.contents for row in rows}
    assert found.items() >= stages.items()
    assert ("last" in found) == ("last" in stages)
    inside = [row for row in rows if row.name.startswith(" ")]
    for figure in ("params", "flops", "activation_bytes"):
        assert sum(getattr(row, figure) for row in inside) == getattr(rows[0], figure)


def test_depth_cuts_names():
    model = localizer([("stage2", lambda c, s: nn.Conv2d(c, c, 1))], backbone=ResNet18())
    complexity = measure(model, torch.zeros(1, 3, 32, 32))
    for depth in range(1, 7):
        rows = depth_rows(complexity, depth)
        assert all(row.costs and row.name.count(".") < depth for row in rows)
        for figure in ("params", "flops", "activation_bytes"):
            assert sum(getattr(row, figure) for row in rows) == getattr(complexity, figure)
    assert {row.name: row.contents for row in depth_rows(complexity, 1)} == {
        "backbone": "ResNet18",
        "head": "Linear",
        "inserts": "Inserts",
    }
    second = {row.name: row for row in depth_rows(complexity, 2)}
    assert second["inserts.stage2"].contents == "Conv2d"
    assert second["backbone.layer1"].shape == (64, 8, 8)


def test_totals_are_the_modules_sums():
    modules = (ModuleCost("a", "A", 1, 2, 3), ModuleCost("b", "B", 10, 20, 30))
    complexity = Complexity((1, 1), modules, 11, {})
    assert (complexity.params, complexity.flops, complexity.activation_bytes) == (11, 22, 33)
    assert replace(complexity, modules=()).flops == 0


# --- published figures


def cam(backbone, num_classes=1000, **options):
    head = {"type": "cam.CAMHead", "num_classes": num_classes}
    return build_localizer({"backbone": {"type": backbone, **options}, "head": head})


@pytest.mark.parametrize(
    ("options", "millions", "giga"),
    [
        # Wang et al., 2021, Table V; the first row as printed, K = 1000.
        ({"backbone": "VGG16", "output_stride": 16, "extra_conv": 1024}, 20.46, 16.31),
        ({"backbone": "ResNet50", "output_stride": 16}, 25.56, 6.25),
    ],
)
def test_published_costs_of_cam(options, millions, giga):
    model = cam(**options)
    complexity = measure(model, sample_images(model, (224, 224)))
    assert complexity.params / 1e6 == pytest.approx(millions, rel=0.005)
    assert complexity.flops / 1e9 == pytest.approx(giga, rel=0.02)


def test_torchvision_publishes_the_same_costs():
    model = cam("ResNet18")  # CAM's head is the network's own classifier
    complexity = measure(model, sample_images(model, (224, 224)))
    published = ResNet18_Weights.IMAGENET1K_V1.meta
    assert complexity.params == published["num_params"]
    assert complexity.flops / 1e9 == pytest.approx(published["_ops"], abs=0.0006)


def test_torchvision_publishes_the_same_costs_of_vgg():
    model = cam("VGG16", output_stride=32)
    complexity = measure(model, sample_images(model, (224, 224)))
    classifier = 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    convolutions = complexity.flops - 512 * 1000
    published = VGG16_Weights.IMAGENET1K_V1.meta["_ops"]
    assert (convolutions + classifier) / 1e9 == pytest.approx(published, abs=0.0006)
