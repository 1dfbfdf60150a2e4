"""How the thresholds that a box extractor chooses for each image are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

EDGES = tuple(step / 20 for step in range(21))


@dataclass(frozen=True, slots=True)
class ChosenThresholds:
    """Thresholds of the surest boxes of N images.

    Attributes:
        counts: Images with a threshold in [0, .05), [.05, .1), ... [.95, 1]: twenty.
        none: Images without a box, and so without a threshold.
        mean: Of the images with a box; None where there is none.
        median: Likewise.
    """

    counts: tuple[int, ...]
    none: int
    mean: float | None
    median: float | None

    @property
    def images(self) -> int:
        """N, with and without a box."""
        return sum(self.counts) + self.none

    @property
    def percents(self) -> tuple[float, ...]:
        """The share of all N images in each bin, in percent."""
        return tuple(100.0 * count / self.images for count in self.counts)


def chosen_thresholds(thresholds: np.ndarray) -> ChosenThresholds:
    """Count ``(N,)`` float32 thresholds in [0, 1]; NaN where there is no box.

    A threshold of .35 is in the bin from .35, in float32 too.

    Example:
        >>> chosen_thresholds(np.array([0.35, 0.36, 1, np.nan], np.float32)).counts[7]
        2
    """
    found = thresholds[~np.isnan(thresholds)]
    edges = np.array(EDGES, dtype=thresholds.dtype)
    bins = np.minimum(np.searchsorted(edges, found, side="right") - 1, len(EDGES) - 2)
    counts = tuple(np.bincount(bins, minlength=len(EDGES) - 1).tolist())
    none = len(thresholds) - len(found)
    if not len(found):
        return ChosenThresholds(counts, none, None, None)
    exact = found.astype(np.float64)
    return ChosenThresholds(counts, none, float(exact.mean()), float(np.median(exact)))


def chosen_lines(chosen: ChosenThresholds) -> list[str]:
    """What stands below a table: a heading, and a line of whole percents; a point is no image."""
    middle = ""
    if chosen.mean is not None and chosen.median is not None:
        middle = f"mean {chosen.mean:.2f}, median {chosen.median:.2f}, "
    bins = zip(chosen.counts, chosen.percents, strict=True)
    return [
        f"Chosen thresholds, percent of images by steps of .05 ({middle}no box in {chosen.none} of "
        f"{chosen.images}):",
        " ".join(["", *(f"{percent:3.0f}" if count else "  ." for count, percent in bins)]),
    ]


def chosen_entry(chosen: ChosenThresholds) -> dict[str, Any]:
    """Plain data for JSON, see :func:`wsoltool.evaluation.table.report`."""
    return {
        "edges": list(EDGES),
        "counts": list(chosen.counts),
        "none": chosen.none,
        "mean": chosen.mean,
        "median": chosen.median,
    }
