"""What is found out about networks on the meta device."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.tracing import find_trunk, map_shapes, smallest_side, split_layers


class Classifier(nn.Module):
    """Convolution, ReLU by a function, block, pooling, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 6, 1), nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(F.relu(self.conv(x), inplace=True))
        return self.fc(x.mean([2, 3]))


def test_trunk_ends_before_the_pooling() -> None:
    net = Classifier()
    trunk = find_trunk(net)
    assert [name for name, _ in trunk] == ["conv", "relu", "block"]
    assert trunk[0][1] is net.conv
    assert isinstance(trunk[1][1], nn.ReLU)
    names = [name for name, _ in split_layers(trunk)]
    assert names == ["conv", "relu", "block.0", "block.1.0", "block.1.1"]


def test_trunk_is_the_network() -> None:
    net, x = Classifier().eval(), torch.randn(2, 3, 16, 20)
    y = x
    with torch.no_grad():
        for _, layer in split_layers(find_trunk(net)):
            y = layer(y)
        assert torch.equal(net.fc(y.mean([2, 3])), net(x))


class Shortcut(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fc(self.block(x + x.mean()).mean([2, 3]))


class TwoPaths(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fc((self.block(x) + 2 * x[:, :, ::2, ::2].sum(1, True)).mean([2, 3]))


class TwoClassifiers(Classifier):
    """The second path leaves from an earlier feature."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = self.block(x)
        return self.fc((self.block[0](x)).mean([2, 3]) + y.mean([2, 3]))


class FixedSize(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != 64:
            raise RuntimeError("64 pixels only")
        return super().forward(x)


@pytest.mark.parametrize("cls", [Shortcut, TwoPaths, TwoClassifiers])
def test_other_networks_are_refused(cls: type[nn.Module]) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__} is no run of layers"):
        find_trunk(cls())


def test_networks_of_a_fixed_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="images of any size: 64 pixels only"):
        find_trunk(FixedSize())


class ChannelsLast(nn.Module):
    """As in ConvNeXt's blocks: between two permutations, channels come last."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 7)
        self.back = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_maps_with_channels_last_are_none() -> None:
    net = ChannelsLast()
    assert set(map_shapes(net, dict(net.named_children()))) == {"back"}


def test_tracing_leaves_no_hooks_and_no_trace() -> None:
    net = Classifier()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    find_trunk(net)
    map_shapes(net, dict(net.named_children()))
    for module in net.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert net.training


@pytest.mark.parametrize("kernels", [(3,), (5, 3), (7, 7, 2)])
def test_smallest_side_by_hand(kernels: tuple[int, ...]) -> None:
    """Unpadded convolutions at stride 1 take ``k - 1`` pixels each and leave one at the least."""
    net = nn.Sequential(*(nn.Conv2d(3, 3, side) for side in kernels))
    assert smallest_side(net) == 1 + sum(side - 1 for side in kernels)
