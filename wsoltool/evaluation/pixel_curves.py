"""Pixels pooled over images and over resamples of them, at every threshold, and their figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wsoltool.evaluation.estimates import Estimate
from wsoltool.evaluation.pixel_counts import PixelCounts
from wsoltool.functional.bootstrap import BLOCK, Bootstrap
from wsoltool.functional.pixels import (
    background_iou,
    false_share,
    object_iou,
    pixel_average_precision,
)

PIOU, MIOU, MIOU_BACKGROUND = "PIoU", "mIoU", "mIoU (with background)"
MLEV = "mLEV"
IMAGES = 1000
"""Images whose pixels are cumulated at once; bounds the memory at some 40 MB."""


class PixelCurves:
    """The figures of one answer at each of T thresholds, for the images and for each resample.

    Args:
        counts: Of N images.
        labels: ``(N,)`` their classes.
        draws: Resamples of the images, or None.
    """

    def __init__(
        self, counts: PixelCounts, labels: np.ndarray, draws: Bootstrap | None = None
    ) -> None:
        self.counts, self.draws = counts, draws
        itself = np.ones((1, len(counts)), dtype=np.uint16)
        self.pooled = _Pooled(counts, labels, itself)
        self.resampled = None if draws is None else _Pooled(counts, labels, draws.counts)

    def average_precision(self) -> Estimate:
        """PxAP."""
        resampled = None if self.resampled is None else self.resampled.average_precision()
        return Estimate(float(self.pooled.average_precision()[0]), (), resampled)

    def estimates(self, reference: PixelCurves) -> dict[str, Estimate]:
        """Figures at thresholds chosen on ``reference``, by each resample anew if that is self."""
        figures = {name: self._best(name, reference) for name in (PIOU, MIOU, MIOU_BACKGROUND)}
        figures[MLEV] = self.mean_at(reference, lambda at: false_share(self.counts.at(at))[:, 0])
        return figures

    def mean_at(self, reference: PixelCurves, values: Callable[[int], np.ndarray]) -> Estimate:
        """The mean of ``values(column)`` ``(N,)`` at the threshold of mIoU."""
        column = reference.choice(MIOU)
        resampled = None
        if self.draws is not None and self.resampled is not None:
            if reference is self:
                columns = self.resampled.curves[MIOU].argmax(axis=1)
                resampled = self.draws.means_at(values, columns)
            else:
                resampled = self.draws.means(values(column))
            resampled = 100.0 * resampled
        value = 100.0 * float(np.mean(values(column), dtype=np.float64))
        return Estimate(value, self._threshold(column), resampled)

    def choice(self, name: str) -> int:
        """The column of the best threshold, of several the lowest."""
        return int(self.pooled.curves[name][0].argmax())

    def _best(self, name: str, reference: PixelCurves) -> Estimate:
        column = reference.choice(name)
        resampled = None
        if self.resampled is not None:
            curves = self.resampled.curves[name]
            resampled = 100.0 * (curves.max(axis=1) if reference is self else curves[:, column])
        value = 100.0 * float(self.pooled.curves[name][0, column])
        return Estimate(value, self._threshold(column), resampled)

    def _threshold(self, column: int) -> tuple[float, ...]:
        return (float(self.counts.thresholds[column]),)


class _Pooled:
    """Pixels pooled over each of R weighted sets of the same images, and their figures.

    Args:
        counts: Of N images.
        labels: ``(N,)`` their classes.
        weights: ``(R, N)``, how often a set holds an image.

    Attributes:
        found: ``(R, 2, T + 1)`` float64, pixels of the object and the background at or above each
            threshold and 1.
        totals: ``(R, 2)`` float64, all pixels of the object and the background.
        curves: Metric -> ``(R, T)`` float64.
    """

    def __init__(self, counts: PixelCounts, labels: np.ndarray, weights: np.ndarray) -> None:
        columns = len(counts.thresholds)
        self.found = np.zeros((len(weights), 2, columns + 1))
        self.totals = np.zeros((len(weights), 2))
        class_sums, classes = np.zeros((len(weights), columns)), np.zeros((len(weights), 1))
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        for start in range(0, len(weights), BLOCK):
            block = slice(start, start + BLOCK)
            for rows in members:
                found, totals = _pool(counts, rows, weights[block, rows])
                self.found[block] += found
                self.totals[block] += totals
                class_sums[block] += object_iou(found[..., :-1], totals)
                classes[block] += weights[block, rows].any(axis=1, keepdims=True)
        swept = self.found[..., :-1]
        background = background_iou(swept, self.totals)
        self.curves = {
            PIOU: object_iou(swept, self.totals),
            MIOU: class_sums / classes,
            MIOU_BACKGROUND: (class_sums + background) / (classes + 1),
        }

    def average_precision(self) -> np.ndarray:
        """``(R,)`` percent."""
        pairs = zip(self.found, self.totals[:, 0], strict=True)
        return np.array([pixel_average_precision(found, objects) for found, objects in pairs])


def _pool(
    counts: PixelCounts, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the pixels of the n images at ``rows`` with ``(R, n)`` weights.

    Returns:
        ``(R, 2, T + 1)`` and ``(R, 2)`` float64; sums of whole numbers below 2**53, exact in
        whatever order.
    """
    often = weights.astype(np.float64)
    found = np.zeros((len(often), 2 * (len(counts.thresholds) + 1)))
    totals = np.zeros((len(often), 2))
    for start in range(0, len(rows), IMAGES):
        part = slice(start, start + IMAGES)
        own_found, own_totals = counts.found(rows[part])
        found += often[:, part] @ own_found.reshape(len(own_found), -1)
        totals += often[:, part] @ own_totals
    return found.reshape(len(often), 2, -1), totals
