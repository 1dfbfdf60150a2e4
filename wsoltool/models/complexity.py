"""What a localizer costs: parameters, multiply-adds, activation memory, and its insert points.

Every figure of a module is its own alone, without the modules inside it: their sum is the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wsoltool.models.contracts import Backbone
from wsoltool.models.counting import count, count_multiply_adds
from wsoltool.models.ensemble import Ensemble
from wsoltool.models.localizer import Localizer
from wsoltool.structures import Size


@dataclass(frozen=True, slots=True)
class ModuleCost:
    """One module's own share, without the modules inside it.

    Attributes:
        name: ``backbone.<step>``, ``inserts.<point>`` or ``head``, and on through their children;
            of an ensemble with ``members.<m>.`` in front.
        type: Its class.
        params: Parameters (count); one that several modules share is counted at the first.
        flops: Multiply-adds (count).
        activation_bytes: Of what it keeps for the backward pass.
    """

    name: str
    type: str
    params: int
    flops: int
    activation_bytes: int


class CostSum:
    """What several modules cost together.

    Attributes:
        modules: Each with its own share.
    """

    __slots__ = ()
    modules: tuple[ModuleCost, ...]

    @property
    def params(self) -> int:
        """Parameters (count), each once, whether the forward pass needs them or not."""
        return sum(module.params for module in self.modules)

    @property
    def flops(self) -> int:
        """Multiply-adds (count)."""
        return sum(module.flops for module in self.modules)

    @property
    def activation_bytes(self) -> int:
        """Of what autograd keeps for the backward pass."""
        return sum(module.activation_bytes for module in self.modules)


@dataclass(frozen=True, slots=True)
class InsertPoint:
    """A point of the backbone at which modules can be inserted.

    Attributes:
        channels: C.
        stride: Input pixels for one cell, along each side, as the backbone names it.
        shape: ``(C, h, w)`` at the measured input size.
    """

    channels: int
    stride: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Complexity(CostSum):
    """The costs of one forward pass from images to class scores.

    Attributes:
        input: (height, width) of the images.
        modules: All of them, the backbone's steps first and in running order.
        trainable: How many of the parameters are trainable (count).
        points: Name -> insert point, for canonical and own names.
    """

    input: Size
    modules: tuple[ModuleCost, ...]
    trainable: int
    points: Mapping[str, InsertPoint]


@dataclass(frozen=True, slots=True)
class ViewCost:
    """What one view of the fusion takes at test.

    Attributes:
        scale: Relative to the input that the pipeline delivers.
        flip: Mirrored.
        size: (height, width) that the network sees.
        flops: Multiply-adds of a forward pass to the class scores.
    """

    scale: float
    flip: bool
    size: Size
    flops: int


def measure(localizer: Localizer, images: Tensor) -> Complexity:
    """Run a localizer once, in evaluation mode (erasers off), to its logits, and count.

    What counts as multiply-adds and as activation memory: see
    :func:`~wsoltool.models.counting.count`. An insert's work counts for the insert, not for the
    backbone around it; layers of the backbone that the head runs again count again.

    The costs of an :class:`~wsoltool.models.ensemble.Ensemble` are those of all its members, each
    run to its logits: modules ``members.<m>.backbone.<step>``, points ``<m>/<point>``.

    Args:
        localizer: Its modes are restored.
        images: ``(1, 3, H, W)`` normalised; more images cost what they cost together.

    Raises:
        ShapeError: They are too small for the backbone.

    Example:
        >>> from wsoltool.models.builder import build_localizer
        >>> head = dict(type="cam.CAMHead", num_classes=5)
        >>> localizer = build_localizer(dict(backbone=dict(type="SmallNet"), head=head))
        >>> cost = measure(localizer, torch.zeros(1, 3, 96, 96))
        >>> cost.params, cost.flops
        (40133, 23556336)
        >>> {module.name: module for module in cost.modules}["backbone.conv1"]
        ModuleCost(name='backbone.conv1', type='Conv2d', params=432, flops=995328,
            activation_bytes=110592)
        >>> cost.points["stage1"]
        InsertPoint(channels=16, stride=2, shape=(16, 48, 48))
    """
    if isinstance(localizer, Ensemble):
        return _together({name: measure(own, images) for name, own in members(localizer).items()})
    names = module_names(localizer)
    points = localizer.backbone.insert_points  # finding them takes a run of its own
    counts = count(localizer, images, names)
    params = _own_parameters(names)
    return Complexity(
        input=(images.shape[-2], images.shape[-1]),
        modules=tuple(
            ModuleCost(
                name,
                type(module).__name__,
                params[name],
                counts.flops.get(name, 0),
                counts.kept_bytes.get(name, 0),
            )
            for module, name in names.items()
        ),
        trainable=sum(p.numel() for p in localizer.parameters() if p.requires_grad),
        points={
            point: InsertPoint(*at, counts.shapes[localizer.backbone.module_at(point)][1:])
            for point, at in points.items()
        },
    )


def _together(costs: Mapping[str, Complexity]) -> Complexity:
    """Members run one after the other: ``members.<m>.backbone.conv1``, points ``<m>/conv1``."""
    return Complexity(
        input=next(iter(costs.values())).input,
        modules=tuple(
            replace(module, name=f"members.{name}.{module.name}")
            for name, cost in costs.items()
            for module in cost.modules
        ),
        trainable=sum(cost.trainable for cost in costs.values()),
        points={
            f"{name}/{point}": at
            for name, cost in costs.items()
            for point, at in cost.points.items()
        },
    )


def members(localizer: Localizer) -> dict[str, Localizer]:
    """The localizers of an ensemble by name; another one alone, under an empty name."""
    return localizer.localizers() if isinstance(localizer, Ensemble) else {"": localizer}


def member_costs(localizer: Localizer, complexity: Complexity) -> dict[str, Complexity]:
    """The share of each of :func:`members`, with names as it has them alone."""
    if not isinstance(localizer, Ensemble):
        return {"": complexity}
    return {name: _share(complexity, name) for name in members(localizer)}


def _share(complexity: Complexity, name: str) -> Complexity:
    before = f"members.{name}."
    points = complexity.points.items()
    return replace(
        complexity,
        modules=tuple(
            replace(module, name=module.name.removeprefix(before))
            for module in complexity.modules
            if module.name.startswith(before)
        ),
        points={p.removeprefix(f"{name}/"): at for p, at in points if p.startswith(f"{name}/")},
    )


def measure_views(localizer: Localizer, images: Tensor) -> tuple[ViewCost, ...]:
    """What each view of the fusion takes, up to the class scores, those of all members.

    The maps themselves are not in it: a classifier's rows cost next to nothing, and a map source
    that runs the network again says itself how often.

    Args:
        localizer: Its modes are restored.
        images: ``(1, 3, H, W)`` as the test pipeline delivers them, normalised.

    Raises:
        ShapeError: A view is too small for the backbone.
    """
    by_size: dict[Size, int] = {}
    costs = []
    for view in localizer.fusion.views():
        shown = view.apply(images)
        size = (shown.shape[-2], shown.shape[-1])
        if size not in by_size:
            parts = members(localizer).values()
            by_size[size] = sum(count_multiply_adds(part, shown) for part in parts)
        costs.append(ViewCost(view.scale, view.flip, size, by_size[size]))
    return tuple(costs)


def sample_images(localizer: Localizer, size: Size) -> Tensor:
    """``(1, 3, *size)`` normalised noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (1, *size, 3), dtype=torch.uint8, generator=generator)
    return localizer.data_preprocessor.normalize(pixels)


