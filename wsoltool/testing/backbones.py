"""Checks of backbones: steps, names, insert points, features, partial runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from wsoltool.models.contracts import Backbone
from wsoltool.models.insertion import Inserts
from wsoltool.structures import Size
from wsoltool.testing.requirements import require, require_close, require_finite, seeded


@seeded
def check_backbone(backbone: Backbone, size: Size | None = None) -> None:
    """Check a backbone: steps, shared names, features at every point, partial runs, inserts.

    Args:
        backbone: The component; a copy of it is tried.
        size: (height, width) of the images to make up, in pixels; four by six cells of ``last``
            unless given.
    """
    require(isinstance(backbone, Backbone), f"{type(backbone).__name__} is no Backbone")
    net = copy.deepcopy(backbone).eval()
    _check_names(net)
    stride = net.output_stride
    height, width = size or (4 * stride, 6 * stride)
    images = torch.randn(2, 3, max(height, net.smallest_side), max(width, net.smallest_side))
    features = _check_features(net, images)
    _check_partial_runs(net, features)
    _check_training(net, images)
    _check_inserts(net, images)


def _check_names(net: Backbone) -> None:
    names = [name for name, _ in net.steps()]
    require(len(set(names)) == len(names), "two steps have one name")
    modules = [id(module) for _, module in net.steps()]
    require(len(set(modules)) == len(modules), "a module is two steps")
    for name in (*names, *net.canonical, *net.aliases, "input", "last"):
        require(name in net.insert_points, f"step {name!r} makes no feature map")
    stride = net.insert_points["last"][1]
    require(
        stride == net.output_stride,
        f"output_stride is {net.output_stride}, but `last` has stride {stride}",
    )


def _check_features(net: Backbone, images: Tensor) -> dict[str, Tensor]:
    """Every step's feature, as it left its step."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, _, output: seen.update({name: output.clone()})

    handles = [module.register_forward_hook(note(name)) for name, module in net.steps()]
    net.want(net.step_names)
    with torch.no_grad():
        features = net(images)
    for handle in handles:
        handle.remove()
    for name, feature in features.items():
        channels, stride = net.insert_points[name]
        require(feature.shape[:2] == (len(images), channels), f"{name!r} has other channels")
        require_finite(f"the feature {name!r}", feature)
        for side, cells in zip(images.shape[-2:], feature.shape[-2:], strict=True):
            close = abs(cells - side / stride) <= (2 if net.tiles else 4)
            require(
                close, f"{name!r} is said to have stride {stride}: {side} pixels, {cells} cells"
            )
    require(torch.equal(features["input"], images), "`input` is not the images")
    for name, feature in seen.items():
        require(torch.equal(features[name], feature), f"a later layer overwrites {name!r}")
    require(torch.equal(features["last"], features[net.step_names[-1]]), "`last` is another step")
    return features


def _check_partial_runs(net: Backbone, features: dict[str, Tensor]) -> None:
    for name in net.step_names:
        with torch.no_grad():
            rest = net.forward_from(features[name].clone(), name)
        require(bool(_lasts(rest)), f"the steps after {name!r} do not answer `last`")
        for found, feature in rest.items():
            breach = f"the steps after {name!r} do not go on as forward does"
            require_close(breach, feature, features[found])


def _lasts(features: Mapping[str, Tensor]) -> list[Tensor]:
    """``last``, and that of each network where the backbone is of several."""
    return [feature for name, feature in features.items() if name.rpartition(".")[2] == "last"]


def _check_inserts(net: Backbone, images: Tensor) -> None:
    names = list(net.state_dict())
    with torch.no_grad():
        before = net(images)["last"]
        inserts = Inserts(net, [("last", lambda channels, stride: _Scale(0.5))])
        require_close("an insert at `last` does not act once", net(images)["last"], 0.5 * before)
    require(len(inserts) == 1, "`last` is several points")
    require(list(net.state_dict()) == names, "inserting changes the names of weights")


class _Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factor


def _check_training(net: Backbone, images: Tensor) -> None:
    lasts = _lasts(net.train()(images))
    torch.stack([last.square().mean() for last in lasts]).sum().backward()
    idle = [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None]
    require(not idle, f"parameters that no gradient reaches: {', '.join(idle[:5])}")
    net.eval()
