"""GoogLeNet and InceptionV3 against torchvision's and the standard benchmark's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.inception import (
    FineInceptionB,
    FineInceptionD,
    GoogLeNet,
    InceptionV3,
)


def weights_of(net: nn.Module, ours: nn.Module) -> dict[str, Tensor]:
    wanted = ours.state_dict()
    return {name: tensor for name, tensor in net.state_dict().items() if name in wanted}


def test_strided_blocks_at_stride_1_hold_the_coarse_map(alive, assert_close) -> None:
    """A cell of the original looks at three by three; padded by one, every second is the same."""
    original = alive(torchvision.models.inception_v3(init_weights=False))
    x = torch.randn(1, 288, 11, 13)
    fine = InceptionV3(output_stride=8).eval()
    fine.load_state_dict(weights_of(original, fine), strict=True)
    assert isinstance(fine.Mixed_6a, FineInceptionB)
    assert isinstance(fine.Mixed_7a, FineInceptionD)
    with torch.no_grad():
        coarse = original.Mixed_6a(x)
        assert_close(fine.Mixed_6a(x)[..., 1:-1:2, 1:-1:2], coarse)
        y = torch.randn(1, 768, 9, 7)
        assert_close(fine.Mixed_7a(y)[..., 1:-1:2, 1:-1:2], original.Mixed_7a(y))


def benchmark_inception(net: nn.Module, x: Tensor, large: bool) -> Tensor:
    """The standard benchmark's forward (Choe et al., CVPR 2020), on torchvision's layers."""

    def unit(layer: nn.Module, x: Tensor, stride: int, padding: int) -> Tensor:
        x = F.conv2d(x, layer.conv.weight, stride=stride, padding=padding)
        return layer.bn(x).relu()

    x = unit(net.Conv2d_1a_3x3, x, 2, 1)
    x = net.Conv2d_2b_3x3(net.Conv2d_2a_3x3(x))
    x = F.max_pool2d(x, 3, 2, padding=1, ceil_mode=True)
    x = net.Conv2d_4a_3x3(net.Conv2d_3b_1x1(x))
    x = F.max_pool2d(x, 3, 2, padding=1, ceil_mode=True)
    x = net.Mixed_5d(net.Mixed_5c(net.Mixed_5b(x)))
    if not large:
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    block = net.Mixed_6a
    tower = block.branch3x3dbl_2(block.branch3x3dbl_1(x))
    parts = unit(block.branch3x3, x, 1, 1), unit(block.branch3x3dbl_3, tower, 1, 1)
    x = torch.cat([*parts, F.max_pool2d(x, 3, 1, padding=1)], dim=1)
    return net.Mixed_6e(net.Mixed_6d(net.Mixed_6c(net.Mixed_6b(x))))


@pytest.mark.parametrize(("stride", "cells"), [(16, 14), (8, 28)])
def test_wsolevaluations_inception(stride: int, cells: int, alive, assert_close) -> None:
    original = alive(torchvision.models.inception_v3(init_weights=False))
    net = InceptionV3(output_stride=stride, surgery="wsolevaluation").eval()
    net.load_state_dict(weights_of(original, net), strict=True)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        ours = net(images)["last"]
        assert ours.shape == (1, 768, cells, cells)
        assert_close(ours, benchmark_inception(original, images, large=stride == 8))
    assert net.step_names[-1] == "Mixed_6e"
    assert ("maxpool3" in net.step_names) == (stride == 16)


def test_wsolevaluations_inception_has_no_stride_32() -> None:
    with pytest.raises(ConfigError, match="surgery='wsolevaluation' makes a last map of stride 8"):
        InceptionV3(output_stride=32, surgery="wsolevaluation")


def test_mldfrs_inception() -> None:
    net = InceptionV3(output_stride=16, surgery="mldfr")
    names = net.step_names
    assert names[names.index("Mixed_6e") + 1 :] == ("transition", "Mixed_7b", "Mixed_7c")
    conv = net.transition.conv
    assert (conv.in_channels, conv.out_channels, conv.kernel_size) == (768, 1280, (1, 1))
    assert [type(layer).__name__ for layer in net.transition] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert net(torch.randn(2, 3, 299, 299))["last"].shape == (2, 2048, 17, 17)


def test_mldfrs_googlenet() -> None:
    net = GoogLeNet(output_stride=16, surgery="mldfr")
    names = net.step_names
    assert names[names.index("inception4e") + 1 :] == ("transition", "inception5a", "inception5b")
    assert net.transition.conv.weight.shape == (832, 832, 1, 1)
    assert net.insert_points["last"] == (1024, 16)


def test_googlenet_gap_ends_at_inception4e(alive, assert_close) -> None:
    """Zhou et al., CVPR 2016, section 3.1."""
    original = alive(torchvision.models.googlenet(init_weights=False))
    net = GoogLeNet(output_stride=16, surgery="cam", extra_conv=1024).eval()
    net.load_state_dict({**net.state_dict(), **weights_of(original, net)}, strict=True)
    assert net.step_names[-3:] == ("inception4e", "conv6", "relu6")
    net.want(["inception4e"])
    x = images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for name in net.step_names[1:-2]:
            x = getattr(original, name)(x)
        features = net(images)
        assert_close(features["inception4e"], x)
        expected = F.conv2d(x, net.conv6.weight, net.conv6.bias, padding=1).relu()
        assert_close(features["last"], expected)
    assert features["last"].shape == (1, 1024, 14, 14)


def test_googlenet_without_batchnorm(tmp_path: Path) -> None:
    original = torchvision.models.googlenet(init_weights=False)
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    net = GoogLeNet(batch_norm=False, pretrained={"file": str(tmp_path / "weights.pth")})
    assert torch.equal(net.conv2.conv.weight, original.conv2.conv.weight)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in net.modules())
    assert len(net.resolve_points("@Conv2d")) == convolutions == 57


def test_mldfrs_googlenet_without_batchnorm_has_none_in_its_transition() -> None:
    net = GoogLeNet(output_stride=16, surgery="mldfr", batch_norm=False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert len(net.resolve_points("@Conv2d")) == 58


@pytest.mark.parametrize("cls", [GoogLeNet, InceptionV3])
def test_auxiliary_heads_are_out_of_the_way(cls: type, tmp_path: Path) -> None:
    net = cls().train()
    features = net(torch.randn(2, 3, 96, 96))
    assert list(features) == ["last"]
    assert not any(name.lower().startswith("aux") for name in net.state_dict())


@pytest.mark.parametrize(("cls", "name"), [(GoogLeNet, "googlenet"), (InceptionV3, "inception_v3")])
def test_published_weights_meet_pixels_as_they_were_trained(
    cls: Callable[..., Backbone], name: str, tmp_path: Path, alive, assert_close
) -> None:
    """torchvision's networks transform their input themselves; here the preprocessor does it."""
    model = torchvision.models.get_model(name, weights=None, init_weights=False)
    model.transform_input = True
    original = alive(model)
    torch.save(original.state_dict(), tmp_path / "weights.pth")
    net = cls(pretrained={"file": str(tmp_path / "weights.pth")}).eval()
    pixels = torch.randint(256, (1, 3, 96, 96)).float()
    as_torchvision = torchvision.transforms.functional.normalize(
        pixels / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (net.input_mean, net.input_std))
    seen: list[Tensor] = []
    original.avgpool.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        original(as_torchvision)
        assert_close(net((pixels - mean) / std)["last"], seen[0])
