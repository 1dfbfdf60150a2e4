"""The embedded data set: creatures drawn on the fly, whose class shows in the head alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wsoltool.datasets.base import SPLITS, LocalizationDataset, Transform
from wsoltool.datasets.creature_drawing import COATS, KINDS, Figure, draw, figure
from wsoltool.datasets.creature_shapes import Creature, lay_out, tight_box
from wsoltool.errors import ConfigError
from wsoltool.structures import Truth

LENGTHS = {"train-weaksup": 2000, "train-fullsup": 200, "test": 500}
SMALLEST_PLACE = 32  # pixels a side; a head is no longer legible below
LABELS, OTHERS, SHAPES, PAINT = range(4)  # the random streams


class Creatures(LocalizationDataset):
    """Textured creatures on cluttered backgrounds, with exact boxes, masks and head boxes.

    The object is the whole creature: trunk, legs, tail and head. Its class shows in the head alone
    (ears and face), a fifth of its area; coat, pose, size and background ignore it unless a bias
    asks otherwise. A network trained on the labels therefore looks at heads, and a box
    around what it looked at misses the creature: the failure that WSOL methods are about.

    Every image follows from ``seed``, ``split`` and its index alone; no file is read. A longer set
    begins with the images of the shorter one. Objects cover 8 to 60 % of the image (of an equal
    square share of it, where there are several) and may touch its border.

    Args:
        split: ``train-weaksup``, ``train-fullsup`` or ``test``; they share no image.
        length: Number of images; 2000, 200 and 500 in these splits if None.
        num_classes: 2 to 20.
        image_size: Side of the square images in pixels, at least 32.
        seed: Of the whole set, in ``[0, 2**32)``.
        instances: Creatures in an image: a number, or the (smallest, largest) one.
        background_bias: Probability in [0, 1] that the kind of background goes with the class.
        coat_bias: Probability in [0, 1] that the coat's pattern and tint go with the class: a
            second cue, all over the body, for methods that hide the strongest one.
        coats: How many coats there are for ``coat_bias``, 1 to 20: classes whose numbers are equal
            modulo ``coats`` share one. 5 makes classes of the same face look alike but for their
            ears, 4 those of the same ears but for their face.
        multi_label: Creatures of one image differ in class, and labels are multi-hot; otherwise
            all are of the image's class.
        in_memory: Draw all images once, at the start: faster from the second epoch on, for 27 kB
            an image of 96 pixels.
        pipeline: Transforms, see :class:`LocalizationDataset`.

    Raises:
        ConfigError: A value is out of its range.

    Example:
        >>> image, sample = Creatures(split="test", length=1)[0]
        >>> image.shape, sample.image_id, len(sample.truth.boxes)
        ((96, 96, 3), 'creatures/test/000000', 1)
    """

    def __init__(
        self,
        split: str = "train-weaksup",
        length: int | None = None,
        num_classes: int = 10,
        image_size: int = 96,
        seed: int = 0,
        instances: int | Sequence[int] = 1,
        background_bias: float = 0.0,
        coat_bias: float = 0.0,
        coats: int = len(COATS),
        multi_label: bool = False,
        in_memory: bool = False,
        pipeline: Sequence[Transform] = (),
    ) -> None:
        super().__init__(split, pipeline)
        length = LENGTHS[split] if length is None else length
        _check_whole("length", length, 1, 10**6)
        _check_whole("num_classes", num_classes, 2, len(KINDS))
        _check_whole("image_size", image_size, SMALLEST_PLACE, 4096)
        _check_whole("seed", seed, 0, 2**32 - 1)
        _check_probability("background_bias", background_bias)
        _check_probability("coat_bias", coat_bias)
        _check_whole("coats", coats, 1, len(COATS))
        fewest, most = _instance_range(instances, image_size)
        self.classes = tuple(f"{ears}-{face}" for ears, face in KINDS[:num_classes])
        self.image_ids = [f"creatures/{split}/{index:06d}" for index in range(length)]
        self.image_size, self.seed = image_size, seed
        self.background_bias, self.coat_bias = background_bias, coat_bias
        self.coats, self.multi_label = coats, multi_label
        self._class_ids = self._draw_classes(length, fewest, most)
        self._last: tuple[int, tuple[Creature, ...], list[Figure]] | None = None
        self._drawn = [self._draw(index) for index in range(length)] if in_memory else None

    def load(self, index: int) -> np.ndarray:
        """The image, ``(image_size, image_size, 3)`` uint8 RGB."""
        return self._draw(index) if self._drawn is None else self._drawn[index].copy()

    def _draw(self, index: int) -> np.ndarray:
        creatures, figures = self._figures(index)
        how = self.background_bias, self.coat_bias, self.coats
        class_ids = self._class_ids[index]
        rng = self._stream(PAINT, index)
        return draw(rng, creatures, figures, class_ids, self.image_size, *how)

    def label(self, index: int) -> int | np.ndarray:
        """Class index, or ``(K,)`` float32 multi-hot if ``multi_label``."""
        if not self.multi_label:
            return self._class_ids[index][0]
        label = np.zeros(len(self.classes), np.float32)
        label[list(self._class_ids[index])] = 1
        return label

    def instance_labels(self, index: int) -> np.ndarray:
        """``(N,)`` int64: the class of every creature, in the order of the truth's boxes."""
        return np.array(self._class_ids[index], np.int64)

    def read_truth(self, index: int) -> Truth:
        """Boxes of the creatures, boxes of their heads, the mask of all creatures, their classes.

        With ``multi_label`` the classes' pixels too, as segments.
        """
        _, figures = self._figures(index)
        boxes = np.stack([tight_box(shape.whole) for shape in figures])
        heads = np.stack([tight_box(shape.head) for shape in figures])
        mask = np.bitwise_or.reduce([shape.whole for shape in figures])
        return Truth(
            boxes,
            boxes.copy(),
            part_boxes=heads,
            mask=(mask > 0).astype(np.uint8),
            labels=self.instance_labels(index),
            segments=self._segments(index, figures) if self.multi_label else None,
        )

    def _segments(self, index: int, figures: Sequence[Figure]) -> np.ndarray:
        # Creatures have places of their own: none covers another.
        segments = np.zeros((self.image_size, self.image_size), np.int16)
        for shape, class_id in zip(figures, self._class_ids[index], strict=True):
            segments[shape.whole > 0] = class_id + 1
        return segments

    def _figures(self, index: int) -> tuple[tuple[Creature, ...], list[Figure]]:
        # Loading an image and then reading its truth should lay the shapes out once.
        last = self._last
        if last is None or last[0] != index:
            last = index, *self._lay_out(index)
            self._last = last
        return last[1:]

    def _lay_out(self, index: int) -> tuple[tuple[Creature, ...], list[Figure]]:
        class_ids, size = self._class_ids[index], self.image_size
        creatures = lay_out(self._stream(SHAPES, index), size, len(class_ids))
        pairs = zip(creatures, class_ids, strict=True)
        return creatures, [figure(creature, class_id, size) for creature, class_id in pairs]

    def _stream(self, purpose: int, index: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), index, purpose])

    def _draw_classes(self, length: int, fewest: int, most: int) -> list[tuple[int, ...]]:
        """The class of every creature of every image; the first is the image's."""
        rng, others = self._stream(LABELS), self._stream(OTHERS)
        num_classes = len(self.classes)
        # Every run of K images holds each class once, so that a prefix is balanced as well.
        runs = np.tile(np.arange(num_classes), (math.ceil(length / num_classes), 1))
        first = rng.permuted(runs, axis=1).ravel()[:length, None]
        classes = np.repeat(first, most, axis=1)
        counts = np.full(length, fewest)
        if fewest < most or self.multi_label:
            drawn = others.random((length, most))
            counts += (drawn[:, 0] * (most - fewest + 1)).astype(int)
            if self.multi_label:
                classes[:, 1:] = drawn[:, 1:] * num_classes
        pairs = zip(classes.tolist(), counts, strict=True)
        return [tuple(row[:count]) for row, count in pairs]


def _check_whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(
            f"{name} of Creatures is {value!r}", expected=f"a whole number from {low} to {high}"
        )


def _check_probability(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name} of Creatures is {value!r}", expected="a number from 0 to 1")


def _instance_range(instances: Any, image_size: int) -> tuple[int, int]:
    """The (smallest, largest) number of creatures that the image has room for."""
    low, high = (instances, instances) if isinstance(instances, int) else _pair(instances)
    room = (image_size // SMALLEST_PLACE) ** 2
    _check_whole("instances", high, 1, room)
    _check_whole("instances", low, 1, high)
    return low, high


def _pair(instances: Any) -> tuple[Any, Any]:
    if not isinstance(instances, list | tuple) or len(instances) != 2:
        raise ConfigError(
            f"instances of Creatures is {instances!r}",
            expected="a whole number, or the (smallest, largest) one",
        )
    return tuple(instances)
