"""What the checks are made of: each requirement raises AssertionError naming its breach."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec

import torch
from torch import Tensor, nn

_P = ParamSpec("_P")


def require(condition: bool, breach: str) -> None:
    """Raise AssertionError naming the ``breach`` unless ``condition`` holds."""
    # Not an assert statement: those vanish under python -O.
    if not condition:
        raise AssertionError(breach)


def seeded(check: Callable[_P, None]) -> Callable[_P, None]:
    """Run a check under a fixed seed and give the caller's generator back."""

    @functools.wraps(check)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            check(*args, **kwargs)

    return run


class Unchanged:
    """Raises when the block changes a tensor, or a module's parameters, buffers or mode."""

    def __init__(self, tensors: Mapping[str, Tensor], *modules: nn.Module) -> None:
        self.tensors = dict(tensors)
        self.modules = modules

    def _state(self) -> dict[str, Tensor]:
        state = dict(self.tensors)
        for module in self.modules:
            kind = type(module).__name__
            state |= {f"{kind}.{name}": value for name, value in module.state_dict().items()}
        return state

    def _modes(self) -> list[bool]:
        return [part.training for module in self.modules for part in module.modules()]

    def __enter__(self) -> None:
        self.before = {name: value.detach().clone() for name, value in self._state().items()}
        self.modes = self._modes()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, AssertionError):
            return  # else a change in place may be what broke the other requirement
        for name, value in self._state().items():
            same = torch.equal(value.detach(), self.before[name])
            require(same, f"{name!r} was changed in place")
        require(self.modes == self._modes(), "a module was left in another mode")


def require_branches(maps: Mapping[str, Tensor], leading: tuple[int, int]) -> None:
    """Maps are finite ``(B, n, h, w)`` with ``leading`` (B, n), one a branch or more."""
    require(bool(maps), "no map was answered")
    for name, value in maps.items():
        wanted = (*leading, *value.shape[2:])
        require(value.ndim == 4, f"map {name!r} has shape {tuple(value.shape)}, not (B, n, h, w)")
        require_shape(f"map {name!r}", value, wanted)
        require_finite(f"map {name!r}", value)


def require_same_kind(what: str, value: Tensor, like: Tensor) -> None:
    """``value`` is finite and has the shape and dtype of ``like``."""
    require_shape(what, value, tuple(like.shape))
    require(value.dtype == like.dtype, f"{what}: {value.dtype} instead of {like.dtype}")
    require_finite(what, value)


def require_shape(what: str, value: Tensor, wanted: Iterable[int]) -> None:
    """``value`` has the shape ``wanted``."""
    wanted = tuple(wanted)
    require(tuple(value.shape) == wanted, f"{what}: shape {tuple(value.shape)}, not {wanted}")


def require_finite(what: str, value: Tensor) -> None:
    """``value`` holds no NaN and no infinity."""
    require(bool(torch.isfinite(value).all()), f"{what}: NaN or infinity")


def require_close(breach: str, value: Tensor, wanted: Tensor) -> None:
    """``value`` equals ``wanted`` up to float32 rounding in another batch shape."""
    same = value.shape == wanted.shape and torch.allclose(value, wanted, rtol=1e-3, atol=1e-5)
    require(same, breach)