def module_names(localizer: Localizer) -> dict[nn.Module, str]:
    """A name for each module, those of the backbone by its steps: ``backbone.pool1``.

    Steps come first, in running order; the localizer itself is called ``localizer``.
    """
    names: dict[nn.Module, str] = {}
    for step, module in localizer.backbone.steps():
        for name, inner in module.named_modules(prefix=f"backbone.{step}"):
            names.setdefault(inner, name)
    taken = set(names.values())
    for name, module in localizer.named_modules():
        if module not in names:
            name = name or "localizer"
            while name in taken:  # an attribute may be called as a step is
                name += "_"
            names[module] = name
            taken.add(name)
    return names


def _own_parameters(names: Mapping[nn.Module, str]) -> dict[str, int]:
    counted: set[int] = set()
    found = {}
    for module, name in names.items():
        own = {id(p): p.numel() for p in module.parameters(recurse=False)}
        found[name] = sum(size for key, size in own.items() if key not in counted)
        counted |= own.keys()
    return found


def points_by_module(backbone: Backbone) -> dict[str, tuple[str, ...]]:
    """Own name -> the canonical names that stand for the same module, in running order.

    Example:
        >>> from wsoltool.models.backbones.small import SmallNet
        >>> points_by_module(SmallNet(channels=(4, 8)))
        {'input': (), 'conv1': (), 'bn1': (), 'relu1': ('stage1',), 'conv2': (), 'bn2': (),
            'relu2': ('stage2', 'last')}
    """
    shared = (*backbone.canonical, "last")
    names: dict[nn.Module, list[str]] = {}
    for point in backbone.insert_points:
        names.setdefault(backbone.module_at(point), []).append(point)
    found = {}
    for group in names.values():
        own = next((name for name in group if name not in shared), group[0])
        found[own] = tuple(name for name in group if name != own)
    return {point: found[point] for point in backbone.insert_points if point in found}
