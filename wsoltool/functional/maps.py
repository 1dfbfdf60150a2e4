"""Localization maps as tensors: resizing, and scaling to [0, 1]."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.map_arrays import CONSTANT_STEPS, check_interpolation


def minmax_normalize(maps: Tensor, check: bool = True) -> Tensor:
    r"""Scale every map to [0, 1]; a constant map becomes zeros.

    .. math:: \hat M(x, y) = \frac{M(x, y) - \min M}{\max M - \min M}

    A map counts as constant when its range is no more than 64 floating-point rounding steps of its
    largest magnitude (7.6e-6 of it in float32), since min-max would blow up rounding noise.

    Args:
        maps: ``(..., h, w)`` float, any number of maps, each normalised for itself. Half precision
            is computed and answered in float32.
        check: Refuse NaN and infinity, which waits for a GPU. Without, for training: they spread
            over their map.

    Returns:
        ``(..., h, w)`` float in [0, 1]; a map that is not constant reaches both 0 and 1.
        Differentiable; a constant map gets zero gradients.

    Raises:
        ShapeError: ``maps`` has fewer than two dimensions, an empty map, or is not floating.
        EvaluationError: A map holds NaN or infinity, or its range overflows.

    Example:
        >>> minmax_normalize(torch.tensor([[[2.0, 4.0], [3.0, 2.0]], [[5.0, 5.0], [5.0, 5.0]]]))
        tensor([[[0.0000, 1.0000],
                 [0.5000, 0.0000]],
        <BLANKLINE>
                [[0.0000, 0.0000],
                 [0.0000, 0.0000]]])
    """
    _check_maps(maps)
    maps = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
    return _scaled(maps, maps.amin((-2, -1), True), maps.amax((-2, -1), True), check)


def _scaled(maps: Tensor, low: Tensor, high: Tensor, check: bool) -> Tensor:
    span = high - low  # NaN and infinity anywhere in a map reach its span
    if check and not torch.isfinite(span).all():
        raise EvaluationError(
            "a localization map holds NaN or infinity",
            expected="finite values",
            hint="the weights may have diverged: look at the training loss",
        )
    magnitude = torch.maximum(low.abs(), high.abs())
    constant = span <= CONSTANT_STEPS * torch.finfo(maps.dtype).eps * magnitude
    constant &= span.isfinite()
    # By infinity, which makes zeros of a constant map, and of its gradients.
    return (maps - low) / torch.where(constant, torch.inf, span)


def resize_maps(maps: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Resample maps so that their outer edges stay where they are (``align_corners=False``).

    Meant for enlarging; shrinking is not antialiased. Bicubic may leave the range of its input.

    Args:
        maps: ``(..., h, w)`` float.
        size: (height, width) wanted, in pixels.
        mode: ``bilinear`` or ``bicubic``.

    Returns:
        ``(..., *size)`` float; ``maps`` itself where it has that size already.

    Raises:
        ShapeError: ``maps`` or ``size`` has a side below 1, or ``maps`` is not floating.
        ConfigError: Unknown ``mode``.

    Example:
        >>> resize_maps(torch.tensor([[0.0, 1.0]]), (1, 4))
        tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    _check_maps(maps)
    check_interpolation(mode)
    if min(size) < 1:
        raise ShapeError(f"cannot resize maps to {tuple(size)}", expected="sides of 1 or more")
    leading, sides = maps.shape[:-2], maps.shape[-2:]
    if tuple(sides) == tuple(size):
        return maps
    flat = maps.reshape(prod(leading), 1, *sides)
    resized = F.interpolate(flat, size=tuple(size), mode=mode, align_corners=False)
    return resized.reshape(*leading, *size)


def normalize_for_resizing(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale maps so that they are min-max normalised once they are resized bilinearly to ``size``.

    ``resize_maps(normalize_for_resizing(maps, size), size)`` is
    ``minmax_normalize(resize_maps(maps, size))``, up to rounding. Since resizing is linear, sums of
    such maps may be resized instead of each map, which costs far more than all else.

    Args:
        maps: ``(..., h, w)`` float32 or float64.
        size: (height, width), in pixels.

    Returns:
        Of the same shape. It leaves [0, 1] where enlarging misses the extremes.

    Raises:
        ShapeError: As :func:`resize_maps`.
        EvaluationError: A map holds NaN or infinity, or its range overflows.

    Example:
        >>> scaled = normalize_for_resizing(torch.tensor([[0.0, 4.0, 8.0, 12.0]]), (1, 2))
        >>> scaled
        tensor([[-0.2500,  0.2500,  0.7500,  1.2500]])
        >>> resize_maps(scaled, (1, 2))
        tensor([[0., 1.]])
    """
    _check_maps(maps)
    if min(size) < 1:
        raise ShapeError(f"cannot resize maps to {tuple(size)}", expected="sides of 1 or more")
    rows, columns = (_corners(n, to) for n, to in zip(maps.shape[-2:], size, strict=True))
    corners = rows.to(maps) @ maps @ columns.to(maps).T
    return _scaled(maps, corners.amin((-2, -1), True), corners.amax((-2, -1), True), check=True)


@lru_cache(maxsize=256)
def _corners(cells: int, pixels: int) -> Tensor:
    """``(m, cells)`` weights of the cells in the first and the last pixel between two cell centres.

    In between a resized map is linear along each axis: a patch is extreme at its corners.
    """
    weights = F.interpolate(torch.eye(cells)[None], pixels, mode="linear")[0].T
    places = (torch.arange(pixels, dtype=torch.float64) + 0.5) * cells / pixels - 0.5
    changes = places.clamp(0, cells - 1).floor().diff() != 0
    end = torch.ones(1, dtype=torch.bool)
    return weights[torch.cat([end, changes]) | torch.cat([changes, end])]


def _check_maps(maps: Tensor) -> None:
    if maps.ndim < 2 or 0 in maps.shape[-2:] or not maps.is_floating_point():
        raise ShapeError(
            f"not localization maps: shape {tuple(maps.shape)}, {maps.dtype}",
            expected="(..., h, w) float with h and w of 1 or more",
        )
