"""Where a creature's parts lie: polygons alone, no colour.

A creature is built around its trunk, one unit long, nose towards +x, y down, then scaled, mirrored
and set down in the image. Nothing here but :func:`ears` and :func:`head_polygons` knows the class,
and those stay within ``HEAD_REACH`` head radii of the head's centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

Rng = np.random.Generator
Polygon = np.ndarray  # (n, 2) float xy

EARS = ("round", "pointed", "long", "horned")
HEAD_REACH = 1.8  # of the ears' tips, in head radii
HEAD_AREA = 3.7  # of face and ears, in squared head radii
HEAD_SHARE = (0.19, 0.25)  # of the creature's area
BOX_SHARE = (0.09, 0.65)  # of its place's area, before the ears are known

ANGLES = np.arange(24) * (2 * np.pi / 24)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
ALONG = np.linspace(0, 1, 9)  # a curve's parameter
BEZIER = np.stack([(1 - ALONG) ** 2, 2 * ALONG * (1 - ALONG), ALONG**2], axis=1)


@dataclass(frozen=True)
class Creature:
    """One creature set down in the image.

    Attributes:
        trunk: Polygons of legs, tail, trunk and neck, back to front, in pixels.
        head: ``(2, 3)`` affine map from the head's frame (face of radius 1 around the origin, chin
            towards +y) to pixels.
    """

    trunk: tuple[Polygon, ...]
    head: np.ndarray


def transform(points: Polygon, matrix: np.ndarray) -> Polygon:
    """``(n, 2)`` points under a ``(2, 3)`` affine map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The ``(2, 3)`` affine map that applies ``inner``, then ``outer``."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], transform(inner[:, 2], outer)])


def rotation(degrees: float, mirrored: bool = False) -> np.ndarray:
    """``(2, 3)``: turn clockwise on screen, then mirror left to right if asked."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sign = -1.0 if mirrored else 1.0
    return np.array([[sign * cos, -sign * sin, 0.0], [sin, cos, 0.0]])


def oval(centre: ArrayLike, radii: ArrayLike, power: float = 2.0) -> Polygon:
    """A superellipse; ``power`` 2 is an ellipse, more is boxier."""
    unit = CIRCLE if power == 2 else np.sign(CIRCLE) * np.abs(CIRCLE) ** (2 / power)
    return unit * np.asarray(radii) + np.asarray(centre)


def strip(spine: Polygon, widths: np.ndarray) -> Polygon:
    """A band along ``spine`` ``(n, 2)`` with the given width at each of its points."""
    along = np.empty_like(spine)
    along[0], along[-1] = spine[1] - spine[0], spine[-1] - spine[-2]
    along[1:-1] = spine[2:] - spine[:-2]
    half = 0.5 * widths / np.hypot(along[:, 0], along[:, 1])
    across = along[:, ::-1] * (-1, 1) * half[:, None]
    return np.concatenate([spine + across, (spine - across)[::-1]])


def bend(start: Polygon, control: Polygon, end: Polygon) -> Polygon:
    """``(9, 2)`` points on a quadratic Bézier curve."""
    return BEZIER @ np.stack([start, control, end])


def legs(rng: Rng, half_height: float) -> list[Polygon]:
    """Four tapering legs, the two pairs near the trunk's ends."""
    length, width = half_height + rng.uniform(0.12, 0.42), rng.uniform(0.09, 0.15)
    hips = np.array([-0.37, 0.23, -0.22, 0.37]) + rng.uniform(-0.03, 0.03, 4)
    feet = hips + rng.uniform(-0.1, 0.1, 4)
    widths = width * np.array([1.5, 0.9, 1.1])
    return [
        strip(np.array([[hip, 0.0], [foot, length * 0.8], [foot + 0.02, length]]), widths)
        for hip, foot in zip(hips, feet, strict=True)
    ]


def tail(rng: Rng, half_height: float) -> Polygon:
    """A bent tail, thin or bushy, hanging or raised."""
    start = np.array([-0.42, -0.3 * half_height])
    tip, control = start + rng.uniform([(-0.5, -0.55), (-0.45, -0.35)], [(-0.2, 0.4), (-0.1, 0.35)])
    bushy = rng.uniform(0.0, 0.17) * np.sin(np.pi * ALONG**1.3)
    return strip(bend(start, control, tip), 0.09 - 0.06 * ALONG + bushy)


