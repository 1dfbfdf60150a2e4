"""Counting what a data set holds: classes, sizes, boxes. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

AREA_EDGES = (0.05, 0.10, 0.25, 0.50, 0.75)
"""Between small and large boxes, as shares of the image's area."""
RATIO_EDGES = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
"""Between upright and wide boxes: width / height, the same distances apart both ways."""
PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class Spread:
    """How one quantity is spread over M things.

    Attributes:
        percentiles: Percentile -> value; empty where M is 0.
        edges: ``e`` rising bounds.
        counts: ``e + 1`` numbers of things: below the first bound, from each to below the next,
            from the last one on.
    """

    percentiles: dict[int, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The counts as shares of all things, in [0, 1]."""
        return tuple(count / max(1, sum(self.counts)) for count in self.counts)


def spread(values: np.ndarray, edges: Sequence[float]) -> Spread:
    """Percentiles of ``(M,)`` values and their histogram.

    Example:
        >>> spread(np.array([0.1, 0.2, 0.9]), (0.2, 0.5)).counts
        (1, 1, 1)
    """
    values = np.asarray(values, dtype=np.float64)
    found = np.percentile(values, PERCENTILES).tolist() if len(values) else ()
    bins = np.searchsorted(edges, values, side="right")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    return Spread(
        dict(zip(PERCENTILES, found, strict=False)), tuple(edges), tuple(map(int, counts))
    )


def area_shares(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``(M,)``: the share of its image that each box covers.

    Args:
        boxes: ``(M, 4)`` xyxy, x1 y1 exclusive.
        sizes: ``(M, 2)`` (height, width) of each box's image.
    """
    sides = np.asarray(boxes, np.float64)[:, 2:] - boxes[:, :2]
    return sides.prod(axis=1) / np.asarray(sizes, np.float64).prod(axis=1)


def aspect_ratios(boxes: np.ndarray) -> np.ndarray:
    """``(M,)``: width / height of ``(M, 4)`` xyxy boxes, x1 y1 exclusive."""
    sides = np.asarray(boxes, np.float64)[:, 2:] - boxes[:, :2]
    return sides[:, 0] / sides[:, 1]


def images_by_class(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """``(K,)`` int64: how many images show each class.

    Args:
        labels: ``(N,)`` class indices, -1 where unknown; or ``(N, K)``, not 0 where present.
        num_classes: K.
    """
    if labels.ndim == 2:
        return np.count_nonzero(labels, axis=0)
    return np.bincount(labels[labels >= 0], minlength=num_classes)


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """How many images each of K classes has.

    Attributes:
        names: The K class names.
        images: ``(K,)`` int64.
    """

    names: Sequence[str]
    images: np.ndarray

    @property
    def missing(self) -> list[str]:
        """Classes without any image: a gap among the labels."""
        return [self.names[k] for k in np.flatnonzero(self.images == 0).tolist()]

    def rarest(self, count: int) -> list[tuple[str, int]]:
        """The classes that have the fewest images but some, with these; ties by label."""
        order = np.argsort(self.images, kind="stable")
        return self._named(order[self.images[order] > 0][:count])

    def most_frequent(self, count: int) -> list[tuple[str, int]]:
        """The classes that have the most images, with these; ties by label."""
        order = np.argsort(-self.images, kind="stable")
        return self._named(order[self.images[order] > 0][:count])

    def _named(self, labels: np.ndarray) -> list[tuple[str, int]]:
        return [(self.names[k], int(self.images[k])) for k in labels.tolist()]


def low_mid_high(values: np.ndarray) -> tuple[float, float, float]:
    """Smallest, median and largest value; NaN for none.

    Example:
        >>> low_mid_high(np.array([4, 1, 3]))
        (1.0, 3.0, 4.0)
    """
    if not len(values):
        return (np.nan,) * 3
    return float(np.min(values)), float(np.median(values)), float(np.max(values))


def draw_rows(total: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """``(n,)`` int64, rising: at most ``count`` of ``total`` rows at random, all where they fit."""
    if total <= count:
        return np.arange(total)
    return np.sort(rng.choice(total, count, replace=False, shuffle=False))


def spread_over_classes(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random rows, by turns of the classes, so that a few of them show many classes.

    Args:
        labels: ``(N,)`` class indices, or ``(N, K)``, not 0 where present.
        count: Of rows, at most.
        rng: The answer follows from its state.

    Returns:
        ``(n,)`` int64, each row once, rising; all rows where there are no more than ``count``. Rows
        of no class come last.
    """
    shuffled = rng.permutation(len(labels))
    rows, classes = np.arange(len(labels)), labels[shuffled]
    if labels.ndim == 2:
        rows, classes = np.nonzero(classes)
    classes = np.unique(classes, return_inverse=True)[1]
    by_class = np.argsort(classes, kind="stable")
    rows, classes = rows[by_class], classes[by_class]
    turns = np.arange(len(rows)) - np.searchsorted(classes, classes)
    places = rng.permutation(len(classes))[classes]
    by_turn = rows[np.lexsort((places, turns))]
    chosen = by_turn[np.sort(np.unique(by_turn, return_index=True)[1])]
    without_class = np.setdiff1d(np.arange(len(labels)), chosen)
    return np.sort(shuffled[np.concatenate([chosen, without_class])[:count]])
