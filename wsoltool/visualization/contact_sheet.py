"""Many images of a data set on one sheet, each beside what the network sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from wsoltool.datasets.mask_files import IGNORED
from wsoltool.functional.frames import boxes_to_input
from wsoltool.structures import Region, Size, Truth
from wsoltool.visualization.lettering import line_height, shortened, write_text
from wsoltool.visualization.overlay import PART_COLOR, TRUTH_COLOR, Color, draw_boxes

TILE = 208
COLUMNS = 4
GAP = 4
LINE = 2
MARGIN = 12
NAME_SIZE, ID_SIZE, TITLE_SIZE = 13, 10, 17
INK, FAINT = (20, 20, 20), (110, 110, 110)
REGION_COLOR: Color = (255, 200, 0)
IGNORED_COLOR: Color = (255, 90, 60)
#: Of classes in one image; bright on photos, legible on paper.
CLASS_COLORS: tuple[Color, ...] = (
    *((30, 160, 70), (215, 60, 160), (20, 120, 230), (225, 110, 0)),
    *((130, 70, 220), (0, 150, 160), (190, 40, 40), (120, 120, 0)),
)
_DASH = 5


@dataclass(slots=True)
class SheetItem:
    """One image of the sheet.

    Attributes:
        image_id: Its id.
        image: ``(., ., 3)`` uint8 RGB, the original at any scale: :func:`fitted` saves memory.
        size: (height, width) of the original.
        labels: Its classes.
        region: xyxy of the original image that the input shows.
        flipped: The input shows it mirrored.
        input: ``(., ., 3)`` uint8 RGB, what the network sees, at any scale likewise.
        input_size: (height, width) of what it sees.
        truth: Boxes and masks; None where the split may not read them or has none.
    """

    image_id: str
    image: np.ndarray
    size: Size
    labels: Sequence[int]
    region: Region
    flipped: bool
    input: np.ndarray
    input_size: Size
    truth: Truth | None = None

    @property
    def crops(self) -> bool:
        """Whether the network sees a part of the image only."""
        height, width = self.size
        return not np.allclose(self.region, (0, 0, width, height))

    def box_labels(self) -> list[int]:
        """The class of each box of the truth."""
        if self.truth is None:
            return []
        if self.truth.labels is not None:
            return self.truth.labels.tolist()
        return [self.labels[0] if len(self.labels) else -1] * len(self.truth.boxes)


def contact_sheet(items: Sequence[SheetItem], classes: Sequence[str], title: str) -> np.ndarray:
    """Pairs of original and input in rows, with the boxes in both.

    Args:
        items: At least one.
        classes: Class names.
        title: First line.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    boxed = [item for item in items if item.truth is not None]
    several = any(len({*item.labels, *item.box_labels()}) > 1 for item in boxed)
    tiles = [draw_item(item, classes, several) for item in items]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    spacer = np.full((blank.shape[0], MARGIN, 3), 255, np.uint8)
    rows = []
    for start in range(0, len(tiles), COLUMNS):
        parts = [part for tile in tiles[start : start + COLUMNS] for part in (spacer, tile)]
        rows.append(np.hstack([*parts, spacer]))
    body = np.vstack(rows)
    return np.vstack([_heading(title, body.shape[1], items, several), body])


def draw_item(item: SheetItem, classes: Sequence[str], several: bool) -> np.ndarray:
    """Original and input side by side, names of the classes and the id below.

    Args:
        item: What is drawn.
        classes: Class names.
        several: Some image shows several classes: each class of an image has its own colour.
    """
    colors = _colors(item, several)
    gap = np.full((TILE, GAP, 3), 255, np.uint8)
    pictures = np.hstack([_original(item, colors), gap, _input(item, colors)])
    inks = colors if several else {}
    return np.vstack([pictures, _caption(item, classes, inks, pictures.shape[1])])


