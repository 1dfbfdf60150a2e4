from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.backbones.base import Backbone


class Gate(nn.Module):
    """A block with a shared ReLU, a pooled inner layer and one that answers with a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.pair(self.relu(self.conv2(self.relu(self.conv1(x)))))
        return x * self.pool(x)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Toy(Backbone):
    canonical = {"stem": "entry", "stage1": "gate", "stage2": "exit"}
    output_stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.gate = Gate()
        self.exit = nn.Sequential(nn.Conv2d(4, 5, 1), nn.Dropout(0.5))

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        yield "entry", self.conv
        yield "norm", self.norm
        yield "gate", self.gate
        yield "exit", self.exit


@pytest.fixture
def net() -> Toy:
    torch.manual_seed(0)
    return Toy().eval()


def test_steps_are_required() -> None:
    class Lacking(Backbone):
        pass

    with pytest.raises(TypeError, match="steps"):
        Lacking()


def test_insert_points_are_maps_made_once(net: Toy) -> None:
    assert net.insert_points == {
        "stem": (4, 2),
        "stage1": (4, 4),
        "stage2": (5, 4),
        "input": (3, 1),
        "entry": (4, 2),
        "norm": (4, 2),
        "gate.conv1": (6, 4),
        "gate.conv2": (4, 4),
        "gate": (4, 4),
        "exit.0": (5, 4),
        "exit.1": (5, 4),
        "exit": (5, 4),
        "last": (5, 4),
    }
    assert net.channels()["gate.conv1"] == 6


def test_probing_changes_nothing(net: Toy) -> None:
    net.train()
    net.norm.eval()  # a frozen BatchNorm
    modes = {name: module.training for name, module in net.named_modules()}
    state = copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    net.insert_points  # noqa: B018
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in net.modules())


def test_probing_works_in_half_precision_and_on_meta() -> None:
    expected = Toy().insert_points
    assert Toy().to(torch.bfloat16).insert_points == expected
    with torch.device("meta"):
        assert Toy().insert_points == expected


def test_wanted_features_are_step_outputs(net: Toy) -> None:
    images = torch.randn(2, 3, 16, 20)
    entry = net.conv(images)
    gate = net.gate(net.norm(entry))
    net.want(["stage1", "gate", "stem", "last", "stem"])
    assert net.wanted == ("stage1", "gate", "stem")
    features = net(images)
    assert set(features) == {"stage1", "gate", "stem", "last"}
    assert torch.equal(features["stem"], entry)
    assert torch.equal(features["stage1"], gate)
    assert features["gate"] is features["stage1"]
    assert torch.equal(features["last"], net.exit(gate))


def test_want_is_all_or_nothing(net: Toy) -> None:
    with pytest.raises(ConfigError, match="no feature 'nrom'") as error:
        net.want(["gate", "nrom"])
    assert error.value.hint == "did you mean 'norm'?"
    assert net.wanted == ()


def test_features_inside_a_step_cannot_be_taken(net: Toy) -> None:
    with pytest.raises(ConfigError) as error:
        net.want(["gate.conv1"])
    assert "ask for 'gate'" in str(error.value)


def test_also_ends_with_its_block(net: Toy) -> None:
    images = torch.randn(1, 3, 8, 8)
    net.want(["norm"])
    with net.also(["input", "norm"]):
        assert set(net(images)) == {"input", "norm", "last"}
    assert set(net(images)) == {"norm", "last"}
    with pytest.raises(ZeroDivisionError), net.also(["gate"]):
        1 / 0  # noqa: B018
    assert net.wanted == ("norm",)


@pytest.mark.parametrize("point", ["input", "stem", "norm", "stage1", "exit", "last"])
def test_forward_from_continues_forward(net: Toy, point: str) -> None:
    net.want(["input", "entry", "norm", "gate", "exit", point])
    images = torch.randn(2, 3, 12, 12)
    whole = net(images)
    rest = net.forward_from(whole[point], point)
    assert torch.equal(rest["last"], whole["last"])
    assert set(rest) < set(whole)
    assert point == "last" or point not in rest
    assert all(torch.equal(rest[name], whole[name]) for name in rest)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("stage1", ("stage1",)),
        ("last", ("last",)),
        ("stage*", ("stage1", "stage2")),
        ("conv*", ("gate.conv1", "gate.conv2")),
        ("gate.*", ("gate.conv1", "gate.conv2")),
        ("*t", ("input", "exit")),  # `last` is `exit`
        ("e*", ("entry", "exit")),
        ("exit.*", ("exit.0", "exit.1")),
        ("*.conv?", ("gate.conv1", "gate.conv2")),
        ("[gn]*", ("norm", "gate")),
        ("*", ("stem", "stage1", "stage2")),
    ],
)
def test_resolve_points(net: Toy, pattern: str, found: tuple[str, ...]) -> None:
    assert net.resolve_points(pattern) == found


@pytest.mark.parametrize("pattern", ["gate.relu", "gate.pool", "gate.pair", "pool*", "stage3"])
def test_resolve_points_refuses_what_is_no_insert_point(net: Toy, pattern: str) -> None:
    with pytest.raises(ConfigError, match="no insert point"):
        net.resolve_points(pattern)
    with pytest.raises(ConfigError, match="no insert point"):
        net.module_at(pattern)


def test_module_at_makes_the_feature(net: Toy) -> None:
    assert net.module_at("stage2") is net.exit
    assert net.module_at("last") is net.exit
    assert net.module_at("gate.conv2") is net.gate.conv2
    assert net.module_at("input") is net.input


def test_module_at_follows_replacement_and_copies(net: Toy) -> None:
    assert net.module_at("norm") is net.norm
    net.norm = nn.Identity()
    assert net.module_at("norm") is net.norm
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.module_at("gate") is twin.gate
        assert twin.insert_points == net.insert_points


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 8, 8, 8)])
def test_only_rgb_batches(net: Toy, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="shape") as error:
        net(torch.zeros(shape))
    assert "(batch, 3, height, width)" in str(error.value)


def test_too_small_images_are_refused_by_size(net: Toy) -> None:
    with pytest.raises(ShapeError, match="3 x 9") as error:
        net(torch.zeros(1, 3, 3, 9))
    assert "at least 4 x 4" in str(error.value)
    assert net(torch.zeros(1, 3, 4, 4))["last"].shape == (1, 5, 1, 1)
