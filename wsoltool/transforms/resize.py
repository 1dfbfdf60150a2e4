"""Resizing, with the filters that published results were made with."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn import functional as F

from wsoltool.errors import ConfigError, check_choice
from wsoltool.structures import Size
from wsoltool.transforms.geometry import parse_size, replace_image

_OPENCV = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
INTERPOLATIONS = tuple(_OPENCV)


class Interpolation:
    """A resampling filter; numbers of a paper can depend on it.

    - ``bilinear``, ``bicubic`` with ``antialias``: the filter widens when shrinking. The result is
      Pillow's, and so that of nearly all published PyTorch pipelines, to within one grey level.
    - without ``antialias``: OpenCV's, which skips pixels when shrinking (mmcv's default).
    - ``area``: OpenCV's mean over the covered pixels; ``antialias`` changes nothing.

    Args:
        name: ``bilinear``, ``bicubic`` or ``area``.
        antialias: See above.
    """

    def __init__(self, name: str = "bilinear", antialias: bool = True) -> None:
        check_choice(f"unknown interpolation {name!r}", name, INTERPOLATIONS)
        self.name, self.antialias = name, antialias

    def __call__(self, image: np.ndarray, size: Size) -> np.ndarray:
        """``(H, W, 3)`` uint8 to ``(*size, 3)`` uint8."""
        if image.shape[:2] == size:
            return image
        if self.antialias and self.name != "area":
            return _resize_antialiased(image, size, self.name)
        return cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=_OPENCV[self.name])


def _resize_antialiased(image: np.ndarray, size: Size, mode: str) -> np.ndarray:
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    resized = F.interpolate(pixels, size=size, mode=mode, antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


class Resize(BaseTransform):
    """Squash the image to a size; the aspect ratio is not kept.

    Args:
        size: Side length, or (height, width).
        interpolation: See :class:`Interpolation`.
        antialias: See :class:`Interpolation`.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = parse_size(size, self)
        self.interpolate = Interpolation(interpolation, antialias)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return replace_image(results, self.interpolate(results["img"], self.size))


class ResizeShortSide(BaseTransform):
    """Scale the image so that its short side has a length; the aspect ratio is kept.

    The long side is cut down to whole pixels, as torchvision does; with ``multiple_of``, both
    sides become the nearest multiple, so that the cells of a network with that output stride cover
    the image exactly. The aspect ratio then changes by what that rounding takes.

    Args:
        size: Length of the short side.
        interpolation: See :class:`Interpolation`.
        antialias: See :class:`Interpolation`.
        multiple_of: What both sides shall divide by; 1 for any length.
    """

    def __init__(
        self,
        size: int,
        interpolation: str = "bilinear",
        antialias: bool = True,
        multiple_of: int = 1,
    ) -> None:
        for name, value in (("size", size), ("multiple_of", multiple_of)):
            if type(value) is not int or value < 1:
                what = f"ResizeShortSide: {name} is {value!r}"
                raise ConfigError(what, expected="a positive integer")
        self.size, self.multiple_of = size, multiple_of
        self.interpolate = Interpolation(interpolation, antialias)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        height, width = results["img"].shape[:2]
        short = min(height, width)
        size = (self._length(height, short), self._length(width, short))
        return replace_image(results, self.interpolate(results["img"], size))

    def _length(self, side: int, short: int) -> int:
        if self.multiple_of == 1:
            return self.size * side // short
        count = (2 * self.size * side + short * self.multiple_of) // (2 * short * self.multiple_of)
        return max(1, count) * self.multiple_of
