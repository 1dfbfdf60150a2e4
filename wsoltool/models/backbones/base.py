"""What every backbone shares: named steps, canonical names, insert points, partial runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from wsoltool.errors import ConfigError, ShapeError, check_choice, did_you_mean
from wsoltool.models.backbones.tracing import PROBE_SIZE, map_shapes, stride_of

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Backbone(nn.Module, ABC):
    """A network as an ordered run of named steps.

    A subclass holds its layers as attributes named as in the weights that it loads, and lists
    them in :meth:`steps`, each module once. Every step is a feature name; every module that
    answers with one feature map a forward is an insert point. ``canonical`` maps the names shared
    by all backbones to steps; ``input`` and ``last`` are always there:

    - ``stem``: the first convolution with its normalisation and activation;
    - ``pool1``, ``pool2`` ...: the poolings that halve the map, in running order;
    - ``stage1`` to ``stage4``: the last step at stride 4, 8, 16 and 32 of the original network.
      They stay where they are when a finer ``output_stride`` is chosen.

    Attributes:
        canonical: Shared name -> step name.
        aliases: Further names of steps: of a layer that is split into steps, its last one.
        output_stride: Input pixels for one cell of ``last``, along each side.
        smallest_side: Input pixels that the network needs along each side, where that is more
            than its output stride (unpadded layers).
        input_mean: Per RGB channel, in grey levels 0..255, of the weights' preprocessing.
        input_std: Likewise.
        wanted: Feature names that :meth:`forward` returns besides ``last``.
        frozen: The last step that does not train, or None; set by :meth:`freeze`.
        norm_eval: Whether BatchNorms keep their running statistics in training, too; their weights
            still train.
    """

    canonical: Mapping[str, str] = {}
    aliases: Mapping[str, str] = {}
    output_stride: int = 1
    smallest_side: int = 1
    input_mean: tuple[float, float, float] = IMAGENET_MEAN
    input_std: tuple[float, float, float] = IMAGENET_STD
    frozen: str | None = None
    norm_eval: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Identity()
        self.wanted: tuple[str, ...] = ()

    @abstractmethod
    def steps(self) -> Iterable[tuple[str, nn.Module]]:
        """(name, module) in running order, without ``input``."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images ``(B, 3, H, W)``, normalised, to features ``(B, C, h, w)`` by name.

        A feature is what leaves its step, whatever was inserted there included.

        Raises:
            ShapeError: Not a batch of RGB images, or smaller than one cell of ``last``.
        """
        self._check_images(images)
        return self._run(images, [("input", self.input), *self.steps()])

    def forward_from(self, features: Tensor, point: str) -> dict[str, Tensor]:
        """Run the steps after ``point`` on ``features``, as :meth:`forward` would.

        Of the wanted features, those after ``point`` are returned.
        """
        steps = [("input", self.input), *self.steps()]
        start = self.step_names.index(self.step_of(point)) + 1
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

    def _check_images(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3:
            raise ShapeError(
                f"images of shape {tuple(images.shape)} given to {type(self).__name__}",
                expected="(batch, 3, height, width)",
            )
        height, width = images.shape[-2:]
        side = max(self.smallest_side, self.output_stride)
        if min(height, width) < side:
            raise ShapeError(
                f"images of {height} x {width} pixels are too small for {type(self).__name__}",
                expected=f"at least {side} x {side} with its output stride of {self.output_stride}",
                hint="enlarge the images in the pipeline, or choose a smaller output_stride",
            )

    def _set_output_stride(self, output_stride: int, allowed: Iterable[int]) -> None:
        what = f"{type(self).__name__} has no output_stride={output_stride!r}"
        check_choice(what, output_stride, allowed)
        self.output_stride = output_stride

    def want(self, names: Iterable[str]) -> None:
        """Ask :meth:`forward` for these features too; unknown names are an error."""
        extra = [name for name in dict.fromkeys(names) if name not in (*self.wanted, "last")]
        for step in [self.step_of(name) for name in extra]:
            self.keep(step)
        self.wanted = (*self.wanted, *extra)

    def apart(self, names: Iterable[str]) -> bool:
        """Whether none of these features is computed from another one of them.

        In a run of steps each is computed from those before it.
        """
        return len(set(names)) <= 1

    def keep(self, point: str) -> None:
        """Let no later layer overwrite the feature at ``point``: none works in place there.

        Networks keep the in-place activations of their publishers, which save time and memory,
        wherever nobody looks at what they overwrite.
        """
        own = self._own_name(point)
        steps = [("input", self.input), *self.steps()]
        start = next(i for i, (name, _) in enumerate(steps) if f"{own}.".startswith(f"{name}."))
        for index, (_, step) in enumerate(steps[start:]):
            for module in step.modules():
                if getattr(module, "inplace", False):
                    setattr(module, "inplace", False)  # noqa: B010
            if index and not isinstance(step, nn.Identity | nn.Dropout):
                return  # what comes later sees another tensor

    @contextmanager
    def also(self, names: Iterable[str]) -> Iterator[None]:
        """Within the block, :meth:`forward` returns these features as well."""
        before = self.wanted
        try:
            self.want(names)
            yield
        finally:
            self.wanted = before

    def freeze(self, point: str) -> None:
        """Stop training at ``point``: this step and those before it stay as they are.

        Their parameters need no gradient, and :meth:`train` leaves them in evaluation mode, so
        that BatchNorm's statistics do not move and dropout does nothing. Inserts are no part of
        the backbone: they train at frozen points as well, and gradients still reach them.

        Raises:
            ConfigError: No step has this name.
        """
        self.frozen = self.step_of(point)
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode of all modules but the frozen ones and, with ``norm_eval``, the norms."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen is None:
            return []
        modules = [module for _, module in self.steps()]
        return modules[: self.step_names.index(self.frozen)]

    @cached_property
    def step_names(self) -> tuple[str, ...]:
        """Names of all steps in running order, ``input`` first."""
        return ("input", *(name for name, _ in self.steps()))

    def step_of(self, name: str) -> str:
        """The step behind a canonical or own name.

        Raises:
            ConfigError: No step has this name.
        """
        step = self._own_name(name)
        if step not in self.step_names:
            raise self._unknown("feature", name, (*self.canonical, *self.step_names, "last"))
        return step

    def _own_name(self, point: str) -> str:
        if point == "last":
            return self.step_names[-1]
        return self.canonical.get(point) or self.aliases.get(point, point)

    def _modules_by_point(self) -> dict[str, nn.Module]:
        # Not cached: a module may be replaced later, as SyncBatchNorm replaces BatchNorm.
        points: dict[str, nn.Module] = {}
        for step, module in (("input", self.input), *self.steps()):
            points[step] = module
            for name, part in module.named_modules():
                if name:
                    points[f"{step}.{name}"] = part
        return points

    def module_at(self, point: str) -> nn.Module:
        """The module whose output is the feature at ``point``.

        Raises:
            ConfigError: ``point`` is not an insert point.
        """
        if point not in self.insert_points:
            raise self._unknown("insert point", point, self.insert_points)
        return self._modules_by_point()[self._own_name(point)]

    def resolve_points(self, pattern: str) -> tuple[str, ...]:
        """Insert points that a name, a glob or a class means, in running order, each module once.

        A glob without a dot is matched against the last dotted part (``conv*`` finds
        ``layer1.0.conv2``), one with dots part by part (``blocks.*`` finds every block and
        nothing inside). Where it matches canonical names, it means these alone. ``@Conv2d``
        means every point whose module is of a class of that name, whatever the network calls it.

        Raises:
            ConfigError: Nothing matches.
        """
        if pattern.startswith("@"):
            return self._points_of_class(pattern)
        if not any(c in pattern for c in "*?["):
            if pattern not in self.insert_points:
                raise self._unknown("insert point", pattern, self.insert_points)
            return (pattern,)
        matching = [name for name in self.insert_points if _matches(name, pattern)]
        matching = [name for name in matching if name in self.canonical] or matching
        if not matching:
            raise self._unknown("insert point", pattern, self.insert_points)
        first_names = {self._own_name(name): name for name in reversed(matching)}
        return tuple(first_names[own] for own in self._map_shapes if own in first_names)

    def _points_of_class(self, pattern: str) -> tuple[str, ...]:
        modules = self._modules_by_point()
        classes = {own: [f"@{c.__name__}" for c in type(modules[own]).__mro__] for own in modules}
        found = tuple(own for own in self._map_shapes if pattern in classes[own])
        if not found:
            known = {classes[own][0] for own in self._map_shapes}
            raise self._unknown("insert point", pattern, sorted(known))
        return found

    def _unknown(self, kind: str, name: str, names: Iterable[str]) -> ConfigError:
        names = tuple(dict.fromkeys(names))
        outer = next((step for step in self.step_names if name.startswith(f"{step}.")), None)
        hint: str | None
        if kind == "feature" and outer:
            hint = f"features are taken after whole steps: ask for {outer!r}"
        else:
            hint = did_you_mean(name, names)
        if kind == "insert point":
            every = "`wsoltool complexity CONFIG --points` lists them all"
            hint = f"{hint} {every}" if hint else every
        brief = (*self.canonical, *self.step_names, "last")
        known = names if len(names) <= 60 else brief
        return ConfigError(f"{type(self).__name__} has no {kind} {name!r}", known=known, hint=hint)

    @cached_property
    def insert_points(self) -> dict[str, tuple[int, int]]:
        """Point -> (channels, stride), for every name whose output is one feature map.

        Not among them: modules that run more than once in a forward (a block's shared ReLU),
        and those that answer with anything but a ``(B, C, h, w)`` map larger than one cell.
        """
        shapes = {name: (s[1], stride_of(s)) for name, s in self._map_shapes.items()}
        # A shared name means the same in every network, whatever a network itself calls so.
        names = dict(self.canonical)
        for name, own in (*((name, name) for name in shapes), *self.aliases.items()):
            names.setdefault(name, own)
        names["last"] = self.step_names[-1]
        return {name: shapes[own] for name, own in names.items() if own in shapes}

    def channels(self) -> dict[str, int]:
        """Point -> channels."""
        return {name: channels for name, (channels, _) in self.insert_points.items()}

    @property
    def tiles(self) -> bool:
        """Whether the cells of ``last`` cover an image whose sides divide by the output stride.

        Unpadded convolutions and poolings, as in InceptionV3, leave its borders out.
        """
        height = self._map_shapes[self.step_names[-1]][-2]
        return height * self.output_stride == PROBE_SIZE[0]

    @cached_property
    def _map_shapes(self) -> dict[str, torch.Size]:
        """Shape of what each module makes of an image of ``PROBE_SIZE``, in running order."""
        return map_shapes(self, self._modules_by_point())


def part_of(module: nn.Module, path: Iterable[str]) -> nn.Module:
    """The module at ``path`` within another one, in a tenth of ``get_submodule``'s time.

    For what every forward looks up, and nothing may cache: modules are replaced, as SyncBatchNorm
    replaces BatchNorm.
    """
    found: Any = module
    for name in path:
        found = found._modules[name]
    return found


def _matches(name: str, pattern: str) -> bool:
    parts, globs = name.split("."), pattern.split(".")
    if len(globs) == 1:
        return fnmatchcase(parts[-1], pattern)
    return len(parts) == len(globs) and all(map(fnmatchcase, parts, globs))
