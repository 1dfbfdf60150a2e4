"""The small network."""

from __future__ import annotations

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.insertion import Inserts
from wsoltool.models.recalibrations.batch_norm import BatchNorm


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


def test_smallnet_without_norm_is_itself_again_with_inserted_norms() -> None:
    net, bare = SmallNet(), SmallNet(norm=False)
    steps = [name for name, _ in bare.steps()]
    assert steps == [name for name, _ in net.steps() if not name.startswith("bn")]
    bare.load_state_dict({k: v for k, v in net.state_dict().items() if ".bn" not in k})
    images = torch.randn(2, 3, 32, 32)
    different = bare(images)["last"]
    inserts = Inserts(bare, [("@Conv2d", lambda channels, _: BatchNorm(channels))])
    assert list(inserts) == ["conv1", "conv2", "conv3", "conv4"]
    expected = net(images)["last"]
    assert torch.equal(bare(images)["last"], expected)
    assert not torch.allclose(different, expected, atol=0.1)
