"""Frozen steps and kept norms: what trains, what moves, and that train() does not undo it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.contracts import Recalibration
from wsoltool.models.insertion import Inserts

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Toy(Backbone):
    """Two blocks with norm and dropout, as a plugin's backbone has them."""

    canonical = {"stage1": "one", "stage2": "two"}

    def __init__(self) -> None:
        super().__init__()
        for name, before in (("one", 3), ("two", 4)):
            block = nn.Sequential(nn.Conv2d(before, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
            self.add_module(name, block)

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        yield "one", self.one
        yield "two", self.two


@pytest.fixture
def net() -> Toy:
    torch.manual_seed(0)
    return Toy()


def training(net: nn.Module) -> set[str]:
    return {name for name, module in net.named_modules() if module.training and name}


def moved(net: Backbone, steps: int = 2) -> set[str]:
    """The tensors that steps of SGD on random images change."""
    torch.manual_seed(1)
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=1.0)
    for _ in range(steps):
        net(torch.randn(4, 3, 6, 6))["last"].square().mean().backward()
        optimizer.step()
    return {name for name, value in net.state_dict().items() if not value.equal(before[name])}


def test_everything_moves_by_default(net: Toy) -> None:
    assert net.frozen is None
    assert moved(net.train()) == set(net.state_dict())


@pytest.mark.parametrize("point", ["stage1", "one"])
def test_frozen_steps_stay_as_they_are(net: Toy, point: str) -> None:
    net.freeze(point)
    assert net.frozen == "one"
    expected = {name for name in net.state_dict() if name.startswith("two.")}
    assert moved(net) == expected
    net.train()
    assert moved(net) == expected
    assert training(net) == {"input", "two", "two.0", "two.1", "two.2"}


def test_dropout_in_frozen_steps_does_nothing(net: Toy) -> None:
    net.freeze("stage1")
    net.train().want(["one"])
    images = torch.randn(2, 3, 6, 6)
    assert torch.equal(net(images)["one"], net(images)["one"])
    assert not torch.equal(net(images)["last"], net(images)["last"])


def test_frozen_to_the_end_and_at_the_input(net: Toy) -> None:
    net.freeze("input")
    assert moved(net) == set(net.state_dict())
    net.freeze("last")
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert training(net.train()) == {"input"}


def test_unknown_points_have_a_near_name(net: Toy) -> None:
    with pytest.raises(ConfigError, match="'stag1'") as error:
        net.freeze("stag1")
    assert error.value.hint == "did you mean 'stage1'?"
    with pytest.raises(ConfigError) as error:
        net.freeze("one.0")
    assert "whole steps" in error.value.hint
    assert net.frozen is None
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_norms_in_evaluation_mode_keep_their_statistics_and_train(net: Toy) -> None:
    net.norm_eval = True
    net.train()
    statistics = {f"{b}.1.{s}" for b in ("one", "two") for s in STATISTICS}
    assert moved(net) == set(net.state_dict()) - statistics
    assert training(net) == {"input", "one", "one.0", "one.2", "two", "two.0", "two.2"}


def test_both_survive_modes_and_copies(net: Toy) -> None:
    net.freeze("one")
    net.norm_eval = True
    for twin in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert training(twin.eval()) == set()
        assert training(nn.ModuleList([twin]).train()[0]) == {"input", "two", "two.0", "two.2"}
        assert moved(twin) == {f"two.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")}


def test_probing_keeps_modes_and_gradients(net: Toy) -> None:
    net.freeze("one")
    net.norm_eval = True
    net.train()
    before = training(net), [p.requires_grad for p in net.parameters()]
    net.insert_points  # noqa: B018
    assert (training(net), [p.requires_grad for p in net.parameters()]) == before


class Scale(Recalibration):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(16)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.norm(features) * self.factor


def test_inserts_at_and_inside_frozen_steps_train() -> None:
    torch.manual_seed(0)
    net = SmallNet()
    inserts = Inserts(net, [("bn1", lambda *_: Scale()), ("stage1", lambda *_: Scale())])
    net.freeze("stage2")
    net.norm_eval = True
    for module in (net, inserts):
        module.train()
    frozen = copy.deepcopy(net.layers[:6].state_dict())
    net(torch.randn(4, 3, 32, 32))["last"].square().mean().backward()
    for insert in inserts.values():
        assert insert.factor.grad.abs() > 0
        assert insert.norm.num_batches_tracked == 1
        assert insert.norm.running_mean.any()
    assert all(parameter.grad is None for parameter in net.layers[:6].parameters())
    assert all(parameter.grad is not None for parameter in net.layers[6:].parameters())
    assert all(value.equal(frozen[name]) for name, value in net.layers[:6].state_dict().items())
