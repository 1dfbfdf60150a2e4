"""Ratios of sums by group (CorLoc, IoU of pooled pixels), of all images and of resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 2_000_000
"""Entries times resamples handled at once; bounds the memory at some 30 MB."""


@dataclass(frozen=True, slots=True)
class Fractions:
    """P parts of ratios, each from one image and for one of G groups.

    A group's ratio is the sum of its numerators over that of its denominators.

    Attributes:
        images: ``(P,)`` int64, the index of each part's image.
        groups: ``(P,)`` int64 in [0, G).
        numerators: ``(P,)``.
        denominators: ``(P,)``, not negative.
        count: G.

    Example:
        >>> parts = Fractions(np.array([0, 1]), np.array([0, 0]), np.ones(2), np.array([2, 6]), 2)
        >>> parts.ratios().tolist()  # (1 + 1) / (2 + 6); nothing in group 1
        [0.25, nan]
    """

    images: np.ndarray
    groups: np.ndarray
    numerators: np.ndarray
    denominators: np.ndarray
    count: int

    @classmethod
    def shares(
        cls, images: np.ndarray, groups: np.ndarray, values: np.ndarray, count: int
    ) -> Fractions:
        """Ratios that are means of ``values`` ``(P,)``."""
        return cls(images, groups, values, np.ones(len(values)), count)

    def pooled(self) -> Fractions:
        """All parts in one group."""
        zeros = np.zeros_like(self.groups)
        return Fractions(self.images, zeros, self.numerators, self.denominators, 1)

    def ratios(self) -> np.ndarray:
        """``(G,)`` float64, NaN where the denominators sum to 0."""
        return _divide(
            np.bincount(self.groups, self.numerators, self.count),
            np.bincount(self.groups, self.denominators, self.count),
        )

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """``(R, G)`` float64: the ratios of every resample.

        Args:
            counts: ``(R, N)`` int, how often a resample holds each of N images.
        """
        order = np.argsort(self.groups, kind="stable")
        bounds = np.searchsorted(self.groups[order], np.arange(self.count + 1))
        parts = np.stack([self.numerators, self.denominators], axis=1).astype(np.float64)
        result = np.empty((len(counts), self.count))
        for group in range(self.count):
            own = order[bounds[group] : bounds[group + 1]]
            step = max(1, BLOCK // max(len(own), 1))
            for start in range(0, len(counts), step):
                rows = slice(start, start + step)
                weights = np.take(counts[rows], self.images[own], axis=1)
                sums = weights.astype(np.float64) @ parts[own]  # (rows, 2)
                result[rows, group] = _divide(sums[:, 0], sums[:, 1])
        return result


def defined_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is.

    Example:
        >>> defined_mean(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])).tolist()
        [2.0, nan]
    """
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    undefined = np.full(np.shape(denominators), np.nan)
    return np.divide(numerators, denominators, out=undefined, where=denominators > 0)
