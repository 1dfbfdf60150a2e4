"""Several networks without shared parameters that see the same images, as one backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.tracing import PROBE_SIZE
from wsoltool.models.named_parts import check_same_images, name_problem

_RESERVED = ("input", "last")


class Parallel(Backbone):
    """Networks side by side; their features carry the network's name: ``a.last``, ``b.stage4``.

    All names of a network are there with its own name in front: steps, shared names, insert points
    and aliases, its ``input`` among them. ``input`` alone is the images that all networks see, and
    ``last`` alone the last feature of the last network. A :meth:`forward` answers ``last`` of each
    network, too. A network may be a :class:`Parallel` itself (``a.x.last``).

    - Insert points follow the rules of :meth:`~wsoltool.models.backbones.base.Backbone.\
resolve_points`: ``stage4``, which no network alone is, is refused; ``stage*`` means the stages of
      every network, ``*.stage4`` one stage of each.
    - :meth:`freeze` takes a name of one network (``a.stage2``), or one that every network has
      (``stage2``).
    - :meth:`forward_from` goes on in the network that the point is of, and in no other.
    - ``output_stride`` is that of ``last``; the networks may differ in theirs. ``tiles`` holds
      where it does for each network, ``smallest_side`` is the largest of theirs.

    Parameters of a network that no loss depends on get no gradient, which training on several
    processes refuses: a head has to read a feature of each network, or the network to be frozen.

    Args:
        networks: Name -> network, one at least. A name has letters, digits and ``_``.

    Raises:
        ConfigError: No network, a name that cannot be used, networks that share a parameter or
            differ in the mean or deviation of their inputs.

    Example:
        >>> from wsoltool.models.backbones.small import SmallNet
        >>> net = Parallel({"a": SmallNet((4, 8)), "b": SmallNet((6,), output_stride=2)})
        >>> {name: tuple(f.shape) for name, f in net(torch.zeros(1, 3, 16, 16)).items()}
        {'a.last': (1, 8, 4, 4), 'b.last': (1, 6, 8, 8), 'last': (1, 6, 8, 8)}
        >>> net.resolve_points("stage*")
        ('a.stage1', 'a.stage2', 'b.stage1')
    """

    def __init__(self, networks: Mapping[str, Backbone]) -> None:
        super().__init__()
        _check_networks(networks)
        self.networks = nn.ModuleDict(dict(networks))
        nets = self.named_networks()
        self._last = tuple(nets)[-1]
        self.canonical = _prefixed((name, net.canonical) for name, net in nets.items())
        self.aliases = _prefixed(
            (name, {**net.aliases, "last": net.step_names[-1]}) for name, net in nets.items()
        )
        self.output_stride = nets[self._last].output_stride
        self.smallest_side = max(max(n.smallest_side, n.output_stride) for n in nets.values())
        first = next(iter(nets.values()))
        self.input_mean, self.input_std = first.input_mean, first.input_std
        # What the networks wanted before, and the images, which none may overwrite for the others.
        self.wanted = tuple(f"{name}.{w}" for name, net in nets.items() for w in net.wanted)
        self.keep("input")

    def named_networks(self) -> dict[str, Backbone]:
        """Name -> network, in their order."""
        return dict(self.networks.items())  # type: ignore[arg-type]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Feature names that :meth:`forward` returns besides each network's ``last``."""
        return self._wanted

    @wanted.setter
    def wanted(self, names: tuple[str, ...]) -> None:
        self._wanted = names
        for name, net in self.named_networks().items() if hasattr(self, "networks") else ():
            pairs = (wanted.split(".", 1) for wanted in names if "." in wanted)
            net.wanted = tuple(own for of, own in pairs if of == name and own != "last")

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        for name, net in self.named_networks().items():
            yield f"{name}.input", net.input
            for step, module in net.steps():
                yield f"{name}.{step}", module

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        self._check_images(images)
        images = self.input(images)
        features = {"input": images} if "input" in self._wanted else {}
        return features | self._run_networks(images)

    def forward_from(self, features: Tensor, point: str) -> dict[str, Tensor]:
        """Run the steps after ``point`` on ``features``, in the network that the point is of.

        Behind ``input`` these are all networks. Of the wanted features, those after ``point`` are
        returned, and ``last`` where the point is in the last network.
        """
        if self.step_of(point) == "input":
            return self._run_networks(features)
        name, own = self._split(point)
        return self._named(name, self.named_networks()[name].forward_from(features, own))

    def _run_networks(self, images: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        for name, net in self.named_networks().items():
            features |= self._named(name, net(images))
        return features

    def _named(self, name: str, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        named = {f"{name}.{own}": feature for own, feature in features.items()}
        return {**named, "last": features["last"]} if name == self._last else named

    def _split(self, point: str) -> tuple[str, str]:
        """Network and the point's name there; ``last`` is the last network's."""
        name, _, own = (f"{self._last}.last" if point == "last" else point).partition(".")
        if name not in self.networks or not own:
            raise self._unknown("feature", point, (*self.canonical, *self.step_names, "last"))
        return name, own

    def keep(self, point: str) -> None:
        if point == "input":
            for net in self.named_networks().values():
                net.keep("input")
        else:
            name, own = self._split(point)
            self.named_networks()[name].keep(own)

    def apart(self, names: Iterable[str]) -> bool:
        names = tuple(dict.fromkeys(names))
        if "input" in names:
            return len(names) == 1
        inside: dict[str, list[str]] = {}
        for name, own in map(self._split, names):
            inside.setdefault(name, []).append(own)
        nets = self.named_networks()
        return all(nets[name].apart(own) for name, own in inside.items())

    def freeze(self, point: str) -> None:
        """Stop training at ``point`` of one network, or of every network where no name is in front.

        Raises:
            ConfigError: No step of the network, or of one of them, has this name.
        """
        front, _, own = point.partition(".")
        nets = self.named_networks()
        alone = bool(own) and front in nets
        for name, net in {front: nets[front]}.items() if alone else nets.items():
            try:
                net.freeze(own if alone else point)
            except ConfigError as error:
                if not alone and error.hint is None:
                    error.hint = f"'{name}.<step>' freezes this network alone"
                raise
        self.frozen = point

    def _frozen_modules(self) -> list[nn.Module]:
        return [
            module for net in self.named_networks().values() for module in net._frozen_modules()
        ]

    @property
    def tiles(self) -> bool:
        return all(net.tiles for net in self.named_networks().values())

    @cached_property
    def _map_shapes(self) -> dict[str, torch.Size]:
        shapes = {"input": torch.Size((1, 3, *PROBE_SIZE))}
        for name, net in self.named_networks().items():
            shapes |= {f"{name}.{own}": shape for own, shape in net._map_shapes.items()}
        return shapes


def _check_networks(networks: Mapping[str, Backbone]) -> None:
    if not isinstance(networks, Mapping) or not networks:
        expected = "dict(a=dict(type=...), b=dict(type=...)), one network at least"
        raise ConfigError(f"Parallel: networks={networks!r}", expected=expected)
    for name, net in networks.items():
        if problem := name_problem(name, "Parallel: a network", reserved=_RESERVED):
            raise problem
        if not isinstance(net, Backbone):
            what = f"Parallel: network {name!r} is {type(net).__name__}"
            raise ConfigError(what, expected="a backbone")
    _check_apart(networks)
    inputs = {name: (net.input_mean, net.input_std) for name, net in networks.items()}
    check_same_images(inputs, "Parallel")


def _check_apart(networks: Mapping[str, Backbone]) -> None:
    owners: dict[int, str] = {}
    for name, net in networks.items():
        for own, parameter in net.named_parameters():
            first = owners.setdefault(id(parameter), f"{name}.{own}")
            if not first.startswith(f"{name}."):
                what = f"Parallel: {first} and {name}.{own} are one parameter"
                raise ConfigError(what, expected="networks that share nothing")


def _prefixed(names: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    return {f"{of}.{name}": f"{of}.{own}" for of, inside in names for name, own in inside.items()}
