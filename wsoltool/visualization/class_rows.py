"""Several classes of one image as rows of pictures below each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wsoltool.visualization.branches import draw_branches
from wsoltool.visualization.lettering import titled
from wsoltool.visualization.overlay import (
    PART_COLOR,
    PREDICTED_COLOR,
    TRUTH_COLOR,
    blend_map,
    draw_boxes,
    side_by_side,
)

GAP = 4  # pixels


@dataclass(slots=True)
class ClassRow:
    """What was found of one class; boxes are xyxy, pixels of the original, exclusive.

    Attributes:
        title: Written on the map.
        localization_map: ``(H, W)`` in [0, 1].
        predicted: ``(N, 4)`` boxes.
        truth: ``(M, 4)`` boxes, may be empty.
        branches: Name -> map ``(H, W)`` in [0, 1] that the localization map is made of.
    """

    title: str
    localization_map: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    branches: Mapping[str, np.ndarray] = field(default_factory=dict)


def draw_rows(
    image: np.ndarray,
    factor: float,
    rows: Sequence[ClassRow],
    parts: np.ndarray,
    beside: Iterable[np.ndarray] = (),
) -> np.ndarray:
    """The image, then map, boxes and branches of each class; the image is in the first row alone.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, already enlarged by ``factor``.
        factor: Of the enlargement.
        rows: At least one.
        parts: ``(P, 4)`` boxes of object parts; they have no class, and stand in every row.
        beside: Pictures of the image's size that stand at the end of the first row.
    """
    first, *others = (_pictures(image, factor, row, parts) for row in rows)
    nothing = np.full_like(image, 255)
    lines = [side_by_side([image, *first, *beside])]
    lines += [side_by_side([nothing, *pictures]) for pictures in others]
    stacked: list[np.ndarray] = []
    width = max(line.shape[1] for line in lines)
    for line in lines:
        right = width - line.shape[1]
        wide = np.pad(line, ((0, 0), (0, right), (0, 0)), constant_values=255)
        stacked += [np.full((GAP, *wide.shape[1:]), 255, np.uint8), wide] if stacked else [wide]
    return np.vstack(stacked)


def _pictures(
    image: np.ndarray, factor: float, row: ClassRow, parts: np.ndarray
) -> list[np.ndarray]:
    overlay = titled(blend_map(image, row.localization_map), row.title)
    boxes = draw_boxes(image, parts, PART_COLOR, factor)
    boxes = draw_boxes(boxes, row.truth, TRUTH_COLOR, factor)
    boxes = draw_boxes(boxes, row.predicted, PREDICTED_COLOR, factor)
    return [overlay, boxes, *draw_branches(image, row.branches)]
