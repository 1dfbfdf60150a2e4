"""The choice of a threshold by the contrast of similarity maps, section 5.4.3.

B images, T thresholds, C channels, h x w the grid of map and features. Boxes here are xyxy in
cells of that grid, x1 y1 exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional.boxes import foreground, label_components

#: Contrasts this close count as equal: what differs in the last digits is rounding.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class TwoStage:
    """What the second stage chose for each image.

    Attributes:
        thresholds: ``(B,)`` float64; NaN where no threshold has enough seeds.
        boxes: ``(B, 4)`` int64; zeros there.
        regions: ``(B, h, w)`` bool, the component inside the box; False there.
        contrasts: ``(B, T)`` float64, of every threshold; NaN where it has too few seeds.
    """

    thresholds: np.ndarray
    boxes: np.ndarray
    regions: np.ndarray
    contrasts: np.ndarray


def threshold_grid(step: float) -> np.ndarray:
    """``(T,)`` float64: the multiples of ``step`` from 0 to below 1, as they would be typed.

    Example:
        >>> threshold_grid(0.3).tolist()
        [0.0, 0.3, 0.6, 0.9]
    """
    return np.round(np.arange(ceil(1 / step - 1e-9)) * step, 12)


def largest_regions(maps: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest 8-connected component above each threshold, and its box.

    Components of one size are ordered as by
    :func:`~wsoltool.functional.boxes.label_components`.

    Args:
        maps: ``(B, h, w)`` float, B, h and w of 1 or more.
        thresholds: ``(T,)``; the foreground is strictly above.

    Returns:
        ``(B, T, h, w)`` bool and ``(B, T, 4)`` int64; False and zeros where nothing is above.

    Example:
        >>> regions, boxes = largest_regions(np.array([[[0.0, 0.9, 0.2]]]), np.array([0.1, 0.9]))
        >>> boxes.tolist()
        [[[1, 0, 3, 1], [0, 0, 0, 0]]]
    """
    images, height, width = maps.shape
    count = images * len(thresholds)
    # All masks below each other, an empty row between them: labelled at once, none touches another.
    column = np.zeros((count, height + 1, width), dtype=bool)
    masks = np.stack([foreground(maps, threshold) for threshold in thresholds], axis=1)
    column[:, :height] = masks.reshape(count, height, width)
    labels, boxes, _ = label_components(column.reshape(-1, width))
    # Largest come first, so that the first of a mask is its largest.
    owners, first = np.unique(boxes[:, 1].astype(np.int64) // (height + 1), return_index=True)
    winners = np.full(count, -1)
    winners[owners] = first + 1
    own_boxes = np.zeros((count, 4), dtype=np.int64)
    own_boxes[owners] = boxes[first]
    own_boxes[owners, 1::2] -= owners[:, None] * (height + 1)
    regions = labels.reshape(column.shape)[:, :height] == winners[:, None, None]
    return regions.reshape(masks.shape), own_boxes.reshape(*masks.shape[:2], 4)


def border_seeds(regions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The cells of each region that touch a side of its box: those that determine the box.

    Args:
        regions: ``(..., h, w)`` bool.
        boxes: ``(..., 4)`` int64, of the same regions.

    Returns:
        ``(..., h, w)`` bool.

    Example:
        >>> cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
        >>> border_seeds(cross, np.array([[0, 0, 3, 3]])).astype(int).tolist()
        [[[0, 1, 0], [1, 0, 1], [0, 1, 0]]]
    """
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)[..., None, None]
    rows, columns = np.ogrid[: regions.shape[-2], : regions.shape[-1]]
    touching = (rows == y0) | (rows == y1 - 1) | (columns == x0) | (columns == x1 - 1)
    return regions & touching


def mean_similarity(features: Tensor, seeds: Tensor) -> Tensor:
    r"""How much every position resembles the seeds.

    Eq. (22), averaged over the seeds. The mean of cosines is the product with the mean unit seed,
    so that the number of seeds costs nothing:

    .. math::
        \frac{1}{n} \sum_A \frac{A \cdot P_{ij}}{\lVert A \rVert \lVert P_{ij} \rVert} =
        \Bigl(\frac{1}{n} \sum_A \frac{A}{\lVert A \rVert}\Bigr) \cdot
        \frac{P_{ij}}{\lVert P_{ij} \rVert}

    Args:
        features: ``(B, C, h, w)`` float, the P. A zero vector resembles nothing: similarity 0.
        seeds: ``(B, T, h, w)`` bool, the positions of the A for each of T maps.

    Returns:
        ``(B, T, h, w)`` float64 in [-1, 1]; 0 where there is no seed.

    Raises:
        ShapeError: The arguments disagree on B, h or w.

    Example:
        >>> features = torch.tensor([[3.0, 0.0, 1.0], [4.0, 2.0, 0.0]]).view(1, 2, 1, 3)
        >>> seeds = torch.tensor([False, True, True]).view(1, 1, 1, 3)
        >>> mean_similarity(features, seeds)
        tensor([[[[0.7000, 0.5000, 0.5000]]]], dtype=torch.float64)
    """
    if features.ndim != 4 or seeds.ndim != 4 or seeds[:, :1].shape != features[:, :1].shape:
        raise ShapeError(
            f"features {tuple(features.shape)} and seeds {tuple(seeds.shape)} disagree",
            expected="(B, C, h, w) and (B, T, h, w)",
        )
    # Rounding must not tell thresholds of the same seeds apart: float64.
    values = features.double().flatten(2)  # (B, C, N)
    norms = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    scales = torch.where(norms == 0, 0.0, 1 / norms)
    chosen = seeds.double().flatten(2)  # (B, T, N)
    shares = chosen / chosen.sum(dim=2, keepdim=True).clamp(min=1)
    means = (shares * scales) @ values.transpose(1, 2)  # (B, T, C), the mean unit seeds
    return (means @ values * scales).view(seeds.shape)


def two_stage(
    maps: np.ndarray, features: Tensor, thresholds: np.ndarray, min_seeds: int = 4
) -> TwoStage:
    """Choose each image's threshold: that of the least contrast.

    For every threshold the largest component, its box, and the seeds that determine it; the
    contrast is the variance over the grid of :func:`mean_similarity` to them. The border of an
    object resembles object and background alike, so the best box has the least contrast. The
    lowest of equally good thresholds is taken.

    Args:
        maps: ``(B, h, w)`` float in [0, 1], class activation maps on the features' grid.
        features: ``(B, C, h, w)`` float, on any device.
        thresholds: ``(T,)`` float64, ascending, in [0, 1).
        min_seeds: A threshold with fewer seeds is skipped.

    Raises:
        ShapeError: ``maps`` and ``features`` disagree on B, h or w.
        EvaluationError: A feature is NaN or infinite.
    """
    if features.ndim != 4 or maps.shape != (len(features), *features.shape[2:]):
        raise ShapeError(
            f"maps {maps.shape} and features {tuple(features.shape)} disagree",
            expected="(B, h, w) and (B, C, h, w)",
        )
    regions, boxes = largest_regions(maps, thresholds)
    seeds = border_seeds(regions, boxes)
    similarity = mean_similarity(features, torch.from_numpy(seeds).to(features.device))
    contrasts = similarity.flatten(2).var(dim=2, correction=0).cpu().numpy()
    if not np.isfinite(contrasts).all():
        raise EvaluationError(
            "a feature holds NaN or infinity",
            expected="finite values",
            hint="the weights may have diverged: look at the training loss",
        )
    skipped = seeds.sum(axis=(2, 3)) < min_seeds
    return _choose(thresholds, boxes, regions, np.where(skipped, np.nan, contrasts))


def _choose(
    thresholds: np.ndarray, boxes: np.ndarray, regions: np.ndarray, contrasts: np.ndarray
) -> TwoStage:
    """The lowest threshold of the least contrast of each image, if it has one."""
    ranked = np.where(np.isnan(contrasts), np.inf, contrasts)
    least = ranked.min(axis=1)
    found = np.isfinite(least)
    chosen = (ranked <= least[:, None] + ROUNDING).argmax(axis=1)
    images = np.arange(len(chosen))
    return TwoStage(
        thresholds=np.where(found, thresholds[chosen], np.nan),
        boxes=boxes[images, chosen] * found[:, None],
        regions=regions[images, chosen] & found[:, None, None],
        contrasts=contrasts,
    )
