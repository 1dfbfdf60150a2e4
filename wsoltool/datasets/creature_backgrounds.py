"""What lies behind the creatures: textures, and cluttered scenes made of them.

Textures come from a few tables of 256 x 256 grey levels, made once in a process; a random crop,
turned and resized, is a new texture. Colours are RGB, images ``(size, size, 3)`` uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike

from wsoltool.datasets.creature_shapes import (
    Polygon,
    Rng,
    bend,
    fill,
    oval,
    rotation,
    strip,
    transform,
)

TABLE_SIDE = 256
TEXTURES = ("clouds", "stripes", "spots", "blotches", "grain")
BACKGROUNDS = ("gradient", "clouds", "patches", "lines", "leaves", "stones")

ROOT, TIP, BELLY = np.zeros(2), np.array([1.0, 0.0]), np.array([0.5, 1.0])
LEAF = np.concatenate([bend(ROOT, BELLY, TIP), bend(TIP, BELLY * (1, -1), ROOT)])


@cache
def texture_table(name: str) -> np.ndarray:
    """``(256, 256)`` uint8 texture that repeats without a seam."""
    rng = np.random.default_rng(TEXTURES.index(name))
    grain = rng.integers(0, 256, (TABLE_SIDE, TABLE_SIDE)).astype(np.float32)
    if name == "grain":
        return grain.astype(np.uint8)
    if name == "clouds":
        return stretch(sum(2**k * smooth(grain, 2.0**k) for k in range(2, 5)))
    if name == "blotches":
        return stretch(np.tanh(4 * standardise(smooth(grain, 5.0))))
    y, x = np.mgrid[:TABLE_SIDE, :TABLE_SIDE] * np.float32(2 * np.pi / TABLE_SIDE)
    warp = standardise(smooth(grain, 9.0))
    if name == "stripes":
        return stretch(np.tanh(3 * np.sin(24 * x + warp)))
    return stretch(np.tanh(6 * (np.sin(20 * x + 0.7 * warp) * np.sin(20 * y - 0.7 * warp) - 0.3)))


def smooth(table: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur that wraps around."""
    margin = int(4 * sigma)
    wrapped = np.pad(table, margin, mode="wrap")
    return cv2.GaussianBlur(wrapped, (0, 0), sigma)[margin:-margin, margin:-margin]


