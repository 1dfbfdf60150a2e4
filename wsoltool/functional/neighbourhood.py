"""What a pixel's eight neighbours say about it when a map is flooded, as tables over 256 cases.

Pixels are visited from the brightest to the darkest (or back); of two equal ones the later in
reading order is the brighter, so that the order is total. When a pixel's turn comes, its brighter
neighbours are there already, and they alone tell what its arrival does to the regions:

- none is there: a region is born;
- those there form several groups that do not touch each other: regions may join, or a hole closes;
- otherwise the region just grows, and its box can only grow if nothing of the region is there on
  the box's side: few pixels of a smooth map are like that.

The eight neighbours are bits 0 to 7, clockwise from the right: E, SE, S, SW, W, NW, N, NE. A case
is the set of *brighter* neighbours. Bright regions are 8-connected, dark ones 4-connected.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

E, SE, S, SW, W, NW, N, NE = range(8)
STEPS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(y, x) from a pixel to each neighbour."""
SIDES = (N, E, S, W)
QUIET, BIRTH, JOIN, GROWTH = 0, 1, 2, 3
"""What an arrival does; a birth and a join may also let the box grow."""

# The neighbours whose presence shows that the region's box already reaches as far on a side.
_BRIGHT_REACH = ((N, NW, W, SW, S), (N, NE, E, SE, S), (W, NW, N, NE, E), (W, SW, S, SE, E))
_DARK_REACH = ((N, W, S), (N, E, S), (W, N, E), (W, S, E))

# In reading order the row above has its labels already, then the pixel to the left.
_LABELLED_FIRST = (N, NW, NE, W, E, S, SE, SW)


class Tables(NamedTuple):
    """What each case means, for bright or for dark regions.

    Attributes:
        event: ``(256,)`` uint8: ``QUIET``, ``BIRTH``, ``JOIN`` or ``GROWTH``.
        uphill: ``(256, 2)`` int32: the way (y, x) to a neighbour of the same region, to the middle
            one, where the slope is likely to be steepest; 0, 0 without.
        before: ``(256, 2)`` int32: likewise, to the one that is labelled first row by row.
        groups: ``(256, 4, 2)`` int32: the way to one neighbour of each group, then 0, 0.
    """

    event: np.ndarray
    uphill: np.ndarray
    before: np.ndarray
    groups: np.ndarray


@cache
def bright_tables() -> Tables:
    """For the 8-connected regions above a threshold."""
    return _tables(dark=False)


@cache
def dark_tables() -> Tables:
    """For the 4-connected regions at or below a threshold."""
    return _tables(dark=True)


def _tables(dark: bool) -> Tables:
    tables = Tables(
        event=np.zeros(256, np.uint8),
        uphill=np.zeros((256, 2), np.int32),
        before=np.zeros((256, 2), np.int32),
        groups=np.zeros((256, 4, 2), np.int32),
    )
    for case in range(256):
        brighter = {bit for bit in range(8) if case >> bit & 1}
        there = set(range(8)) - brighter if dark else brighter
        groups = _groups(there, dark)
        tables.event[case] = _event(there, groups, dark)
        for index, bit in enumerate(groups):
            tables.groups[case, index] = STEPS[bit]
        near = there.intersection(SIDES) if dark else there
        if near:
            tables.uphill[case] = _middle(near, there)
            tables.before[case] = STEPS[min(near, key=_LABELLED_FIRST.index)]
    return tables


def _middle(near: set[int], there: set[int]) -> tuple[int, int]:
    """The way to the neighbour that points most where the others are."""
    units = [complex(*step) / abs(complex(*step)) for step in STEPS]
    slope = sum(units[bit] for bit in there)
    return STEPS[max(sorted(near), key=lambda bit: (units[bit] * slope.conjugate()).real)]


def _event(there: set[int], groups: list[int], dark: bool) -> int:
    if not groups:
        return BIRTH
    if len(groups) > 1:
        return JOIN
    reaches = _DARK_REACH if dark else _BRIGHT_REACH
    return GROWTH if any(not there.intersection(reach) for reach in reaches) else QUIET


def _groups(there: set[int], dark: bool) -> list[int]:
    """One member of each group of touching neighbours; of dark ones a side neighbour.

    A dark group without a side neighbour does not touch the pixel.
    """
    members, left = [], set(there)
    while left:
        group, frontier = set(), {min(left)}
        while frontier:
            group |= frontier
            frontier = {b for b in left - group if any(_touch(a, b, dark) for a in frontier)}
        left -= group
        usable = sorted(group & set(SIDES)) if dark else sorted(group)
        members += usable[:1]
    return members


def _touch(a: int, b: int, dark: bool) -> bool:
    apart = min((a - b) % 8, (b - a) % 8)
    return apart == 1 or (not dark and apart == 2 and a in SIDES and b in SIDES)
