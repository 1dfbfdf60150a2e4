"""Pictures of part maps: each part in a colour and with a number of its own."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from wsoltool.visualization.lettering import line_height, text_width, write_text
from wsoltool.visualization.overlay import Color

#: Okabe and Ito's colours (2008), which people with any colour vision tell apart.
SAFE_COLORS: tuple[Color, ...] = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
OPACITY = 0.75
LEAST_RANGE = 0.05
_LEVELS = (0, 51, 102, 153, 204, 255)
_LIGHTNESS, _CHROMA = (30, 92), 25
_INK, _PAPER = (0, 0, 0), (255, 255, 255)


@cache
def part_colors(count: int) -> tuple[Color, ...]:
    """Colours of parts, the first of them the same for every count.

    Seven that people with any colour vision tell apart; then, of 216, always the one that differs
    most from those before, neither grey nor close to black or white.
    """
    colors = list(SAFE_COLORS[:count])
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), -1).reshape(-1, 3)
    lab = _lab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = (lab[:, 0] > _LIGHTNESS[0]) & (lab[:, 0] < _LIGHTNESS[1]) & (chroma > _CHROMA)
    while len(colors) < count:
        distances = np.linalg.norm(lab[:, None] - _lab(np.array(colors)), axis=2).min(axis=1)
        red, green, blue = grid[np.where(usable, distances, -1).argmax()].tolist()
        colors.append((red, green, blue))
    return tuple(colors)


def draw_parts(image: np.ndarray, part_maps: np.ndarray) -> np.ndarray:
    """Each pixel in the colour of its strongest part, as opaque as that part is strong there.

    The image below is grey, so that every colour is a part's. Strength is a part's own
    (:func:`relative_strengths`): the picture tells where parts are, not how strong. Each part's
    number stands where it is strongest. A part that hardly varies is faint and has no number; one
    that is equally strong everywhere is not drawn.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        part_maps: ``(P, h, w)`` in [0, 1], resized to the image.

    Returns:
        ``(H, W, 3)`` uint8 RGB, a new array.
    """
    size = image.shape[1::-1]
    relative = relative_strengths(part_maps)
    strengths = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in relative])
    colors = part_colors(len(strengths))
    winner, opacity = strengths.argmax(axis=0), OPACITY * strengths.max(axis=0)[..., None]
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    mixed = grey * (1 - opacity) + np.array(colors, np.float32)[winner] * opacity
    picture = np.round(mixed).astype(np.uint8)
    for index in np.flatnonzero(relative.max(axis=(1, 2)) == 1).tolist():
        y, x = np.unravel_index(strengths[index].argmax(), strengths[index].shape)
        _write_number(picture, (int(x), int(y)), index + 1, colors[index])
    return picture


def relative_strengths(part_maps: np.ndarray) -> np.ndarray:
    """Every part from 0 at its weakest to 1 at its strongest pixel, if it varies by 0.05 at least.

    Sigmoids of parts may all lie close to each other, and nothing would be seen of them as they
    are. But a part that varies by less than :data:`LEAST_RANGE` is not blown up to look like one:
    it stays below 1, by the ratio of its range to that; a constant part becomes zeros.

    Pixels where all parts are 0, as where the network did not look, count for no minimum and stay
    0.

    Args:
        part_maps: ``(P, h, w)`` float in [0, 1].

    Returns:
        ``(P, h, w)`` float32 in [0, 1].
    """
    maps = part_maps.astype(np.float32)
    seen = maps.any(axis=0)
    if not seen.any():
        return np.zeros_like(maps)
    low = maps[:, seen].min(axis=1)[:, None, None]
    high = maps[:, seen].max(axis=1)[:, None, None]
    return np.where(seen, (maps - low) / np.maximum(high - low, np.float32(LEAST_RANGE)), 0)


def _write_number(picture: np.ndarray, place: tuple[int, int], number: int, color: Color) -> None:
    """Write a number into the picture, in a frame of its part's colour around ``place`` (x, y)."""
    height, width = picture.shape[:2]
    size = max(10, round(max(height, width) / 18))
    text = str(number)
    box = (text_width(text, size) + 6, line_height(size) + 2)
    left = min(max(place[0] - box[0] // 2, 0), max(width - box[0], 0))
    top = min(max(place[1] - box[1] // 2, 0), max(height - box[1], 0))
    picture[top : top + box[1], left : left + box[0]] = color
    bright = np.dot(color, (0.299, 0.587, 0.114)) > 140
    write_text(picture, (left + 3, top + 1), text, _INK if bright else _PAPER, size)


def _lab(colors: np.ndarray) -> np.ndarray:
    """``(N, 3)`` RGB in 0..255 to CIELAB."""
    return cv2.cvtColor((colors[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