def neck(rng: Rng, half_height: float, radius: float) -> tuple[Polygon, np.ndarray]:
    """The neck and the head's centre: ahead, raised or straight up."""
    degrees = rng.choice([15.0, 50.0, 85.0]) + rng.uniform(-12, 12)
    direction = np.array([math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))])
    shoulder = np.array([0.36, -0.35 * half_height])
    centre = shoulder + direction * (rng.uniform(0.1, 0.3) + radius)
    spine = np.stack([shoulder - 0.12 * direction, (shoulder + centre) / 2, centre])
    return strip(spine, radius * np.array([1.6, 1.1, 1.1])), centre


def build(rng: Rng) -> Creature:
    """A creature in units of its trunk's length, around the trunk's middle."""
    half_height = rng.uniform(0.22, 0.36)
    trunk = oval((0, 0), (0.5, half_height), rng.uniform(1.9, 3.2))
    parts = [*legs(rng, half_height), tail(rng, half_height), trunk]
    # Legs and neck lie half behind the trunk: the sum of the areas would overrate them.
    area = 1.3 * cv2.contourArea(trunk.astype(np.float32))
    share = rng.uniform(*HEAD_SHARE)
    radius = math.sqrt(share / (1 - share) * area / HEAD_AREA)
    stalk, centre = neck(rng, half_height, radius)
    turned = rotation(rng.uniform(-20, 20), mirrored=bool(rng.integers(2)))
    return Creature((*parts, stalk), np.column_stack([turned[:, :2] * radius, centre]))


def place(creature: Creature, rng: Rng, corner: np.ndarray, side: float) -> Creature:
    """Turn, mirror and scale into the square place at ``corner``; it never sticks out."""
    posed = move(creature, rotation(rng.uniform(-12, 12), mirrored=bool(rng.integers(2))))
    low, high = reach(posed)
    width, height = high - low
    share = rng.uniform(*np.sqrt(BOX_SHARE)) ** 2
    # Filled polygons cover the pixels under their outline: keep one pixel of room.
    room = side - 1
    scale = room * min(math.sqrt(share / (width * height)), 1 / width, 1 / height)
    slack = np.maximum(room - scale * (high - low), 0)
    offset = corner + rng.uniform(0, 1, 2) * slack - scale * low
    return move(posed, np.column_stack([np.eye(2) * scale, offset]))


def move(creature: Creature, matrix: np.ndarray) -> Creature:
    """The creature under a ``(2, 3)`` affine map."""
    trunk = tuple(transform(part, matrix) for part in creature.trunk)
    return Creature(trunk, compose(matrix, creature.head))


def reach(creature: Creature) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest xy that the creature can cover, whatever its ears."""
    radius = HEAD_REACH * math.sqrt(abs(np.linalg.det(creature.head[:, :2])))
    centre = creature.head[:, 2]
    points = np.concatenate([*creature.trunk, [centre - radius, centre + radius]])
    return points.min(axis=0), points.max(axis=0)


def lay_out(rng: Rng, size: int, count: int) -> tuple[Creature, ...]:
    """``count`` creatures in an image of ``size`` pixels a side, each in a place of its own."""
    grid = math.ceil(math.sqrt(count))
    side = size // grid
    places = rng.permutation(grid * grid)[:count]
    corners = np.stack([places % grid, places // grid], axis=1) * side
    return tuple(place(build(rng), rng, corner, side) for corner in corners)


def ears(kind: str) -> list[Polygon]:
    """The two ears in the head's frame."""
    if kind == "round":
        ear = oval((0.78, -0.82), (0.5, 0.5))
    elif kind == "pointed":
        ear = np.array([[0.1, -0.8], [0.95, -1.42], [1.0, -0.2]])
    elif kind == "long":
        ear = transform(oval((0, -1.0), (0.3, 0.66)), rotation(16))
    else:
        spine = np.array([[0.55, -0.6], [1.15, -0.75], [1.3, -1.15]])
        ear = strip(spine, np.array([0.6, 0.5, 0.16]))
    return [ear, ear * (-1, 1)]


def head_polygons(creature: Creature, ear_kind: str) -> list[Polygon]:
    """Ears, then face, in pixels."""
    outlines = [*ears(ear_kind), oval((0, 0), (1.0, 0.95))]
    return [transform(outline, creature.head) for outline in outlines]


def fill(size: int, polygons: Iterable[Polygon]) -> np.ndarray:
    """``(size, size)`` uint8 mask, 255 on the union of the polygons, outlines included."""
    mask = np.zeros((size, size), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint(polygon * 16).astype(np.int32)], 255, shift=4)
    return mask


def tight_box(mask: np.ndarray) -> np.ndarray:
    """``(4,)`` float32 xyxy of the mask's nonzero pixels, x1 y1 exclusive."""
    x, y, width, height = cv2.boundingRect(mask)
    return np.array([x, y, x + width, y + height], np.float32)
