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
        self.threshold = _share("ThresholdBoxes: threshold", threshold)
        self.instances = _instances("ThresholdBoxes", instances)
        self.min_area = _share("ThresholdBoxes: min_area", min_area)

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """Boxes of the map's regions; a region's score is the mean of the map inside it."""
        return _boxes_above(localization_map, self.threshold, self.instances, self.min_area)


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
        self.instances = _instances("OtsuBoxes", instances)
        self.min_area = _share("OtsuBoxes: min_area", min_area)

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """The regions' boxes, and in ``thresholds`` the map's threshold, the same for each."""
        threshold = otsu_threshold(localization_map)
        boxes = _boxes_above(localization_map, threshold, self.instances, self.min_area)
        return replace(boxes, thresholds=np.full(len(boxes), threshold, np.float32))


def _boxes_above(
    localization_map: np.ndarray, threshold: float, instances: str, min_area: float
) -> Boxes:
    """Surest first; the score is the mean of the map inside the region."""
    labels, boxes, areas = label_components(foreground(localization_map, threshold))
    kept = np.flatnonzero(areas >= min_area * labels.size)
    if instances == "largest":
        kept = kept[:1]
    sums = np.bincount(labels.ravel(), np.ravel(localization_map), len(areas) + 1)[1:]
    scores = (sums / areas)[kept]
    order = np.argsort(-scores, kind="stable")
    return Boxes(boxes[kept][order], scores[order].astype(np.float32))


def _instances(component: str, value: str) -> str:
    check_choice(f"{component}: unknown instances {value!r}", value, INSTANCES)
    return value


def _share(name: str, value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ConfigError(f"{name} is {value!r}", expected="a number from 0 to below 1")
    return float(value)
