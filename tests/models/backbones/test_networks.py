"""What all backbones promise."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.densenet import DenseNet161
from wsoltool.models.backbones.inception import GoogLeNet, InceptionV3
from wsoltool.models.backbones.mobilenet import MobileNetV1, MobileNetV2
from wsoltool.models.backbones.published import Torchvision
from wsoltool.models.backbones.resnet import ResNet18, ResNet50, ResNet50X, SEResNet50
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.testing import check_backbone

Build = Callable[[], Backbone]
BUILDS: dict[str, Build] = {
    "vgg16-16": lambda: VGG16(output_stride=16),
    "vgg16-bn-8": lambda: VGG16(output_stride=8, extra_conv=24, batch_norm=True),
    "googlenet-32": GoogLeNet,
    "googlenet-cam-16": lambda: GoogLeNet(output_stride=16, surgery="cam", extra_conv=(8, 6)),
    "inceptionv3-32": InceptionV3,
    "inceptionv3-8": lambda: InceptionV3(output_stride=8),
    "inceptionv3-wsolevaluation-16": lambda: InceptionV3(
        output_stride=16, surgery="wsolevaluation", extra_conv=(8, 6)
    ),
    "densenet161-16": lambda: DenseNet161(output_stride=16),
    "resnet18-8": lambda: ResNet18(output_stride=8),
    "resnet50-32": lambda: ResNet50(output_stride=32),
    "resnet50-mldfr-16": lambda: ResNet50(output_stride=16, surgery="mldfr"),
    "resnet50x-16": lambda: ResNet50X(output_stride=16),
    "seresnet50-32": SEResNet50,
    "mobilenetv1-16": lambda: MobileNetV1(width=0.25, output_stride=16),
    "mobilenetv1-32": lambda: MobileNetV1(width=0.5, output_stride=32),
    "mobilenetv2-16": lambda: MobileNetV2(width=0.25, output_stride=16),
    "efficientnet-8": lambda: Torchvision("efficientnet_b0", output_stride=8),
    "squeezenet-16": lambda: Torchvision("squeezenet1_1", output_stride=16),
    "small": SmallNet,
}
UNPADDED = ("inceptionv3-32", "inceptionv3-8", "squeezenet-16")


@cache
def _built(name: str) -> Backbone:
    torch.manual_seed(0)
    return BUILDS[name]()


@pytest.fixture(params=BUILDS)
def net(request: pytest.FixtureRequest) -> Backbone:
    """A network of one's own; building them takes longer than most tests."""
    return copy.deepcopy(_built(request.param)).eval()


@pytest.fixture(params=[name for name in BUILDS if name not in UNPADDED])
def tiled(request: pytest.FixtureRequest) -> Backbone:
    """Likewise, of those whose cells cover the whole image."""
    return copy.deepcopy(_built(request.param)).eval()


def test_points_match_real_features(tiled: Backbone) -> None:
    net = tiled
    height, width = 2 * net.output_stride, 4 * net.output_stride
    net.want([*net.step_names, *net.canonical, *net.aliases])
    with torch.no_grad():
        features = net(torch.randn(1, 3, height, width))
    assert net.tiles
    for name, feature in features.items():
        channels, stride = net.insert_points[name]
        assert feature.shape[1] == channels, name
        # A layer may round up what another left odd; the benchmark's InceptionV3 does not pad all.
        fewer = 2 if isinstance(net, InceptionV3) else 0
        assert height // stride - fewer <= feature.shape[2] <= height // stride + 1, name
        assert width // stride - fewer <= feature.shape[3] <= width // stride + 1, name
    assert net.insert_points["last"][1] == net.output_stride


def test_every_step_and_shared_name_is_an_insert_point(net: Backbone) -> None:
    names = {*net.step_names, *net.canonical, *net.aliases, "input", "last"}
    assert names <= set(net.insert_points)
    assert {"stage1", "stage2", "stage3"} <= names
    assert "stem" in names or isinstance(net, SmallNet)
    for point in net.insert_points:
        assert isinstance(net.module_at(point), nn.Module)


def test_shared_names_come_in_running_order(net: Backbone) -> None:
    order = net.step_names
    for family in ("pool", "stage"):
        names = [name for name in net.canonical if name.startswith(family)]
        places = [order.index(net.step_of(name)) for name in sorted(names)]
        assert places == sorted(places)
    if "stem" in net.canonical and "stage1" in net.canonical:
        assert order.index(net.step_of("stem")) < order.index(net.step_of("stage1"))


def test_contract(net: Backbone) -> None:
    """Features as they left their steps, partial runs, inserts, gradients."""
    check_backbone(net)


def test_smallest_image(net: Backbone) -> None:
    side = max(net.output_stride, net.smallest_side)
    with torch.no_grad():
        assert min(net(torch.randn(1, 3, side, side))["last"].shape[-2:]) >= 1
    with pytest.raises(ShapeError, match=rf"{side} x {side - 1} pixels are too small"):
        net(torch.randn(1, 3, side, side - 1))


@pytest.mark.parametrize("size", [(97, 131), (130, 99)])
def test_sides_need_not_divide(net: Backbone, size: tuple[int, int]) -> None:
    """Every network rounds; its maps differ from the exact size by less than two cells."""
    with torch.no_grad():
        last = net(torch.randn(1, 3, *size))["last"]
    cells = 2 if net.tiles else 4
    for side, found in zip(size, last.shape[-2:], strict=True):
        assert side / net.output_stride - cells < found < side / net.output_stride + cells


def test_channels_last_gives_the_same(net: Backbone, alive, assert_close) -> None:
    net = alive(net).double()  # depth multiplies what rounding differs by
    images = torch.randn(1, 3, 80, 80).double()
    with torch.no_grad():
        plain = net(images)["last"].clone()
        net.to(memory_format=torch.channels_last)
        other = net(images.contiguous(memory_format=torch.channels_last))["last"]
    assert_close(other, plain)


def test_output_stride_is_checked(net: Backbone) -> None:
    options = {"network": "efficientnet_b0"} if isinstance(net, Torchvision) else {}
    with pytest.raises(ConfigError, match="output_stride=12"):
        type(net)(output_stride=12, **options)


@pytest.mark.parametrize(
    "cls", [VGG16, GoogLeNet, InceptionV3, DenseNet161, ResNet18, ResNet50, MobileNetV2]
)
def test_unknown_surgery(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="no surgery='strid'") as error:
        cls(surgery="strid")
    assert "did you mean 'stride'?" in str(error.value)


@pytest.mark.parametrize("cls", [GoogLeNet, InceptionV3, DenseNet161, ResNet50, MobileNetV2])
def test_mldfr_is_for_stride_16(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="output_stride=16, which is what it makes"):
        cls(surgery="mldfr", output_stride=8)


@pytest.mark.parametrize("cls", [MobileNetV1, SEResNet50, SmallNet])
def test_no_published_weights(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="torchvision publishes no weights") as error:
        cls(pretrained=True)
    assert "dict(file=" in str(error.value)


@pytest.mark.parametrize("cls", [GoogLeNet, InceptionV3, DenseNet161, ResNet50X, MobileNetV2])
def test_unknown_weights(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="has no weights 'IMAGENET1K_V7'") as error:
        cls(pretrained="IMAGENET1K_V7")
    assert "IMAGENET1K_V1" in str(error.value)
