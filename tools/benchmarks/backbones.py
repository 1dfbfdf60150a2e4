"""How fast backbones make features: beside torchvision's networks, and with faster settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.measurement import Measurement, Target, alternate, clock, compare, one_thread
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.densenet import DenseNet161
from wsoltool.models.backbones.inception import GoogLeNet, InceptionV3
from wsoltool.models.backbones.mobilenet import MobileNetV2
from wsoltool.models.backbones.published import Torchvision, make_network
from wsoltool.models.backbones.resnet import ResNet18, ResNet50
from wsoltool.models.backbones.vgg import VGG16

Forward = Callable[[Tensor], Tensor]
BATCH, ROUNDS = 2, (9, 100)
CLASSIFIERS = ("classifier", "fc")


class Network(NamedTuple):
    """A backbone without surgery, torchvision's name for its network, and the images' side."""

    make: Callable[[], Backbone]
    published: str
    side: int = 224


NETWORKS = {
    "VGG16": Network(partial(VGG16, output_stride=32), "vgg16"),
    "VGG16BN": Network(partial(VGG16, output_stride=32, batch_norm=True), "vgg16_bn"),
    "ResNet18": Network(ResNet18, "resnet18"),
    "ResNet50": Network(ResNet50, "resnet50"),
    "GoogLeNet": Network(GoogLeNet, "googlenet"),
    "InceptionV3": Network(InceptionV3, "inception_v3", side=299),
    "DenseNet161": Network(DenseNet161, "densenet161"),
    "MobileNetV2": Network(MobileNetV2, "mobilenet_v2"),
    **{
        name: Network(partial(Torchvision, name), name)
        for name in ("efficientnet_b0", "regnet_y_400mf", "convnext_tiny")
    },
}
QUICK = ("ResNet18", "GoogLeNet")  # the quickest to make


def run_backbones(quick: bool = False) -> list[Measurement]:
    """``backbone(images)["last"]`` beside torchvision's forward with the same weights."""
    with one_thread(), torch.no_grad():
        return [
            _measure(
                f"backbones {name}",
                run_plainly(backbone),
                reference_of(backbone, NETWORKS[name].published),
                images,
                Target("ratio", above=0.97),
                tolerance=1e-5,
                seconds=0 if quick else 7,
            )
            for name, backbone, images in _backbones(quick)
        ]


def run_channels_last(quick: bool = False) -> list[Measurement]:
    """Backbones whose weights and images have their channels last in memory, beside plain ones."""
    return _measure_setting("channels-last", with_channels_last, 1e-4, quick)


def run_bf16(quick: bool = False) -> list[Measurement]:
    """Backbones under autocast to bfloat16, beside plain ones."""
    return _measure_setting("bf16", with_bf16, 0.05, quick)


def _measure_setting(
    title: str, setting: Callable[[Backbone], Forward], tolerance: float, quick: bool
) -> list[Measurement]:
    with one_thread(), torch.no_grad():
        return [
            _measure(
                f"{title} {name}",
                setting(backbone),
                run_plainly(backbone),
                images,
                target=None,
                tolerance=tolerance,
                seconds=0 if quick else 4,
            )
            for name, backbone, images in _backbones(quick)
        ]


def _backbones(quick: bool) -> Iterator[tuple[str, Backbone, Tensor]]:
    """Each network's name, backbone (random weights) and images; one is in memory at a time."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name in QUICK if quick else NETWORKS:
        torch.manual_seed(0)
        network = NETWORKS[name]
        side = 64 if quick else network.side
        images = torch.randn(BATCH, 3, side, side, device=device)
        yield name, network.make().eval().to(device), images


def run_plainly(backbone: Backbone) -> Forward:
    return lambda images: backbone(images)["last"]


def with_channels_last(backbone: Backbone) -> Forward:
    """Images come with channels first, as the preprocessor makes them: turning them counts."""
    turned = deepcopy(backbone).to(memory_format=torch.channels_last)
    return lambda images: turned(images.contiguous(memory_format=torch.channels_last))["last"]


def with_bf16(backbone: Backbone) -> Forward:
    def forward(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            return backbone(images)["last"]

    return forward


def reference_of(backbone: Backbone, published: str) -> nn.Module:
    """torchvision's own network on the backbone's weights (the same tensors), no classifier."""
    network = make_network(published)
    network.load_state_dict(backbone.state_dict(), strict=False, assign=True)
    for name in CLASSIFIERS:
        if hasattr(network, name):
            setattr(network, name, nn.Identity())
    return network.eval().to(next(backbone.parameters()).device)


def _measure(
    name: str,
    ours: Forward,
    reference: Forward,
    images: Tensor,
    target: Target | None,
    tolerance: float,
    seconds: float,
) -> Measurement:
    """Forwards by turns, for about as many seconds; both answer the same features."""
    check_features(ours(images), reference(images), tolerance)
    pace = _rate(reference, images)
    least, most = ROUNDS
    rounds = min(max(least, math.ceil(seconds * pace / len(images) / 2)), most) if seconds else 1
    figures = alternate(lambda: _rate(ours, images), lambda: _rate(reference, images), rounds)
    unit = "images/s" if images.is_cuda else "images/CPU s"
    return compare(name, unit, target, *figures)


def check_features(own: Tensor, other: Tensor, tolerance: float) -> None:
    """Raise AssertionError where the means of two feature maps ``(B, C, h, w)`` differ.

    Args:
        own: A backbone's.
        other: Another's, or what a network makes of its map, averaged and flattened or not.
        tolerance: As a part of the largest mean.
    """
    means = own.float().flatten(2).mean(2)
    expected = other.float().reshape(*means.shape, -1).mean(2)
    largest = expected.abs().max()
    torch.testing.assert_close(means / largest, expected / largest, rtol=0, atol=tolerance)


def _rate(forward: Forward, images: Tensor) -> float:
    start = clock()
    forward(images)
    return len(images) / (clock() - start)
