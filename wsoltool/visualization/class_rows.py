"""Several classes of one image as rows of pictures below each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wsoltool.visualization.lettering import line_height, shortened, write_text
from wsoltool.visualization.overlay import (
    PREDICTED_COLOR,
    TRUTH_COLOR,
    blend_map,
    draw_boxes,
    side_by_side,
)

LETTERS, MARGIN, GAP = 13, 4, 4  # pixels; letters grow with wide pictures
TEXT_COLOR = (255, 255, 255)


@dataclass(slots=True)
class ClassRow:
    """What was found of one class; boxes are xyxy, pixels of the original, exclusive.

    Attributes:
        title: Written on the map.
        localization_map: ``(H, W)`` in [0, 1].
        predicted: ``(N, 4)`` boxes.
        truth: ``(M, 4)`` boxes, may be empty.
    """

    title: str
    localization_map: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray


def draw_rows(
    image: np.ndarray, factor: float, rows: Sequence[ClassRow], beside: Iterable[np.ndarray] = ()
) -> np.ndarray:
    """The image, then map and boxes of each class; all but the first row have no image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, already enlarged by ``factor``.
        factor: Of the enlargement.
        rows: At least one.
        beside: Pictures of the image's size that stand at the end of the first row.
    """
    first, *others = (_pictures(image, factor, row) for row in rows)
    nothing = np.full_like(image, 255)
    lines = [side_by_side([image, *first, *beside])]
    lines += [side_by_side([nothing, *pictures]) for pictures in others]
    parts: list[np.ndarray] = []
    for line in lines:
        right = lines[0].shape[1] - line.shape[1]
        wide = np.pad(line, ((0, 0), (0, right), (0, 0)), constant_values=255)
        parts += [np.full((GAP, *wide.shape[1:]), 255, np.uint8), wide] if parts else [wide]
    return np.vstack(parts)


def _pictures(image: np.ndarray, factor: float, row: ClassRow) -> tuple[np.ndarray, np.ndarray]:
    overlay = _titled(blend_map(image, row.localization_map), row.title)
    boxes = draw_boxes(image, row.truth, TRUTH_COLOR, factor)
    return overlay, draw_boxes(boxes, row.predicted, PREDICTED_COLOR, factor)


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    """A copy with a line on a dark strip at its top."""
    picture = np.ascontiguousarray(picture).copy()
    size = max(LETTERS, picture.shape[1] // 24)
    picture[: line_height(size) + MARGIN] //= 4
    text = shortened(title, picture.shape[1] - 2 * MARGIN, size)
    write_text(picture, (MARGIN, MARGIN // 2), text, TEXT_COLOR, size)
    return picture
