"""The small network."""

from __future__ import annotations

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.small import SmallNet


def test_smallnet_has_24_cells_at_96_pixels() -> None:
    net = SmallNet()
    assert net(torch.randn(2, 3, 96, 96))["last"].shape == (2, 48, 24, 24)
    assert net.resolve_points("stage*") == ("stage1", "stage2", "stage3", "stage4")


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_smallnet_strides(stride: int) -> None:
    net = SmallNet(channels=(4, 5), output_stride=stride)
    assert net(torch.randn(1, 3, 8, 8))["last"].shape == (1, 5, 8 // stride, 8 // stride)


@pytest.mark.parametrize("channels", [(), (0, 4), ("16",), 16])
def test_smallnet_refuses_channels(channels: object) -> None:
    with pytest.raises(ConfigError, match="channels"):
        SmallNet(channels=channels)
