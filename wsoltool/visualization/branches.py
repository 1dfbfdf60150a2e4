"""Pictures of what a localization map is made of: one for each named map, such as a branch's."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import cv2
import numpy as np

from wsoltool.visualization.lettering import titled
from wsoltool.visualization.overlay import blend_map

FULL = 5  # so many have the image's size; more have half of it
GAP, _LEAST = 4, 100  # pixels: between small pictures, and of the least side to halve


def draw_branches(image: np.ndarray, branches: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Each map in colours over the image, its name at the top.

    More than :data:`FULL` stand in two lines of half the image's size, as one tile. Where the image
    is too narrow or too low to be halved, all keep its size.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        branches: Name -> map in [0, 1], resized to the image.

    Returns:
        Tiles of the image's height.
    """
    if len(branches) > FULL and min(image.shape[:2]) >= _LEAST:
        return [_in_two_lines(image, branches)]
    return [titled(blend_map(image, shown), name) for name, shown in branches.items()]


def tiles(count: int) -> int:
    """How many pictures of the image's size are as wide as those of ``count`` maps."""
    return count if count <= FULL else ceil(count / 4)


def _in_two_lines(image: np.ndarray, branches: Mapping[str, np.ndarray]) -> np.ndarray:
    height, width = image.shape[:2]
    small = [(side - GAP) // 2 for side in (width, height)]
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    count = tiles(len(branches))
    picture = np.full((height, count * (width + GAP) - GAP, 3), 255, np.uint8)
    columns = ceil(len(branches) / 2)
    for index, (name, shown) in enumerate(branches.items()):
        row, column = divmod(index, columns)
        # Two and the gap are as wide, and as high, as one of the image's size.
        left = column // 2 * (width + GAP) + column % 2 * (width - small[0])
        top = row * (height - small[1])
        tile = titled(blend_map(reduced, shown), name)
        picture[top : top + small[1], left : left + small[0]] = tile
    return picture
