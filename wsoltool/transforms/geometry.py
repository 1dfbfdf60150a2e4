"""Where the network's input lies in the original image, kept exact through every transform.

A transform receives and returns a dict with ``img`` ``(H, W, 3)`` uint8 RGB, ``img_shape``
(H, W) of it, ``ori_shape`` (height, width) of the original image, ``region`` xyxy floats of the
original-image rectangle that ``img`` shows, and ``flip``, whether it shows it mirrored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wsoltool.errors import ConfigError
from wsoltool.structures import Region, Size


def parse_size(size: int | tuple[int, int], owner: object) -> Size:
    """``size`` or ``(height, width)`` as (height, width).

    Raises:
        ConfigError: Not one or two positive integers.
    """
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(
            f"{type(owner).__name__}: size is {size!r}",
            expected="a positive integer, or (height, width)",
        )
    return sides


def crop(results: dict[str, Any], top: int, left: int, size: Size) -> dict[str, Any]:
    """Keep ``size`` (height, width) pixels of ``img`` from ``(top, left)`` on, without a copy."""
    height, width = size
    results["region"] = cropped_region(
        results["region"], results["flip"], results["img"].shape[:2], top, left, size
    )
    results["img"] = results["img"][top : top + height, left : left + width]
    results["img_shape"] = size
    return results


def cropped_region(
    region: Region, flip: bool, shape: Size, top: int, left: int, size: Size
) -> Region:
    """The original-image rectangle of a crop.

    Args:
        region: xyxy of the original image that the uncropped image shows.
        flip: It shows it mirrored.
        shape: (height, width) of the uncropped image.
        top: First row of the crop.
        left: First column of the crop.
        size: (height, width) of the crop.

    Example:
        >>> cropped_region((0.0, 0.0, 200.0, 100.0), True, (50, 100), 0, 0, (50, 25))
        (150.0, 0.0, 200.0, 100.0)
    """
    x0, y0, x1, y1 = region
    height, width = shape
    begin, end = left, left + size[1]
    if flip:
        begin, end = width - end, width - begin
    across, down = (x1 - x0) / width, (y1 - y0) / height
    bottom = top + size[0]
    return (x0 + begin * across, y0 + top * down, x0 + end * across, y0 + bottom * down)


def replace_image(results: dict[str, Any], image: np.ndarray) -> dict[str, Any]:
    """Put another rendering of the same region into ``results``."""
    results["img"], results["img_shape"] = image, image.shape[:2]
    return results
