"""Counts what a network does in one forward pass: multiply-adds and kept activations, by module.

Work counts for the innermost module that does it. Modules that forward hooks of another one run,
as inserts are run, are inner ones too.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle
from torch.utils.module_tracker import ModuleTracker

from wsoltool.models.modes import evaluating

OUTSIDE = ""
"""The name of what runs in no named module."""

_Shape = Sequence[int]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one forward pass did.

    Attributes:
        flops: Name -> multiply-adds, without those of inner modules.
        kept_bytes: Name -> bytes kept for the backward pass, likewise.
        shapes: Module -> shape of the first tensor that it answered with, after its hooks.
    """

    flops: dict[str, int]
    kept_bytes: dict[str, int]
    shapes: dict[nn.Module, tuple[int, ...]]


def count(network: nn.Module, inputs: Tensor, names: Mapping[nn.Module, str]) -> Counts:
    """Run a network in evaluation mode, with autograd, and count.

    - Multiply-adds of convolutions (an output takes all taps of its kernel, those on the padding
      too), matrix products and attention. Sums, element-wise products, normalisation,
      activations, pooling and interpolation count nothing.
    - Kept: the storages that autograd holds when the answer is there. Each counts once and whole,
      for the module that saved it first; those of parameters and buffers do not count, nor do
      those of branches that the answer does not depend on.

    Args:
        network: Its modes are restored.
        inputs: Its one argument.
        names: Of the modules that are told apart; all else counts for the one around it.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        >>> counts = count(net, torch.zeros(1, 3, 4, 4), {net[0]: "conv", net[1]: "relu"})
        >>> counts.flops  # 4 * 4 places * 3 * 3 taps * 3 * 8 channels
        {'conv': 3456}
        >>> counts.kept_bytes  # the input, 3 * 4 * 4 * 4 bytes, and what left the ReLU
        {'conv': 192, 'relu': 512}
    """
    tracker = _Tracker(names)
    saved: list[weakref.ref[_Saved]] = []

    def pack(tensor: Tensor) -> _Saved:
        # Alive as long as autograd holds it: not to be held here.
        kept = _Saved(tensor.detach(), tracker.current)
        saved.append(weakref.ref(kept))
        return kept

    with (
        evaluating(network),
        torch.enable_grad(),
        _counting(tracker) as counter,
        saved_tensors_hooks(pack, _Saved.unpack),
    ):
        answer = network(inputs)
    alive = [kept for reference in saved if (kept := reference()) is not None]
    del answer
    return Counts(_multiply_adds(counter), _bytes_by_owner(alive, network), tracker.shapes)


def count_multiply_adds(network: nn.Module, inputs: Tensor) -> int:
    """As :func:`count`, of all modules together and without autograd.

    Example:
        >>> count_multiply_adds(nn.Linear(5, 7), torch.zeros(2, 5))
        70
    """
    with evaluating(network), torch.no_grad(), _counting(_Tracker({})) as counter:
        network(inputs)
    return sum(_multiply_adds(counter).values())


class _Saved:
    """A tensor that autograd saved, and the name of the module that did."""

    def __init__(self, tensor: Tensor, owner: str) -> None:
        self.tensor, self.owner = tensor, owner

    def unpack(self) -> Tensor:
        return self.tensor


def _bytes_by_owner(saved: Sequence[_Saved], network: nn.Module) -> dict[str, int]:
    # All of them are alive: no two storages lie at the same place.
    seen = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    found: dict[str, int] = {}
    for kept in saved:
        storage = kept.tensor.untyped_storage()
        if storage.nbytes() and storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            found[kept.owner] = found.get(kept.owner, 0) + storage.nbytes()
    return found


class _Tracker(ModuleTracker):
    """Tells torch's counter which module is at work: the innermost one alone.

    torch's own tells of all modules around it, and hooks tensors of the graph, which keeps them
    alive and fails on views that are made without autograd.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.names = names
        self.shapes: dict[nn.Module, tuple[int, ...]] = {}
        self._running: list[str] = []
        self._handles: list[RemovableHandle] = []
        self._tell()

    @property
    def current(self) -> str:
        return self._running[-1] if self._running else OUTSIDE

    def _tell(self) -> None:
        self.parents = {self.current}

    def __enter__(self) -> _Tracker:
        for module in self.names:
            # First in and last out: other hooks of a module are its work.
            self._handles += [
                module.register_forward_pre_hook(self._begin, prepend=True),
                module.register_forward_hook(self._end, always_call=True),
            ]
        return self

    def __exit__(self, *args: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _begin(self, module: nn.Module, inputs: object) -> None:
        self._running.append(self.names[module])
        self._tell()

    def _end(self, module: nn.Module, inputs: object, output: object) -> None:
        self._running.pop()
        self._tell()
        if isinstance(output, Tensor):
            self.shapes.setdefault(module, tuple(output.shape))


@contextmanager
def _counting(tracker: _Tracker) -> Iterator[FlopCounterMode]:
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    counter.mod_tracker = tracker
    fast = torch.backends.mha.get_fastpath_enabled()
    # The fast path of a frozen Transformer is one operation, of which no count is known.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _multiply_adds(counter: FlopCounterMode) -> dict[str, int]:
    counts = counter.get_flop_counts()
    # torch counts a multiply-add as two.
    return {name: sum(by_operation.values()) // 2 for name, by_operation in counts.items()}


def _product(first: _Shape, second: _Shape, **_: Any) -> int:
    """(n, k) or (k,) times (k,); as torch's formulas, twice the multiply-adds."""
    return 2 * prod(first)


def _added_product(_: _Shape, first: _Shape, second: _Shape, **__: Any) -> int:
    return 2 * prod(first)


def _added_outer_product(_: _Shape, first: _Shape, second: _Shape, **__: Any) -> int:
    return 2 * prod(first) * prod(second)


def _added_batch(_: _Shape, first: _Shape, second: _Shape, **__: Any) -> int:
    """(B, n, k) times (B, k, m)."""
    return 2 * prod(first) * second[-1]


def _attention(query: _Shape, key: _Shape, value: _Shape, *_: Any, **__: Any) -> int:
    """(B, heads, n, d), (B, heads, m, d) and (B, heads, m, e): scores, then their sum of values."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _lstm_layer(x: _Shape, inward: _Shape, recurrent: _Shape, *_: Any, **__: Any) -> int:
    """Both matrices at each of (steps, batch)."""
    return 2 * prod(x[:-1]) * (prod(inward) + prod(recurrent))


#: Matrix products that torch's counter passes over, fused attention on CPUs in older versions.
_FORMULAS = {
    torch.ops.aten.mv: _product,
    torch.ops.aten.dot: _product,
    torch.ops.aten.vdot: _product,
    torch.ops.aten.addmv: _added_product,
    torch.ops.aten.addr: _added_outer_product,
    torch.ops.aten.addbmm: _added_batch,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: _lstm_layer,
}
