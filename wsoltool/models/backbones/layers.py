"""Layers that surgery puts into networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from torch import nn

from wsoltool.errors import ConfigError


def transition(channels: int, width: int) -> nn.Sequential:
    """What stands instead of the last downsampling in mLDFR: 1x1 convolution, BatchNorm, ReLU.

    Wang et al., TIP 2021, section IV-B; the convolution has a bias there.
    """
    conv = convolution(channels, width, 1)
    parts = {"conv": conv, "bn": nn.BatchNorm2d(width), "relu": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(parts))


def convolution(channels: int, width: int, side: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size, He-normal over its outputs, with a bias of zero."""
    conv = nn.Conv2d(channels, width, side, padding=side // 2)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def numbered_convolution(
    suffix: str, channels: int, width: int, batch_norm: bool = False
) -> Iterator[tuple[str, nn.Module]]:
    """``conv``, (``bn``,) ``relu``, each with the suffix: 3x3 convolution to ``width`` channels."""
    yield f"conv{suffix}", convolution(channels, width)
    if batch_norm:
        yield f"bn{suffix}", nn.BatchNorm2d(width)
    yield f"relu{suffix}", nn.ReLU(inplace=True)


def extra_convolutions(
    first: int, channels: int, widths: int | Sequence[int], batch_norm: bool = False
) -> Iterator[tuple[str, nn.Module]]:
    """3x3 convolutions at the end of a network: ``conv6``, ``relu6``, ``conv7`` ...

    Args:
        first: Number of the first one.
        channels: That it is given.
        widths: Channels of each; one number for one convolution, 0 or none for none.
        batch_norm: Put a BatchNorm behind each.

    Raises:
        ConfigError: ``widths`` are no such numbers.
    """
    counts = widths if isinstance(widths, list | tuple) else [widths] if widths else []
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in counts):
        what = f"extra_conv={widths!r}"
        raise ConfigError(what, expected="a number of channels, several, or 0 for no convolution")
    for number, width in enumerate(counts, start=first):
        yield from numbered_convolution(str(number), channels, width, batch_norm)
        channels = width
