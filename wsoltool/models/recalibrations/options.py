"""What the options of several recalibrations must be."""

from __future__ import annotations

from wsoltool.errors import ConfigError, is_whole


def reduced_channels(owner: str, channels: int, reduction: int) -> int:
    """Channels of the bottleneck, ``channels // reduction``.

    Raises:
        ConfigError: ``reduction`` is no whole number, or leaves no channel.
    """
    if not is_whole(reduction) or not 1 <= reduction <= channels:
        raise ConfigError(
            f"{owner}: reduction={reduction!r} of {channels} channels",
            expected=f"a whole number from 1 to {channels}: one channel or more must be left",
        )
    return channels // reduction


def check_kernel_size(owner: str, kernel_size: int) -> None:
    """Refuse a kernel that would shift or change the size of the map.

    Raises:
        ConfigError: ``kernel_size`` is no odd positive number.
    """
    if not is_whole(kernel_size, lowest=1) or kernel_size % 2 == 0:
        raise ConfigError(
            f"{owner}: kernel_size={kernel_size!r}",
            expected="an odd number of cells: a kernel has a centre",
        )
