"""What a network does, seen by running it on the meta device: shapes and the order of layers.

Such a run costs no arithmetic and touches no weight, whatever the size of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wsoltool.errors import ConfigError
from wsoltool.models.modes import evaluating
from wsoltool.structures import Size

# Large, so that what unpadded convolutions cut off does not show in the strides; not square, so
# that a map whose channels come last is not taken for one with channels first.
PROBE_SIZE: Size = (8192, 12288)

_CLASSIFIERS = ("classifier", "fc", "head", "heads")
_HINT = "convolutional classification networks will do; write others as a backbone in a plugin"


def run_on_meta(network: nn.Module, size: Size = PROBE_SIZE) -> None:
    """Run ``network`` in evaluation mode on one RGB image that does not exist."""
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    dtypes = (t.dtype for t in tensors.values() if t.is_floating_point())
    image = torch.empty(1, 3, *size, device="meta", dtype=next(dtypes, None))
    with evaluating(network), torch.no_grad():
        meta = {name: tensor.to("meta") for name, tensor in tensors.items()}
        torch.func.functional_call(network, meta, (image,))


def map_shapes(network: nn.Module, modules: Mapping[str, nn.Module]) -> dict[str, torch.Size]:
    """Shape of what each of ``modules`` makes of an image of ``PROBE_SIZE``, as they end.

    Left out are modules that run more than once in a forward, or answer with anything but a
    ``(B, C, h, w)`` map larger than one cell.
    """
    names = {id(module): name for name, module in modules.items()}
    outputs: dict[str, list[object]] = {}

    def record(module: nn.Module, _: object, output: object) -> None:
        outputs.setdefault(names[id(module)], []).append(output)

    handles = [module.register_forward_hook(record) for module in modules.values()]
    try:
        run_on_meta(network)
    finally:
        for handle in handles:
            handle.remove()
    maps = {name: seen[0] for name, seen in outputs.items() if len(seen) == 1}
    return {
        name: output.shape
        for name, output in maps.items()
        if isinstance(output, Tensor) and _is_map(output)
    }


def stride_of(shape: torch.Size) -> int:
    """Pixels of the image for one cell of a map that was made of an image of ``PROBE_SIZE``."""
    return round(PROBE_SIZE[0] / shape[-2])


def _is_map(output: Tensor) -> bool:
    if output.ndim != 4 or output.shape[-2:].numel() <= 1:
        return False
    return stride_of(output.shape) == round(PROBE_SIZE[1] / output.shape[-1])


def smallest_side(network: nn.Module, enough: int = 256) -> int:
    """The fewest pixels along each side on which ``network`` runs, if that is below ``enough``."""
    few = 0
    while enough - few > 1:
        side = (few + enough) // 2
        try:
            run_on_meta(network, (side, side))
        except RuntimeError:
            few = side
        else:
            enough = side
    return enough


def find_trunk(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers of a classification network before its pooling and classifier, in running order.

    Each layer takes what the one before it answers and nothing else. A ReLU that the network's
    own code applies, as DenseNet's does to its last map, becomes a layer of its own, ``relu``.

    Raises:
        ConfigError: The network is no such run of layers.
    """
    try:
        image, events = _root_events(network)
    except (RuntimeError, AssertionError) as error:
        what = f"{type(network).__name__} does not run on images of any size: {error}"
        raise ConfigError(what, hint=_HINT) from error
    layers = _chain(image, events)
    if layers is None:
        raise ConfigError(
            f"{type(network).__name__} is no run of layers that each make one feature map",
            hint=_HINT,
        )
    return layers


def _chain(image: object, events: Sequence[_Event]) -> list[tuple[str, nn.Module]] | None:
    """The layers from ``image`` to the pooling; None if they are not the whole of the network."""
    layers: list[tuple[str, nn.Module]] = []
    passed, x = [image], image
    for event in (event for event in events if event.takes(x)):
        if event.is_end:
            # Each map went into one call: nothing branched off on the way.
            calls = sum(any(event.takes(value) for value in passed) for event in events)
            return layers if calls == len(passed) else None
        layer = nn.ReLU() if event.is_relu else event.module
        if layer is None or not isinstance(event.output, Tensor) or not _is_map(event.output):
            return None
        layers.append((event.name.rstrip("_"), layer))
        x = event.output
        passed.append(x)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Event:
    """A call that a network's own ``forward`` makes: of a submodule, or (None) of a function."""

    name: str
    module: nn.Module | None
    inputs: tuple[object, ...]
    output: object

    def takes(self, value: object) -> bool:
        return any(given is value for given in self.inputs)

    @property
    def is_end(self) -> bool:
        """Whether this is the pooling before the classifier, or the classifier itself."""
        if self.module is None:
            return self.name in ("adaptive_avg_pool2d", "mean")
        is_pooling = isinstance(self.module, nn.AdaptiveAvgPool2d)
        return is_pooling or self.name.partition(".")[0] in _CLASSIFIERS

    @property
    def is_relu(self) -> bool:
        return self.module is None and self.name in ("relu", "relu_")


class _Functions(TorchFunctionMode):
    """Notes the torch functions that are called while no submodule runs."""

    def __init__(self, events: list[_Event]) -> None:
        super().__init__()
        self.events = events
        self.depth = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Functions may call others: only the outermost is the network's own.
        self.depth += 1
        try:
            output = func(*args, **(kwargs or {}))
        finally:
            self.depth -= 1
        if self.depth == 0 and isinstance(output, Tensor):
            self.events.append(_Event(func.__name__, None, args, output))
        return output


def _root_events(network: nn.Module) -> tuple[object, list[_Event]]:
    """The image that ``network`` was run on, and what its own ``forward`` called, in order."""
    images: list[object] = []
    events: list[_Event] = []
    functions = _Functions(events)

    def start(_: nn.Module, inputs: tuple[object, ...]) -> None:
        images.append(inputs[0])

    def enter(module: nn.Module, inputs: object) -> None:
        functions.depth += 1

    def leave(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        functions.depth -= 1
        if functions.depth == 0:
            events.append(_Event(names[id(module)], module, inputs, output))

    handles = [network.register_forward_pre_hook(start)]
    names = {id(module): name for name, module in network.named_modules() if name}
    for name, module in network.named_modules():
        if name:
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave))
    try:
        with functions:
            run_on_meta(network)
    finally:
        for handle in handles:
            handle.remove()
    return images[0], events


def split_layers(layers: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, nn.Module]]:
    """The same layers with every ``Sequential`` in place of its parts, at any depth."""
    for name, layer in layers:
        if type(layer).forward is nn.Sequential.forward:
            children = layer.named_children()
            yield from split_layers((f"{name}.{child}", part) for child, part in children)
        else:
            yield name, layer
