"""Boxes from a localization map by a threshold, fixed or the map's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wsoltool.errors import ConfigError, check_choice
from wsoltool.functional.boxes import foreground, label_components, otsu_threshold
from wsoltool.models.contracts import BoxExtractor
from wsoltool.structures import BoxContext, Boxes

INSTANCES = ("largest", "all")


class ThresholdBoxes(BoxExtractor):
    """The tight boxes of the connected regions above a threshold.

    The box extraction of CAM (Zhou et al., CVPR 2016, section 3.1: 20 % of the maximum, the largest
    connected region). Regions are 8-connected; holes in them are ignored.

    Args:
        threshold: In [0, 1); the foreground is strictly above. The map's maximum is 1.
        instances: ``largest``, the region with the most pixels alone, or ``all``.
        min_area: Smallest region kept, as a share of the image's pixels, in [0, 1).

    Raises:
        ConfigError: A value outside its range.
    """

    def __init__(
        self, threshold: float = 0.2, instances: str = "largest", min_area: float = 0.0
    ) -> None:
        check_choice(f"ThresholdBoxes: unknown instances {instances!r}", instances, INSTANCES)
        self.threshold = _share("threshold", threshold)
        self.min_area = _share("min_area", min_area)
        self.instances = instances

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """Boxes of the map's regions; a region's score is the mean of the map inside it."""
        labels, boxes, areas = label_components(foreground(localization_map, self.threshold))
        kept = np.flatnonzero(areas >= self.min_area * labels.size)
        if self.instances == "largest":
            kept = kept[:1]
        sums = np.bincount(labels.ravel(), np.ravel(localization_map), len(areas) + 1)[1:]
        scores = (sums / areas)[kept]
        order = np.argsort(-scores, kind="stable")
        return Boxes(boxes[kept][order], scores[order].astype(np.float32))


class OtsuBoxes(BoxExtractor):
    """As :class:`ThresholdBoxes`, each map cut at a threshold of its own, by Otsu's method.

    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979: of the 256 grey levels the
    one that splits the map's values into two classes with the largest variance between them. It
    needs no boxes to be chosen, and looks at the map alone: what a method that chooses thresholds
    for each image should be compared with.

    Args:
        instances: As of ``ThresholdBoxes``.
        min_area: Likewise.

    Raises:
        ConfigError: A value outside its range.
    """

    def __init__(self, instances: str = "largest", min_area: float = 0.0) -> None:
        ThresholdBoxes(instances=instances, min_area=min_area)  # the same values are refused
        self.instances, self.min_area = instances, min_area

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """The regions' boxes, and in ``thresholds`` the map's threshold, the same for each."""
        threshold = otsu_threshold(localization_map)
        cut = ThresholdBoxes(threshold, self.instances, self.min_area)
        boxes = cut(localization_map, context)
        return replace(boxes, thresholds=np.full(len(boxes), threshold, np.float32))


def _share(name: str, value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ConfigError(
            f"ThresholdBoxes: {name} is {value!r}",
            expected="a number from 0 to below 1",
        )
    return float(value)
