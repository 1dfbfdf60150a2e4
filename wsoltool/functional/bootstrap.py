"""Bootstrap over images: how far a figure would move on another draw of the same test set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from wsoltool.errors import EvaluationError

BLOCK = 100
"""Resamples handled at once; bounds the memory at a few arrays of ``(BLOCK, T)``."""


class Bootstrap:
    """Resamples of N images with replacement, the same ones for every figure.

    Args:
        images: N, at least 1.
        resamples: R, at least 1.
        seed: Fixes the resamples.

    Attributes:
        counts: ``(R, N)`` uint16: how often a resample holds an image.
    """

    def __init__(self, images: int, resamples: int = 1000, seed: int = 0) -> None:
        if images < 1 or resamples < 1:
            raise EvaluationError(
                f"bootstrap of {images} images with {resamples} resamples",
                expected="at least one of each",
            )
        random = np.random.default_rng(seed)
        self.counts = np.empty((resamples, images), dtype=np.uint16)
        for row in self.counts:
            row[:] = np.bincount(random.integers(0, images, images), minlength=images)

    def means(self, values: np.ndarray) -> np.ndarray:
        """``(N,)`` values to their ``(R,)`` float64 means."""
        values = np.asarray(values, dtype=np.float64)
        blocks = [counts.astype(np.float64) @ values for counts in self._blocks()]
        return np.concatenate(blocks) / len(values)

    def best(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choose the column with the highest mean anew in every resample.

        Args:
            values: ``(N, T)`` bool or float; summed in float32, exactly so for bool.

        Returns:
            ``(R,)`` float64, the mean of the best column, and ``(R,)`` its index, the first of
            several equal ones.
        """
        # Runs of equal columns are counted once: thresholds between two grey levels change nothing.
        changed = np.any(values[:, 1:] != values[:, :-1], axis=0)
        columns = np.concatenate([[0], np.flatnonzero(changed) + 1])
        distinct = values[:, columns].astype(np.float32)
        sums = [counts.astype(np.float32) @ distinct for counts in self._blocks()]
        best = np.concatenate([block.max(axis=1) for block in sums]).astype(np.float64)
        chosen = np.concatenate([block.argmax(axis=1) for block in sums])
        return best / len(values), columns[chosen]

    def means_at(self, values: Callable[[int], np.ndarray], columns: np.ndarray) -> np.ndarray:
        """``(R,)`` means of ``values(column)`` ``(N,)``, each resample at its own column."""
        means = np.empty(len(columns))
        for column in np.unique(columns):
            rows = columns == column
            at_column = np.asarray(values(int(column)), dtype=np.float64)
            means[rows] = self.counts[rows].astype(np.float64) @ at_column / len(at_column)
        return means

    def _blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.counts), BLOCK):
            yield self.counts[start : start + BLOCK]


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval that holds ``level`` of the resampled figures.

    Example:
        >>> interval(np.arange(101.0), level=0.9)
        (5.0, 95.0)
    """
    tail = (100 - 100 * level) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)
