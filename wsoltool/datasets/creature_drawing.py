"""How a creature is painted: background, coat, head, and the camera's faults.

Two random streams make an image: one for the shapes (``creature_shapes``), one for the paint. The
class chooses the ears and the face's marking, and nothing else draws on it unless a bias asks for
that: with the same streams, two classes differ in the head alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from wsoltool.datasets.creature_backgrounds import (
    BACKGROUNDS,
    TEXTURES,
    background,
    near,
    paint,
    paint_polygon,
    ramp,
    texture,
)
from wsoltool.datasets.creature_shapes import (
    EARS,
    Creature,
    Polygon,
    Rng,
    fill,
    head_polygons,
    oval,
    transform,
)

Kind = TypeVar("Kind")
Colour = tuple[int, int, int]
Coat = tuple[str, Colour]

TINTS = ((175, 130, 85), (90, 115, 160), (105, 140, 80), (170, 100, 125))
COATS: tuple[Coat, ...] = tuple((TEXTURES[c % 5], TINTS[c % 4]) for c in range(20))
BLACK = np.full(3, 10)
EYES = tuple(oval((x, -0.15), (0.17, 0.2)) for x in (-0.4, 0.4))
EAR_COLOURS = {
    "round": (60, 40, 35),
    "pointed": (200, 60, 50),
    "long": (240, 170, 180),
    "horned": (225, 215, 150),
}


@dataclass(frozen=True)
class Face:
    """A face's colours and its marking, drawn in the head's frame."""

    base: Colour
    mark: Colour
    marking: Polygon


FACES = {
    "blazed": Face((190, 90, 35), (250, 245, 235), oval((0, 0), (0.3, 1.2), 4)),
    "masked": Face((225, 225, 220), (35, 35, 45), oval((0, -0.15), (1.2, 0.36), 4)),
    "muzzled": Face((60, 95, 180), (250, 200, 90), oval((0, 0.75), (0.85, 0.75))),
    "halved": Face((245, 205, 60), (25, 110, 110), oval((0.75, 0), (0.75, 1.2), 6)),
    "capped": Face((90, 160, 70), (120, 40, 120), oval((0, -0.8), (1.2, 0.7), 4)),
}
KINDS = tuple((EARS[c % 4], tuple(FACES)[c % 5]) for c in range(20))
"""Ears and face of every class; 4 and 5 have no common factor, so that all 20 differ."""


@dataclass(frozen=True)
class Figure:
    """The pixels of one creature.

    Attributes:
        trunk: ``(size, size)`` uint8, 255 on trunk, legs, tail and neck.
        ears: Likewise.
        face: Likewise; it lies over the ears.
    """

    trunk: np.ndarray
    ears: np.ndarray
    face: np.ndarray

    @property
    def head(self) -> np.ndarray:
        return self.ears | self.face

    @property
    def whole(self) -> np.ndarray:
        return self.trunk | self.ears | self.face


def figure(creature: Creature, class_id: int, size: int) -> Figure:
    """The pixels that a creature of this class covers."""
    *ears, face = head_polygons(creature, KINDS[class_id][0])
    return Figure(fill(size, creature.trunk), fill(size, ears), fill(size, [face]))


def draw(
    rng: Rng,
    creatures: Sequence[Creature],
    figures: Sequence[Figure],
    class_ids: Sequence[int],
    size: int,
    background_bias: float = 0.0,
    coat_bias: float = 0.0,
    coats: int = len(COATS),
) -> np.ndarray:
    """The image, ``(size, size, 3)`` uint8 RGB.

    The biases are the probabilities that the kind of background goes with the first creature's
    class, and the kind of each coat, one of the first ``coats``, with its own.
    """
    image = background(rng, pick(rng, BACKGROUNDS, class_ids[0], background_bias), size)
    for shape, class_id in zip(figures, class_ids, strict=True):
        paint_coat(rng, image, shape, pick(rng, COATS[:coats], class_id, coat_bias))
    for creature, shape, class_id in zip(creatures, figures, class_ids, strict=True):
        paint_head(rng, image, creature, shape, class_id)
    return photograph(rng, image)


def pick(rng: Rng, kinds: Sequence[Kind], class_id: int, bias: float) -> Kind:
    """The class's own kind with probability ``bias``, else any."""
    tied, free = rng.random() < bias, int(rng.integers(len(kinds)))
    return kinds[class_id % len(kinds) if tied else free]


def paint_coat(rng: Rng, image: np.ndarray, shape: Figure, coat: Coat) -> None:
    """Texture in two related colours, and rounded shading, on trunk, legs and tail."""
    pattern, tint = coat
    base = near(rng, tint, 30) + rng.uniform(-40, 40)
    levels = texture(rng, pattern, len(image), (0.8, 2.0))
    cover = ramp(levels, [base, near(rng, base, 75)])
    paint(image, shape.trunk, shade(cover, shape.trunk))


def paint_head(
    rng: Rng, image: np.ndarray, creature: Creature, shape: Figure, class_id: int
) -> None:
    """Ears, face, marking and eyes."""
    ear_kind, face_kind = KINDS[class_id]
    face = FACES[face_kind]
    cover = np.empty_like(image)
    cover[:] = near(rng, face.base, 18)
    paint_polygon(cover, transform(face.marking, creature.head), near(rng, face.mark, 18))
    for eye in EYES:
        paint_polygon(cover, transform(eye, creature.head), BLACK)
    cover[(shape.ears & ~shape.face) > 0] = near(rng, EAR_COLOURS[ear_kind], 18)
    paint(image, shape.head, shade(cover, shape.head))


def shade(cover: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Darken towards the mask's outline, as a round body would look."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    light = np.minimum(0.6 + depth * (0.1 * 96 / len(mask)), 1.0)
    return cv2.multiply(cover, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def photograph(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Mild blur (3 x 3), exposure and noise."""
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.7))
    gain, offset, strength = rng.uniform((0.85, -12, 0.02), (1.12, 12, 0.10))
    noise = cv2.merge([texture(rng, "grain", len(image), (1.0, 1.0)) for _ in range(3)])
    return cv2.addWeighted(image, gain, noise, strength, offset - 127.5 * strength)
