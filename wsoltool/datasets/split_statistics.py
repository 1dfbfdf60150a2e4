"""What a split holds, in figures: as one record, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.statistics import (
    AREA_EDGES,
    RATIO_EDGES,
    ClassBalance,
    Spread,
    area_shares,
    aspect_ratios,
    images_by_class,
    low_mid_high,
    spread,
)
from wsoltool.datasets.survey import BoxSurvey, Survey
from wsoltool.structures import Size

Range = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class BoxStatistics:
    """Boxes of a split.

    Attributes:
        count: Boxes in the ``counted`` images.
        counted: Images whose boxes were counted; fewer than the split's where a sample was drawn.
        mean: Boxes an image.
        most: The most boxes of one image.
        images_without: Of the counted images.
        difficult: Of the counted boxes.
        measured: Images whose boxes were measured.
        areas: Of the boxes' shares of their image's area.
        ratios: Of width / height.
    """

    count: int
    counted: int
    mean: float
    most: int
    images_without: int
    difficult: int
    measured: int
    areas: Spread
    ratios: Spread


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """A split of N images with K classes.

    Attributes:
        loader: ``train``, ``val`` or ``test``.
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        images: N.
        multi_label: An image may have several classes, or none.
        labelled: Images that ``balance`` and labels an image are of.
        balance: Images of each class.
        labels_mean: Labels an image.
        labels_most: The most labels of one image.
        without_label: Images of the labelled ones that have none.
        sized: Images that ``widths`` and ``heights`` are of.
        widths: Smallest, median and largest, pixels.
        heights: Likewise.
        boxes: None where the split has none, or may not read them.
        masks: Share in [0, 1] of the images that have a mask of their objects.
        segments: Share of the images that have classes of pixels.
        inputs: Distinct sizes, ascending, that the pipeline made of the images it was tried on.
        tried: How many these were.
    """

    loader: str
    split: str
    images: int
    multi_label: bool
    labelled: int
    balance: ClassBalance
    labels_mean: float
    labels_most: int
    without_label: int
    sized: int
    widths: Range
    heights: Range
    boxes: BoxStatistics | None
    masks: float
    segments: float
    inputs: tuple[Size, ...]
    tried: int

    @property
    def boxes_withheld(self) -> bool:
        """Whether boxes may not be read here."""
        return self.split == "train-weaksup"


def split_statistics(
    loader: str, dataset: LocalizationDataset, found: Survey, inputs: list[Size]
) -> SplitStatistics:
    """The figures of what a survey found.

    Args:
        loader: ``train``, ``val`` or ``test``.
        dataset: That was surveyed.
        found: What it holds.
        inputs: (height, width) that the pipeline made of some images.
    """
    labels = found.labels
    several = labels != 0 if labels.ndim == 2 else labels[:, None] >= 0
    counts = np.count_nonzero(several, axis=1)
    return SplitStatistics(
        loader=loader,
        split=dataset.split,
        images=len(dataset),
        multi_label=dataset.multi_label,
        labelled=len(labels),
        balance=ClassBalance(dataset.classes, images_by_class(labels, len(dataset.classes))),
        labels_mean=float(counts.mean()),
        labels_most=int(counts.max()),
        without_label=int(np.count_nonzero(counts == 0)),
        sized=len(found.sizes),
        widths=low_mid_high(found.sizes[:, 1]),
        heights=low_mid_high(found.sizes[:, 0]),
        boxes=None if found.boxes is None else _box_statistics(found.boxes),
        masks=found.masks,
        segments=found.segments,
        inputs=tuple(sorted(set(inputs))),
        tried=len(inputs),
    )


def _box_statistics(found: BoxSurvey) -> BoxStatistics:
    counts = found.counts
    return BoxStatistics(
        count=int(counts.sum()),
        counted=found.counted,
        mean=float(counts.mean()) if len(counts) else 0.0,
        most=int(counts.max(initial=0)),
        images_without=int(np.count_nonzero(counts == 0)),
        difficult=found.difficult,
        measured=found.measured,
        areas=spread(area_shares(found.boxes, found.sizes), AREA_EDGES),
        ratios=spread(aspect_ratios(found.boxes), RATIO_EDGES),
    )


def plain_statistics(found: SplitStatistics) -> dict[str, Any]:
    """Plain data for JSON; counts are plain, shares are in percent, sizes in pixels.

    Keys: ``loader``, ``split``, ``images``, ``multi_label``; ``classes`` (``count``, ``sample``,
    ``min``, ``median``, ``max`` images a class, ``missing`` names of the classes without image,
    ``images`` name -> count); ``labels_per_image`` (``mean``, ``max``, ``images_without``);
    ``sizes`` (``sample``, ``width`` and ``height``, each [min, median, max]); ``boxes``
    (``sample``, ``count``, ``mean`` and ``max`` an image, ``images_without``, ``difficult``,
    ``measured_sample``, ``area`` and ``aspect_ratio``, each ``percentiles``, ``edges`` and
    ``counts``, one more than edges), null where there are none or, ``boxes_withheld`` true, none
    may be read; ``masks`` and ``segments`` (percent of the images, null where withheld);
    ``inputs`` (``tried`` images, ``sizes`` [height, width] that the pipeline made of them). Every
    ``sample`` is the number of images that were looked at, null where these were all.
    """
    balance, boxes = found.balance, found.boxes
    low, middle, high = low_mid_high(balance.images)
    return {
        "loader": found.loader,
        "split": found.split,
        "images": found.images,
        "multi_label": found.multi_label,
        "classes": {
            "count": len(balance.names),
            "sample": _sample(found.labelled, found),
            "min": int(low),
            "median": middle,
            "max": int(high),
            "missing": balance.missing,
            "images": dict(zip(balance.names, balance.images.tolist(), strict=True)),
        },
        "labels_per_image": {
            "mean": found.labels_mean,
            "max": found.labels_most,
            "images_without": found.without_label,
        },
        "sizes": {
            "sample": _sample(found.sized, found),
            "width": _numbers(found.widths),
            "height": _numbers(found.heights),
        },
        "boxes_withheld": found.boxes_withheld,
        "boxes": None if boxes is None else _plain_boxes(boxes, found),
        "masks": None if found.boxes_withheld else 100 * found.masks,
        "segments": None if found.boxes_withheld else 100 * found.segments,
        "inputs": {"tried": found.tried, "sizes": [list(size) for size in found.inputs]},
    }


def _plain_boxes(boxes: BoxStatistics, found: SplitStatistics) -> dict[str, Any]:
    return {
        "sample": _sample(boxes.counted, found),
        "count": boxes.count,
        "mean": boxes.mean,
        "max": boxes.most,
        "images_without": boxes.images_without,
        "difficult": boxes.difficult,
        "measured_sample": _sample(boxes.measured, found),
        "area": _plain_spread(boxes.areas, 100),
        "aspect_ratio": _plain_spread(boxes.ratios, 1),
    }


def _plain_spread(values: Spread, factor: float) -> dict[str, Any]:
    return {
        "percentiles": {str(p): factor * value for p, value in values.percentiles.items()},
        "edges": [factor * edge for edge in values.edges],
        "counts": list(values.counts),
    }


def _sample(looked_at: int, found: SplitStatistics) -> int | None:
    return None if looked_at == found.images else looked_at


def _numbers(values: Range) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values]
