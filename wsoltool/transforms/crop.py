"""Crops that keep ``region`` exact; random numbers come from numpy's global generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from wsoltool.errors import ConfigError, DataError
from wsoltool.structures import Size
from wsoltool.transforms.geometry import crop, parse_size
from wsoltool.transforms.resize import Interpolation

ATTEMPTS = 10


class CenterCrop(BaseTransform):
    """Keep the middle of the image; of two middles the one torchvision takes.

    Args:
        size: Side length, or (height, width).

    Raises:
        DataError: The image is smaller than the crop.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = parse_size(size, self)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        down, across = _room(results["img"].shape[:2], self.size, self)
        return crop(results, round(down / 2), round(across / 2), self.size)


class RandomCrop(BaseTransform):
    """Keep a part of the image at a uniformly random place.

    Args:
        size: Side length, or (height, width).

    Raises:
        DataError: The image is smaller than the crop.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = parse_size(size, self)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        down, across = _room(results["img"].shape[:2], self.size, self)
        return crop(results, _place(down), _place(across), self.size)


class RandomResizedCrop(BaseTransform):
    """Cut out a random part of random area and shape and squash it to a size.

    The area is uniform and the logarithm of the aspect ratio is uniform; after ten drawings that
    do not fit into the image, the largest centred part within the allowed ratios is taken
    (Szegedy et al., CVPR 2015, arXiv:1409.4842, Section 6, as torchvision implements it).

    Args:
        size: Side length, or (height, width), of the result.
        area: Smallest and largest part of the image's area, in (0, 1].
        ratio: Smallest and largest width / height of the part, in pixels.
        interpolation: See :class:`~wsoltool.transforms.resize.Interpolation`.
        antialias: See :class:`~wsoltool.transforms.resize.Interpolation`.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        area: tuple[float, float] = (0.8, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = parse_size(size, self)
        self.area = _parse_range(area, "area", largest=1.0)
        self.ratio = _parse_range(ratio, "ratio", largest=math.inf)
        self.interpolate = Interpolation(interpolation, antialias)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        crop(results, *self.draw(results["img"].shape[:2]))
        results["img"] = self.interpolate(results["img"], self.size)
        results["img_shape"] = self.size
        return results

    def draw(self, shape: Size) -> tuple[int, int, Size]:
        """A random part of an image of ``shape``: top, left, (height, width)."""
        height, width = shape
        low, high = np.log(self.ratio)
        for _ in range(ATTEMPTS):
            area = height * width * np.random.uniform(*self.area)
            ratio = math.exp(np.random.uniform(low, high))
            part = (round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio)))
            if 0 < part[0] <= height and 0 < part[1] <= width:
                return _place(height - part[0]), _place(width - part[1]), part
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        part = (
            min(height, max(1, round(width / ratio))),
            min(width, max(1, round(height * ratio))),
        )
        return (height - part[0]) // 2, (width - part[1]) // 2, part


def _place(room: int) -> int:
    """0 to ``room``, both included."""
    return int(np.random.randint(room + 1))


def _room(shape: Size, size: Size, owner: object) -> tuple[int, int]:
    """How many rows and columns the image has more than the crop."""
    down, across = shape[0] - size[0], shape[1] - size[1]
    if down < 0 or across < 0:
        raise DataError(
            f"{type(owner).__name__} of {size[0]} x {size[1]} pixels does not fit into an image of"
            f" {shape[0]} x {shape[1]} (height x width)",
            expected="an image at least as large as the crop",
            hint=f"put dict(type='ResizeShortSide', size={max(size)}) before it",
        )
    return down, across


def _parse_range(values: tuple[float, float], name: str, largest: float) -> tuple[float, float]:
    low, high = values if len(values) == 2 else (math.nan, math.nan)
    if not 0 < low <= high <= largest or math.isinf(high):
        raise ConfigError(
            f"RandomResizedCrop: {name} is {values!r}",
            expected="(smallest, largest), above 0"
            + (f" and at most {largest:g}" if math.isfinite(largest) else ""),
        )
    return float(low), float(high)