def _caption(
    item: SheetItem, classes: Sequence[str], inks: dict[int, Color], width: int
) -> np.ndarray:
    """Two lines: the classes in their inks; id, size and whether the input is mirrored."""
    caption = np.full((line_height(NAME_SIZE) + line_height(ID_SIZE) + 10, width, 3), 255, np.uint8)
    left = 0
    for label in dict.fromkeys([*item.labels, *item.box_labels()]):
        if label >= 0 and left < width:
            name = shortened(classes[label], width - left, NAME_SIZE)
            left = write_text(caption, (left, 3), name, inks.get(label, INK), NAME_SIZE) + NAME_SIZE
    name = shortened(item.image_id, width * 2 // 3, ID_SIZE, keep="end")
    height, side = item.size
    facts = f"{name}  {side} x {height}" + "  mirrored" * item.flipped
    write_text(caption, (0, line_height(NAME_SIZE) + 4), facts, FAINT, ID_SIZE)
    return caption


def _original(item: SheetItem, colors: dict[int, Color]) -> np.ndarray:
    factor, picture = TILE / max(item.size), fitted(item.image)
    if item.truth is not None:
        picture = _tinted(picture, item.truth, colors)
        picture = _with_boxes(picture, item, item.truth.boxes, colors, factor)
        if item.truth.part_boxes is not None:
            picture = draw_boxes(picture, item.truth.part_boxes, PART_COLOR, factor)
    if item.crops:
        outline = draw_boxes(picture, np.array([item.region]), REGION_COLOR, factor, LINE)
        picture = _dashed(picture, outline)
    return _centred(picture)


def _input(item: SheetItem, colors: dict[int, Color]) -> np.ndarray:
    size = item.input_size
    factor, picture = TILE / max(size), fitted(item.input)
    if item.truth is not None:
        limits = [size[1], size[0]] * 2
        boxes = boxes_to_input(item.truth.boxes, item.region, item.flipped, size)
        picture = _with_boxes(picture, item, np.clip(boxes, 0, limits), colors, factor)
    return _centred(picture)


def _with_boxes(
    picture: np.ndarray, item: SheetItem, boxes: np.ndarray, colors: dict[int, Color], factor: float
) -> np.ndarray:
    """Boxes in their classes' colours, difficult ones dashed; those without area left out."""
    assert item.truth is not None
    difficult = item.truth.difficult
    for number, (box, label) in enumerate(zip(boxes, item.box_labels(), strict=True)):
        if box[2] > box[0] and box[3] > box[1]:
            drawn = draw_boxes(picture, [box], colors.get(label, TRUTH_COLOR), factor, LINE)
            hard = difficult is not None and difficult[number]
            picture = _dashed(picture, drawn) if hard else drawn
    return picture


def _colors(item: SheetItem, several: bool) -> dict[int, Color]:
    """A colour for each class of the image; the usual one where all boxes are of one class."""
    labels = dict.fromkeys([*item.labels, *item.box_labels()])
    if not several:
        return dict.fromkeys(labels, TRUTH_COLOR)
    return {label: CLASS_COLORS[i % len(CLASS_COLORS)] for i, label in enumerate(labels)}


def _tinted(picture: np.ndarray, truth: Truth, colors: dict[int, Color]) -> np.ndarray:
    """The pixels of objects lightly in their colours, and the ignored ones in another."""
    layers: list[tuple[np.ndarray, Color]] = []
    if truth.segments is not None:
        layers = [(truth.segments == label + 1, color) for label, color in colors.items()]
        layers.append((truth.segments < 0, IGNORED_COLOR))
    elif truth.mask is not None:
        layers = [(truth.mask == 1, TRUTH_COLOR), (truth.mask == IGNORED, IGNORED_COLOR)]
    tinted = picture.astype(np.float32)
    for pixels, color in layers:
        shown = cv2.resize(
            pixels.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST
        )
        tinted[shown > 0] = 0.75 * tinted[shown > 0] + 0.25 * np.array(color)
    return tinted.round().astype(np.uint8)


def _dashed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What a drawing changed, in dashes."""
    height, width = before.shape[:2]
    dash = (np.add.outer(np.arange(height), np.arange(width)) // _DASH) % 2 == 0
    return np.where(dash[..., None], after, before)


def fitted(image: np.ndarray) -> np.ndarray:
    """``(H, W, 3)`` uint8 RGB at the scale that fills a tile one way."""
    factor = TILE / max(image.shape[:2])
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way)


def _centred(picture: np.ndarray) -> np.ndarray:
    """``(TILE, TILE, 3)``: the picture amid light grey."""
    tile = np.full((TILE, TILE, 3), 235, np.uint8)
    height, width = picture.shape[:2]
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = picture
    return tile


def _heading(title: str, width: int, items: Sequence[SheetItem], several: bool) -> np.ndarray:
    height = line_height(TITLE_SIZE) + line_height(NAME_SIZE) + 22
    heading = np.full((height, width, 3), 255, np.uint8)
    text = shortened(title, width - 2 * MARGIN, TITLE_SIZE)
    write_text(heading, (MARGIN, 8), text, INK, TITLE_SIZE)
    left, top = MARGIN, line_height(TITLE_SIZE) + 12
    for words, color in _legend(items, several):
        left = write_text(heading, (left, top), words, color, NAME_SIZE) + NAME_SIZE
    return heading


def _legend(items: Sequence[SheetItem], several: bool) -> list[tuple[str, Color]]:
    truths = [item.truth for item in items if item.truth is not None]
    lines: list[tuple[str, Color]] = [("left: the image, right: what the network sees", INK)]
    if any(item.crops for item in items):
        lines.append(("dashed: the part that it sees", _darker(REGION_COLOR)))
    if truths:
        lines.append(
            ("boxes in the colour of their class" if several else "box", _darker(TRUTH_COLOR))
        )
    else:
        lines.append(("without boxes", FAINT))
    if any(truth.part_boxes is not None for truth in truths):
        lines.append(("box of the part", _darker(PART_COLOR)))
    if any(truth.difficult is not None and truth.difficult.any() for truth in truths):
        lines.append(("dashed box: difficult", FAINT))
    if any(truth.mask is not None or truth.segments is not None for truth in truths):
        lines.append(("tinted: mask", _darker(TRUTH_COLOR)))
    return lines


def _darker(color: Color) -> Color:
    red, green, blue = color
    return red * 3 // 5, green * 3 // 5, blue * 3 // 5