def standardise(table: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1."""
    return (table - table.mean()) / table.std()


def stretch(table: np.ndarray) -> np.ndarray:
    """To uint8, 2nd percentile at 0 and 98th at 255."""
    low, high = np.percentile(table, (2, 98))
    return np.clip((table - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def texture(rng: Rng, name: str, size: int, zoom: tuple[float, float] = (0.6, 1.6)) -> np.ndarray:
    """``(size, size)`` uint8 random crop of a table, turned by quarters.

    ``zoom`` is relative to the image's side: a crop of 96 table pixels fills it at zoom 1.
    """
    side = int(96 / rng.uniform(*zoom))
    x, y, turn = rng.integers((TABLE_SIDE - side, TABLE_SIDE - side, 4))
    crop = texture_table(name)[y : y + side, x : x + side]
    crop = cv2.resize(crop, (size, size))
    return (crop, crop.T, crop[::-1], crop.T[::-1])[turn]


def colour(rng: Rng) -> np.ndarray:
    """``(3,)`` float RGB, muted: faces alone are vivid, and black or white."""
    return rng.uniform(70, 190) + rng.uniform(-35, 35, 3)


def near(rng: Rng, base: ArrayLike, spread: float) -> np.ndarray:
    """A colour that differs from ``base`` by up to ``spread`` a channel."""
    return (np.asarray(base) + rng.uniform(-spread, spread, 3)).clip(0, 255)


@cache
def ramp_weights(count: int) -> np.ndarray:
    """``(256, count)`` share of every colour at every grey level."""
    stops = np.linspace(0, 255, count)
    return np.stack([np.interp(np.arange(256), stops, row) for row in np.eye(count)], axis=1)


def ramp(levels: np.ndarray, colours: Sequence[np.ndarray]) -> np.ndarray:
    """Grey levels ``(H, W)`` uint8 to colours: the first at 0, the last at 255."""
    table = (ramp_weights(len(colours)) @ np.stack(colours)).astype(np.uint8)
    return cv2.LUT(cv2.merge([np.ascontiguousarray(levels)] * 3), table[None])


def paint(image: np.ndarray, mask: np.ndarray, cover: np.ndarray) -> None:
    """Replace ``image`` by ``cover`` where ``mask`` is set, in place."""
    cv2.copyTo(cover, mask, image)


def paint_polygon(image: np.ndarray, polygon: Polygon, tone: np.ndarray) -> None:
    """Fill a polygon with one colour, in place."""
    cv2.fillPoly(image, [np.rint(polygon * 16).astype(np.int32)], tone.tolist(), shift=4)


def background(rng: Rng, kind: str, size: int) -> np.ndarray:
    """A scene without creatures, ``(size, size, 3)`` uint8 RGB."""
    return PAINTERS[kind](rng, size)


def gradient(rng: Rng, size: int) -> np.ndarray:
    """A straight gradient between two colours, slightly clouded."""
    along = transform(np.array([[-1.0, 0.0]]), rotation(rng.uniform(0, 360)))[0]
    line = np.linspace(-90, 90, size, dtype=np.float32)
    slope = 128 + np.add.outer(along[1] * line, along[0] * line)
    levels = 0.85 * slope + 0.15 * texture(rng, "clouds", size)
    return ramp(np.clip(levels, 0, 255).astype(np.uint8), [colour(rng), colour(rng)])


def clouds(rng: Rng, size: int) -> np.ndarray:
    """Smooth noise in three colours."""
    return ramp(texture(rng, "clouds", size), [colour(rng) for _ in range(3)])


def patches(rng: Rng, size: int) -> np.ndarray:
    """A patchwork of related colours, turned."""
    cells = int(rng.integers(4, 9))
    quilt = np.clip(colour(rng) + rng.uniform(-40, 40, (cells, cells, 3)), 0, 255)
    turn = rotation(rng.uniform(0, 90)) * (size / cells)
    turn[:, 2] = rng.uniform(0, size, 2)
    return cv2.warpAffine(
        quilt.astype(np.uint8),
        turn,
        (size, size),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_WRAP,
    )


def lines(rng: Rng, size: int) -> np.ndarray:
    """Straight sticks and stems across a gradient."""
    image = gradient(rng, size)
    count = int(rng.integers(8, 20))
    ends = rng.integers(-size // 4, size + size // 4, (count, 2, 2)).tolist()
    thickness = (1 + rng.integers(0, 4, count) * size // 96).tolist()
    for (start, end), thick in zip(ends, thickness, strict=True):
        cv2.line(image, start, end, colour(rng).tolist(), thick)
    return image


def leaves(rng: Rng, size: int) -> np.ndarray:
    """Many leaves of one family of colours, turned any way."""
    image, base = clouds(rng, size), colour(rng)
    for degrees in rng.uniform(0, 360, int(rng.integers(14, 30))):
        length, slimness = size * rng.uniform(0.1, 0.26), rng.uniform(0.3, 0.6)
        blade = transform(LEAF * (length, slimness * length), rotation(degrees))
        paint_polygon(image, blade + rng.uniform(0, size, 2), near(rng, base, 45))
    return image


def stones(rng: Rng, size: int) -> np.ndarray:
    """Headless distractors: textured lumps and rods, much like trunks and legs."""
    image = gradient(rng, size)
    for _ in range(int(rng.integers(3, 7))):
        centre, radii = rng.uniform(0, size, 2), size * rng.uniform(0.06, 0.22, 2)
        lump = transform(oval((0, 0), radii, rng.uniform(1.9, 3.2)), rotation(rng.uniform(0, 180)))
        rod = strip(rng.uniform(0, size, (2, 2)), size * rng.uniform(0.02, 0.06, 2))
        cover = ramp(texture(rng, rng.choice(TEXTURES), size), [colour(rng), colour(rng)])
        paint(image, fill(size, [lump + centre, rod]), cover)
    return image


PAINTERS = {
    "gradient": gradient,
    "clouds": clouds,
    "patches": patches,
    "lines": lines,
    "leaves": leaves,
    "stones": stones,
}
