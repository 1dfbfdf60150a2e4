"""Two-stage localization as a box extractor, section 5.4.3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wsoltool.errors import ConfigError, check_choice, check_number, is_whole
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.contracts import BoxExtractor
from wsoltool.structures import BoxContext, Boxes, Region
from wsoltool_plugins.revisited_cam.contrast import TwoStage, threshold_grid, two_stage

CUTS = ("cells", "pixels")


class TwoStageBoxes(BoxExtractor):
    """One box, cut at the threshold that suits the image best; works with the maps of any method.

    First stage: the map, on the grid of a feature, is cut at every threshold, and the largest
    8-connected region of each gives a box. Second stage: the cells of a region that touch a side of
    its box are seeds, and their mean cosine similarity with every position (Eq. 22) is a map; the
    threshold whose similarity map has the least variance is chosen
    (:func:`~wsoltool_plugins.revisited_cam.contrast.two_stage`). ``Boxes.thresholds`` says which.

    An image whose map has fewer than ``min_seeds`` seeds at every threshold gets no box: a map of
    zeros for example, which min-max normalisation makes of a constant one.

    Args:
        step: Thresholds are its multiples from 0 to below 1.
        min_seeds: The least number of seeds: by the thesis, four points determine a box.
        feature: The backbone's feature that is compared, by any of its names.
        cut: ``cells``, the box of the region on the grid, or ``pixels``, the box that
            ``ThresholdBoxes`` cuts from the map at image size with the chosen threshold, which is
            finer than the grid (our addition).

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        step: float = 0.05,
        min_seeds: int = 4,
        feature: str = "last",
        cut: str = "cells",
    ) -> None:
        check_number("TwoStageBoxes: step", step, lowest=0.001, highest=1)
        if not is_whole(min_seeds, lowest=1):
            raise ConfigError(
                f"TwoStageBoxes: min_seeds={min_seeds!r}", expected="a whole number, at least 1"
            )
        if not isinstance(feature, str):
            raise ConfigError(f"TwoStageBoxes: feature={feature!r}", expected="a feature's name")
        check_choice(f"TwoStageBoxes: unknown cut {cut!r}", cut, CUTS)
        self.thresholds = threshold_grid(step)
        self.min_seeds, self.feature, self.cut = min_seeds, feature, cut
        self.features = (feature,)

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """The chosen threshold's box; its score is the mean of the map inside the region."""
        features = context.features[self.feature]
        height, width = features.shape[1:]
        grid = context.fused((height, width))
        chosen = two_stage(grid[None], features[None], self.thresholds, self.min_seeds)
        threshold = float(chosen.thresholds[0])
        if np.isnan(threshold):
            boxes = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        elif self.cut == "pixels":
            boxes = ThresholdBoxes(threshold)(localization_map, context)
        else:
            boxes = _box_of_cells(chosen, grid, context.region)
        return replace(boxes, thresholds=np.full(len(boxes), threshold, np.float32))


def _box_of_cells(chosen: TwoStage, grid: np.ndarray, region: Region) -> Boxes:
    (height, width), (x0, y0, x1, y1) = grid.shape, region
    # Both ends of the grid land on the region's own, to the bit.
    shares = chosen.boxes / np.array([width, height, width, height], dtype=np.float64)
    low, high = np.array([x0, y0, x0, y0]), np.array([x1, y1, x1, y1])
    xyxy = low * (1 - shares) + high * shares
    score = grid[chosen.regions[0]].mean(dtype=np.float64)
    return Boxes(xyxy.astype(np.float32), np.array([score], np.float32))
