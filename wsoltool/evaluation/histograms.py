"""How the overlap of each image's one box is spread, which a single accuracy hides."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wsoltool.evaluation.estimates import HIT
from wsoltool.evaluation.results import BoxCurves
from wsoltool.functional.sweep import reaches

EDGES = tuple(step / 10 for step in range(11))


@dataclass(frozen=True, slots=True)
class Histogram:
    """IoU of the one box of N images, at the threshold of GT-known Loc.

    Attributes:
        protocol: What the IoU follows.
        source: Where the threshold comes from.
        subset: ``all`` or ``small``.
        counts: Images in [0, .1), [.1, .2), ... [.9, 1]: ten.
        mean_iou: In percent. (The table's mean IoU may have another threshold, its own best.)
    """

    protocol: str
    source: str
    subset: str
    counts: tuple[int, ...]
    mean_iou: float

    @property
    def percents(self) -> tuple[float, ...]:
        """The share of images in each bin, in percent."""
        return tuple(100.0 * count / sum(self.counts) for count in self.counts)

    @property
    def box_recall(self) -> dict[float, float]:
        """Percent of images whose box reaches IoU .1, .2, ... .9; at .5 that is GT-known Loc."""
        reached = np.cumsum(self.counts[::-1])[::-1]
        shares = 100.0 * reached / reached[0]
        return {edge: float(share) for edge, share in zip(EDGES[1:-1], shares[1:], strict=True)}


def one_box_iou(curves: BoxCurves, reference: BoxCurves | None) -> np.ndarray:
    """``(N,)`` float32: the best IoU of each image's one box.

    Args:
        curves: Of the N images.
        reference: What GT-known Loc's threshold is chosen on; None for the fixed box, which
            ``curves`` must have.
    """
    if reference is None:
        assert curves.fixed is not None
        return curves.fixed
    accuracy = reaches(reference.largest, HIT).mean(axis=0, dtype=np.float64)
    return curves.largest[:, int(accuracy.argmax())]


def histogram(protocol: str, source: str, subset: str, best_iou: np.ndarray) -> Histogram:
    """Count ``(N,)`` best IoU; an IoU of exactly .7 is in the bin from .7."""
    reached = [np.count_nonzero(reaches(best_iou, edge)) for edge in EDGES[:-1]] + [0]
    counts = tuple(int(more - fewer) for more, fewer in pairwise(reached))
    mean = 100.0 * float(best_iou.mean(dtype=np.float64))
    return Histogram(protocol, source, subset, counts, mean)
