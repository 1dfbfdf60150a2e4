"""Bootstrap over images: how far a figure would move on another draw of the same test set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from wsoltool.errors import EvaluationError

BLOCK, IMAGES = 100, 4096
"""Resamples and images handled at once, which bounds the memory."""


class Bootstrap:
    """Resamples of N images with replacement, the same ones for every figure.

    Args:
        images: N, at least 1.
        resamples: R, at least 1.
        seed: Fixes the resamples.

    Attributes:
        counts: ``(R, N)`` uint8: how often a resample holds an image. (More often than 255 times
            is less likely than 1 in 10**500.)
    """

    def __init__(self, images: int, resamples: int = 1000, seed: int = 0) -> None:
        if images < 1 or resamples < 1:
            raise EvaluationError(
                f"bootstrap of {images} images with {resamples} resamples",
                expected="at least one of each",
            )
        random = np.random.default_rng(seed)
        self.counts = np.empty((resamples, images), dtype=np.uint8)
        for row in self.counts:
            row[:] = np.bincount(random.integers(0, images, images), minlength=images)

    def means(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` values to their ``(R,)`` float64 means."""
        return self.means_at(lambda _: values, np.zeros(len(self.counts), dtype=np.int64))

    def best(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose the column with the highest mean anew in every resample.

        Args:
            values: ``(N, T)`` bool or numbers; 4096 images at a time are summed in float32, which
                is exact for whole numbers to 16.

        Returns:
            ``(R,)`` float64, the mean of the best column, and ``(R,)`` its index, the first of
            several equal ones.
        """
        columns = _distinct_columns(values)
        sums = np.zeros((len(self.counts), len(columns)))
        for images in _blocks(len(values), IMAGES):
            block = values[images][:, columns].astype(np.float32)
            for rows in _blocks(len(sums), BLOCK):
                sums[rows] += self.counts[rows, images].astype(np.float32) @ block
        return sums.max(axis=1) / len(values), columns[sums.argmax(axis=1)]

    def means_at(self, values: Callable[[int], np.ndarray], columns: np.ndarray) -> np.ndarray:
        """``(R,)`` means of ``values(column)`` ``(N,)``, each resample at its own column."""
        means = np.empty(len(columns))
        for column in np.unique(columns):
            at_column = np.asarray(values(int(column)), dtype=np.float64)
            chosen = np.flatnonzero(columns == column)
            for rows in _blocks(len(chosen), BLOCK):
                often = self.counts[chosen[rows]].astype(np.float64)
                means[chosen[rows]] = often @ at_column / len(at_column)
        return means


def _distinct_columns(values: np.ndarray) -> np.ndarray:
    """The first of each run of equal columns: thresholds between two grey levels change nothing."""
    changed = np.zeros(values.shape[1] - 1, dtype=bool)
    for images in _blocks(len(values), IMAGES):
        changed |= np.any(values[images, 1:] != values[images, :-1], axis=0)
    return np.concatenate([[0], np.flatnonzero(changed) + 1])


def _blocks(length: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, length, size))


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval that holds ``level`` of the resampled figures.

    Example:
        >>> interval(np.arange(101.0), level=0.9)
        (5.0, 95.0)
    """
    tail = (100 - 100 * level) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)
