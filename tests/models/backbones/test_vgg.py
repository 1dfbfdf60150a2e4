"""VGG16 against torchvision's."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.vgg import VGG16


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg16_is_torchvisions(batch_norm: bool, alive, assert_close) -> None:
    make = torchvision.models.vgg.make_layers
    original = alive(make(torchvision.models.vgg.cfgs["D"], batch_norm))
    images = torch.randn(1, 3, 64, 64)
    last_pool = len(original) - 1
    fourth_pool = [i for i, m in enumerate(original) if isinstance(m, nn.MaxPool2d)][3]
    for stride, point, end in [(32, "pool5", None), (16, "relu5_3", last_pool)]:
        ours = VGG16(output_stride=stride, batch_norm=batch_norm).eval()
        ours.features.load_state_dict(original.state_dict(), strict=True)
        with torch.no_grad():
            assert ours.step_names[-1] == point
            assert_close(ours(images)["last"], original[:end](images))
    ours = VGG16(output_stride=8, batch_norm=batch_norm).eval()
    ours.features.load_state_dict(original.state_dict(), strict=True)
    ours.want(["relu4_3"])
    with torch.no_grad():
        before = original[:fourth_pool](images)
        features = ours(images)
        assert_close(features["relu4_3"], before)
        assert_close(features["last"], original[fourth_pool + 1 : last_pool](before))


def test_vgg16_names() -> None:
    net = VGG16(output_stride=16, extra_conv=24, batch_norm=True)
    names = net.step_names
    assert names[:8] == (
        *("input", "conv1_1", "bn1_1", "relu1_1", "conv1_2", "bn1_2", "relu1_2", "pool1"),
    )
    assert names[-4:] == ("relu5_3", "conv6", "bn6", "relu6")
    assert "pool4" in names
    assert "pool5" not in names
    assert "pool4" not in VGG16(output_stride=8).step_names
    assert net.channels()["last"] == 24
    assert net.conv6.kernel_size == (3, 3)
    assert net.resolve_points("conv5_*") == ("conv5_1", "conv5_2", "conv5_3")
    assert net.resolve_points("pool*") == ("pool1", "pool2", "pool3", "pool4")


def test_vgg16_starts_as_torchvisions_does() -> None:
    ours = VGG16().features[2].weight.detach()
    fan_out = 64 * 9
    assert ours.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize("extra_conv", [-1, True, 1.5, "1024"])
def test_vgg16_refuses_extra_conv(extra_conv: object) -> None:
    with pytest.raises(ConfigError, match="extra_conv"):
        VGG16(extra_conv=extra_conv)


def test_several_extra_convolutions() -> None:
    net = VGG16(extra_conv=(24, 8))
    assert net.step_names[-4:] == ("conv6", "relu6", "conv7", "relu7")
    assert net.channels()["last"] == 8
    assert net.conv7.in_channels == 24


@pytest.mark.parametrize("surgery", ["stride", "wsolevaluation", "mldfr"])
def test_the_papers_surgeries_are_the_same_here(surgery: str) -> None:
    assert VGG16(surgery=surgery).step_names == VGG16().step_names


def test_shared_names() -> None:
    net = VGG16(output_stride=32)
    own = {name: net.step_of(name) for name in ("stem", *(f"stage{i}" for i in range(1, 5)))}
    assert list(own.values()) == ["relu1_1", "relu3_3", "relu4_3", "relu5_3", "pool5"]
    with pytest.raises(ConfigError, match="no feature 'stage4'"):
        VGG16(output_stride=16).step_of("stage4")
