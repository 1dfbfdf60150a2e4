"""Recalibrations and erasers, attached to a backbone without touching its code or weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError, WsolError
from wsoltool.models.backbones.base import Backbone, part_of
from wsoltool.models.contracts import Eraser
from wsoltool.structures import Samples

Build = Callable[[int, int], nn.Module]


class Inserts(nn.ModuleDict):
    """Modules that act on a backbone's features at its insert points.

    Each is called with the output of the module at its point, and what it answers goes on through
    the network instead. Several at one point act in the order of ``entries``. Nothing is added to
    the backbone's weights: the inserts' weights are here, under the point's name with ``_`` for
    dots (``pool4``, a second one ``pool4_2``).

    The attachment survives ``copy.deepcopy`` of a model that holds both: the copy's backbone
    calls the copy's inserts.

    Args:
        backbone: Where to insert.
        entries: (point or glob, builder); the builder gets the channels (int) and the stride (int)
            of each point that matches and makes its module.

    Raises:
        ConfigError: No such point, or a builder that makes no module.

    Example:
        >>> import torch
        >>> from wsoltool.models.backbones.small import SmallNet
        >>> net = SmallNet()
        >>> inserts = Inserts(net, [("stage2", lambda channels, stride: nn.BatchNorm2d(channels))])
        >>> list(inserts)
        ['stage2']
        >>> with inserts.samples(Samples(torch.tensor([3]))):
        ...     net(torch.zeros(1, 3, 96, 96))["last"].shape
        torch.Size([1, 48, 24, 24])
    """

    def __init__(self, backbone: Backbone, entries: Sequence[tuple[str, Build]] = ()) -> None:
        super().__init__()
        self.points: dict[str, str] = {}
        self.current_samples: Samples | None = None
        # Where each insert's hook is: path and module. In a tuple or dict, the backbone and its
        # parts are no submodules of the inserts.
        self._hooked: dict[str, tuple[tuple[str, ...], nn.Module]] = {}
        self._backbone = (backbone,)
        for pattern, build in entries:
            for point in backbone.resolve_points(pattern):
                insert = build(*backbone.insert_points[point])
                if not isinstance(insert, nn.Module):
                    what = f"insert at {point!r} is {type(insert).__name__}"
                    raise ConfigError(what, expected="a torch module")
                key = self._free_key(point)
                self.points[key] = point
                self[key] = insert
        self.attach(backbone)

    def attach(self, backbone: Backbone) -> None:
        """Hook the inserts onto ``backbone`` where they are not yet.

        Modules that were replaced since (by ``convert_sync_batchnorm``, for example) have lost
        their hooks; :meth:`samples` finds that out and calls this again.
        """
        names = {id(module): name for name, module in backbone.named_modules()}
        self._backbone = (backbone,)
        for key, point in self.points.items():
            module = backbone.module_at(point)
            self._hooked[key] = tuple(names[id(module)].split(".")), module
            if not self._acts_on(module, key):
                backbone.keep(point)
                module.register_forward_hook(_InsertHook(self, key))

    def _acts_on(self, module: nn.Module, key: str) -> bool:
        return any(_is_hook_of(hook, self, key) for hook in module._forward_hooks.values())

    @contextmanager
    def samples(self, samples: Samples | None) -> Iterator[None]:
        """Within the block, erasers see these samples: those of the images in the backbone."""
        (backbone,) = self._backbone
        if any(part_of(backbone, path) is not module for path, module in self._hooked.values()):
            self.attach(backbone)
        before = self.current_samples
        self.current_samples = samples
        try:
            yield
        finally:
            self.current_samples = before

    def apply_insert(self, key: str, features: Tensor) -> Tensor:
        """What the insert ``key`` makes of ``features`` ``(B, C, h, w)``.

        Raises:
            ShapeError: It changes the shape.
            WsolError: An eraser in training, outside of :meth:`samples`.
        """
        insert = self[key]
        if not isinstance(insert, Eraser):
            changed = insert(features)
        elif not insert.training:
            changed = features
        else:
            changed = insert(features, self._samples_for(key, len(features)))
        if not isinstance(changed, Tensor) or changed.shape != features.shape:
            answer = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise ShapeError(
                f"insert {type(insert).__name__} changes the features' shape to {answer}",
                at=self.points[key],
                expected=f"{tuple(features.shape)}, the shape that it was given",
            )
        return changed

    def _samples_for(self, key: str, batch: int) -> Samples:
        samples = self.current_samples
        if samples is None:
            raise WsolError(
                f"eraser {type(self[key]).__name__} is in training without samples",
                at=self.points[key],
                hint="run the backbone within `with inserts.samples(samples):`, or in eval mode",
            )
        if len(samples) != batch:
            raise ShapeError(
                f"{len(samples)} samples for a batch of {batch}",
                at=self.points[key],
                expected="one sample for each image in the backbone",
            )
        return samples

    def _free_key(self, point: str) -> str:
        name = point.replace(".", "_")
        keys = (name, *(f"{name}_{i}" for i in range(2, len(self) + 3)))
        return next(key for key in keys if key not in self)


class _InsertHook:
    """A forward hook that copies and pickles with its model, as a closure would not.

    It looks its insert up by name, so that an insert may be replaced.
    """

    def __init__(self, inserts: Inserts, key: str) -> None:
        self.inserts, self.key = inserts, key

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return self.inserts.apply_insert(self.key, output)


def _is_hook_of(hook: object, inserts: Inserts, key: str) -> bool:
    return isinstance(hook, _InsertHook) and hook.inserts is inserts and hook.key == key
