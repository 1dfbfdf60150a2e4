"""Text on pictures, in any script that the font has."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wsoltool.visualization.overlay import Color

ELLIPSIS = "…"
_LEAST, _MARGIN, _WHITE = 11, 4, (255, 255, 255)


def write_text(
    image: np.ndarray, place: tuple[int, int], text: str, color: Color, size: int
) -> int:
    """Write a line into ``(H, W, 3)`` uint8 RGB, in place.

    Characters that the font (DejaVu Sans: Latin, Greek, Cyrillic and more) lacks are written as
    Python escapes, such as ``\\u732b``.

    Args:
        image: What is written on.
        place: x, y of the line's upper left corner, pixels.
        text: One line.
        color: RGB.
        size: Of the letters, pixels.

    Returns:
        x where the text ends.
    """
    width, font, text = text_width(text, size), _font(size), legible(text)
    left, top = place
    strip = image[top : top + line_height(size), left : left + width + 1]
    if strip.size:
        canvas = Image.fromarray(strip)
        ImageDraw.Draw(canvas).text((0, 0), text, fill=color, font=font)
        strip[:] = np.asarray(canvas)
    return left + width


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """A copy with a line on a dark strip at its top, shortened to the width.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB; letters are a 17th of its long side, 11 pixels at least.
        title: One line.
    """
    picture = np.ascontiguousarray(picture).copy()
    size = max(_LEAST, round(max(picture.shape[:2]) / 17))
    picture[: line_height(size) + _MARGIN] //= 4
    text = shortened(title, picture.shape[1] - 2 * _MARGIN, size)
    write_text(picture, (_MARGIN, _MARGIN // 2), text, _WHITE, size)
    return picture


def text_width(text: str, size: int) -> int:
    """How many pixels a line takes from left to right, as :func:`write_text` writes it."""
    return round(_font(size).getlength(legible(text)))


def line_height(size: int) -> int:
    """How many pixels a line of letters of ``size`` pixels takes."""
    return round(size * 1.25)


def legible(text: str) -> str:
    r"""Text with Python escapes for whatever the font has no letter for.

    Example:
        >>> legible("Größe, кот, 猫")
        'Größe, кот, \\u732b'
    """
    known = _letters()
    return "".join(
        letter if ord(letter) in known and letter.isprintable() else ascii(letter)[1:-1]
        for letter in text
    )


def shortened(text: str, width: int, size: int, keep: str = "start") -> str:
    """Text cut to a width, with an ellipsis for what is left out.

    Args:
        text: One line.
        width: Pixels that it may take.
        size: Of the letters, pixels.
        keep: ``start``, or ``end`` where that says more, as of paths.
    """
    font, text = _font(size), legible(text)
    if font.getlength(text) <= width:
        return text
    for count in range(len(text) - 1, -1, -1):
        cut = text[:count] + ELLIPSIS if keep == "start" else ELLIPSIS + text[len(text) - count :]
        if font.getlength(cut) <= width:
            return cut
    return ""


def _font_file() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_font_file()), size)


@cache
def _letters() -> frozenset[int]:
    """The code points that the font can draw."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font_file())).get_charmap())
