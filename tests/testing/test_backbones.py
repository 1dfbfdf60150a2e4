"""The check of backbones finds each breach that it is there for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.small import SmallNet
from wsoltool.testing import check_backbone


class Net(Backbone):
    """Convolution at stride 2, in-place ReLU, convolution."""

    output_stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.exit = nn.Conv2d(4, 5, 1)

    def steps(self) -> list[tuple[str, nn.Module]]:
        return [("conv", self.conv), ("relu", self.relu), ("exit", self.exit)]


class SameName(Net):
    def steps(self) -> list[tuple[str, nn.Module]]:
        return [("conv", self.conv), ("conv", self.exit)]


class SameModule(Net):
    def steps(self) -> list[tuple[str, nn.Module]]:
        return [*super().steps(), ("again", self.relu)]


class Vector(Net):
    def steps(self) -> list[tuple[str, nn.Module]]:
        return [*super().steps(), ("pool", nn.AdaptiveAvgPool2d(1))]


class WrongStride(Net):
    output_stride = 4


class OtherStep(Net):
    canonical = {"stage1": "conv9"}


class Overwrites(Net):
    """A layer that works in place and does not say so."""

    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(2)

    def __init__(self) -> None:
        super().__init__()
        self.relu = self.Doubling()


class OwnForward(Net):
    """It does more than its steps."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return super().forward(images + 1)


class OwnEnd(Net):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = super().forward(images)
        features["exit"] = features["last"] = features["last"].relu()
        return features


class Idle(Net):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(3))


class Diverges(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.exit.weight, float("inf"))


@pytest.mark.parametrize("net", [Net(), SmallNet()])
def test_good_backbones_pass(net: Backbone) -> None:
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    random = torch.get_rng_state()
    check_backbone(net)
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert net.wanted == ()


@pytest.mark.parametrize(
    ("net", "breach"),
    [
        (nn.Identity(), "no Backbone"),
        (SameName(), "one name"),
        (SameModule(), "two steps"),
        (Vector(), "'pool' makes no feature map"),
        (OtherStep(), "'stage1' makes no feature map"),
        (WrongStride(), "output_stride is 4, but `last` has stride 2"),
        (Overwrites(), "overwrites 'conv'"),
        (Diverges(), "'exit': NaN or infinity"),
        (Idle(), "unused"),
        (OwnForward(), "`input` is not the images"),
        (OwnEnd(), "overwrites 'exit'"),
    ],
)
def test_breaches_are_named(net: nn.Module, breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        check_backbone(net)
