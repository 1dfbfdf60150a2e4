"""Boxes that rounding has moved across the border of their image."""

from __future__ import annotations

from math import inf

from wsoltool.structures import Region, Size

OVERSHOOT = 1.0


def trimmed(box: Region, size: Size | None) -> Region:
    """A box, cut at the image's border where it overshoots by a pixel at most.

    Annotation tools round, and some count pixels from 1: a box that reaches further is a mistake,
    and is kept for the checks to find.

    Args:
        box: xyxy, pixels of the image, x1 y1 exclusive.
        size: (height, width); None where only the upper left border is known.

    Example:
        >>> trimmed((-0.5, 3.0, 640.01, 20.0), (480, 640)), trimmed((0.0, 0.0, 642.0, 9.0), None)
        ((0.0, 3.0, 640, 20.0), (0.0, 0.0, 642.0, 9.0))
        >>> trimmed((-2.0, 0.0, 640.5, 9.0), (480, 640))
        (-2.0, 0.0, 640.5, 9.0)
    """
    height, width = size or (inf, inf)
    x0, y0, x1, y1 = box
    if min(x0, y0) < -OVERSHOOT or x1 > width + OVERSHOOT or y1 > height + OVERSHOOT:
        return box
    return max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
