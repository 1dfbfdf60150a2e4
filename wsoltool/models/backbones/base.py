"""What every backbone shares: named steps, canonical names, insert points, partial runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, did_you_mean

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Backbone(nn.Module):
    """A network as an ordered run of named steps.

    A subclass holds its layers as attributes named as in the weights that it loads, and lists
    them in :meth:`steps`. Every step is a feature name. ``canonical`` maps the names shared by
    all backbones (``stem``, ``pool1..5`` or ``stage1..4``) to steps; ``input`` and ``last`` are
    always there.

    Attributes:
        canonical: Shared name -> step name.
        input_mean: Per RGB channel, in grey levels 0..255, of the weights' preprocessing.
        input_std: Likewise.
        wanted: Feature names that :meth:`forward` returns besides ``last``.
    """

    canonical: Mapping[str, str] = {}
    input_mean: tuple[float, float, float] = IMAGENET_MEAN
    input_std: tuple[float, float, float] = IMAGENET_STD

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Identity()
        self.wanted: tuple[str, ...] = ()

    @abstractmethod
    def steps(self) -> Iterable[tuple[str, nn.Module]]:
        """(name, module) in running order, without ``input``."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images ``(B, 3, H, W)``, normalised, to features ``(B, C, h, w)`` by name."""
        return self._run(images, [("input", self.input), *self.steps()])

    def forward_from(self, features: Tensor, point: str) -> dict[str, Tensor]:
        """Run the steps after ``point`` on ``features``, as :meth:`forward` would."""
        steps = [("input", self.input), *self.steps()]
        start = [name for name, _ in steps].index(self.step_of(point)) + 1
        return self._run(features, steps[start:])

    def _run(self, x: Tensor, steps: list[tuple[str, nn.Module]]) -> dict[str, Tensor]:
        wanted: dict[str, list[str]] = {}
        for name in self.wanted:
            wanted.setdefault(self.step_of(name), []).append(name)
        features = {}
        for name, module in steps:
            x = module(x)
            features.update(dict.fromkeys(wanted.get(name, ()), x))
        features["last"] = x
        return features

    def want(self, names: Iterable[str]) -> None:
        """Ask :meth:`forward` for these features too; unknown names are an error."""
        extra = [name for name in names if name not in (*self.wanted, "last")]
        for name in extra:
            self.step_of(name)
        self.wanted = (*self.wanted, *extra)

    @contextmanager
    def also(self, names: Iterable[str]) -> Iterator[None]:
        """Within the block, :meth:`forward` returns these features as well."""
        before = self.wanted
        try:
            self.want(names)
            yield
        finally:
            self.wanted = before

    @cached_property
    def step_names(self) -> tuple[str, ...]:
        """Names of all steps in running order, ``input`` first."""
        return ("input", *(name for name, _ in self.steps()))

    def step_of(self, name: str) -> str:
        """The step behind a canonical or own name."""
        if name == "last":
            return self.step_names[-1]
        step = self.canonical.get(name, name)
        if step not in self.step_names:
            raise self._unknown(name, (*self.canonical, *self.step_names, "last"))
        return step

    @cached_property
    def _modules_by_point(self) -> dict[str, nn.Module]:
        # Steps first, then what lies inside them under its dotted name.
        points: dict[str, nn.Module] = {"input": self.input, **dict(self.steps())}
        inner = {id(module) for module in points.values()}
        for name, module in self.named_modules():
            if name and id(module) not in inner:
                points.setdefault(name, module)
        return points

    def module_at(self, point: str) -> nn.Module:
        """The module whose output is the feature at ``point``."""
        return self._modules_by_point[self._point_step(point)]

    def _point_step(self, point: str) -> str:
        if point == "last":
            return self.step_names[-1]
        return self.canonical.get(point, point)

    def resolve_points(self, pattern: str) -> tuple[str, ...]:
        """Insert points that a name or glob means, in running order.

        A glob is matched against full names and against the last dotted part of layers inside a
        step (``conv*`` finds ``layer1.0.conv2``); canonical names are matched before layer names.

        Raises:
            ConfigError: Nothing matches.
        """
        names = (*self.canonical, *self.insert_points)
        if not any(c in pattern for c in "*?["):
            if pattern in names:
                return (pattern,)
            raise self._unknown(pattern, names)
        canonical = [name for name in self.canonical if fnmatchcase(name, pattern)]
        layers = [
            name
            for name in self.insert_points
            if name not in self.canonical
            and (fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[2], pattern))
        ]
        found = tuple(canonical or layers)
        if not found:
            raise self._unknown(pattern, names)
        return found

    def _unknown(self, name: str, names: Iterable[str]) -> ConfigError:
        names = tuple(dict.fromkeys(names))
        return ConfigError(
            f"{type(self).__name__} has no insert point {name!r}",
            known=names if len(names) <= 40 else (*self.canonical, "last"),
            hint=did_you_mean(name, names),
        )

    @cached_property
    def insert_points(self) -> dict[str, tuple[int, int]]:
        """Point -> (channels, stride), for every name whose output is one feature map."""
        shapes = self._probe()
        aliases = {name: shapes[step] for name, step in self.canonical.items()}
        return {**aliases, **shapes, "last": shapes[self.step_names[-1]]}

    def channels(self) -> dict[str, int]:
        """Point -> channels."""
        return {name: channels for name, (channels, _) in self.insert_points.items()}

    def _probe(self, side: int = 512) -> dict[str, tuple[int, int]]:
        # A run on the meta device costs no arithmetic and touches no weight.
        shapes: dict[str, tuple[int, int]] = {}
        names = {id(module): name for name, module in self._modules_by_point.items()}

        def record(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                stride = round(side / output.shape[-1])
                shapes.setdefault(names[id(module)], (output.shape[1], stride))

        was_training = self.training
        self.eval()
        handles = [m.register_forward_hook(record) for m in self._modules_by_point.values()]
        meta = {
            name: tensor.to("meta")
            for name, tensor in (*self.named_parameters(), *self.named_buffers())
        }
        try:
            image = torch.empty(1, 3, side, side, device="meta")
            with torch.no_grad():
                torch.func.functional_call(self, meta, (image,))
        finally:
            for handle in handles:
                handle.remove()
            self.train(was_training)
        return shapes
