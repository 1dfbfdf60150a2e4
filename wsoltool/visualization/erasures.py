"""Pictures of what erasers would hide: what they look at in colours, what they hide in the dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import cv2
import numpy as np

from wsoltool.structures import Erasure
from wsoltool.visualization.lettering import line_height, shortened, text_width, write_text
from wsoltool.visualization.overlay import blend_map

SHADE = 0.25
_STROKE, _WHITE = 110, (255, 255, 255)


def draw_erasure(image: np.ndarray, name: str, erasure: Erasure) -> np.ndarray:
    """The attention in colours over the image, hidden positions dark, hatched and outlined.

    What is left of a position counts: half hidden is half as dark. The outline runs around what
    is hidden by more than half.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        name: Of the insert, for the label.
        erasure: With maps of the whole image, resized to it.

    Returns:
        ``(H, W, 3)`` uint8 RGB, a new array.
    """
    seen = image if erasure.attention is None else blend_map(image, erasure.attention)
    kept = cv2.resize(erasure.kept, image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    dark = np.where(_hatching(kept.shape)[..., None], _STROKE, seen * np.float32(SHADE))
    mixed = seen * kept[..., None] + dark * (1 - kept[..., None])
    picture = np.round(mixed).astype(np.uint8)
    picture[_outline(kept < 0.5)] = _WHITE
    _write_label(picture, name, label_of(erasure), kept < 0.5)
    return picture


def label_of(erasure: Erasure) -> str:
    """What the eraser did and how much of the feature map it hides.

    Example:
        >>> label_of(Erasure(np.ones((2, 2)), 0.375, case="scattered"))
        'scattered, hides 38 %'
        >>> label_of(Erasure(np.ones((2, 2)), 0.001))
        'hides <1 %'
    """
    share = "<1" if 0 < erasure.hidden < 0.005 else f"{100 * erasure.hidden:.0f}"
    return f"{erasure.case}, hides {share} %" if erasure.case else f"hides {share} %"


class ErasureLegend:
    """Gathers, over a gallery, what its page says of erasers.

    Attributes:
        cases: Case -> its meaning in words, which may be empty.
        counts: Insert -> how many images of each case there are.
    """

    def __init__(self) -> None:
        self.cases: dict[str, str] = {}
        self.counts: dict[str, Counter[str]] = {}

    def add(self, erasures: Mapping[str, Erasure]) -> None:
        """Count an image."""
        for name, erasure in erasures.items():
            counts = self.counts.setdefault(name, Counter())
            if erasure.case is not None:
                counts[erasure.case] += 1
                self.cases.setdefault(erasure.case, erasure.meaning)

    def lines(self) -> list[str]:
        """For each insert with cases, in words how many images there are of each."""
        return [
            f"{name}: {', '.join(f'{count} {case}' for case, count in counts.most_common())}"
            for name, counts in self.counts.items()
            if counts
        ]


def _hatching(size: tuple[int, ...]) -> np.ndarray:
    """``(H, W)`` bool: diagonal strokes."""
    width = _line_width(size)
    diagonals = np.add.outer(np.arange(size[0]), np.arange(size[1]))
    return diagonals % (7 * width) < width


def _outline(hidden: np.ndarray) -> np.ndarray:
    """``(H, W)`` bool: the border of what is hidden, within it; the image's border is none."""
    side = 2 * _line_width(hidden.shape) + 1
    return hidden & (cv2.erode(hidden.astype(np.uint8), np.ones((side, side), np.uint8)) == 0)


def _line_width(size: tuple[int, ...]) -> int:
    return max(1, round(max(size) / 224))


def _write_label(picture: np.ndarray, name: str, text: str, hidden: np.ndarray) -> None:
    """In one line, or two where that is too long; at the top, unless it would cover more there."""
    height, width = picture.shape[:2]
    size = max(11, round(max(height, width) / 20))
    both = f"{name}: {text}"
    lines = [both] if text_width(both, size) <= width - 8 else [f"{name}:", text]
    lines = [shortened(line, width - 8, size) for line in lines]
    step, across = line_height(size), max(text_width(line, size) for line in lines) + 8
    down = step * len(lines) + 4
    bottom = max(height - down, 0)
    top = min(0, bottom, key=lambda y: hidden[y : y + down, :across].sum())
    strip = picture[top : top + down, :across]
    strip[:] = strip * np.float32(SHADE)
    for index, line in enumerate(lines):
        write_text(picture, (4, top + 2 + step * index), line, _WHITE, size)
