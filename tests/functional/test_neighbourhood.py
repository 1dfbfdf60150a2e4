"""The tables against a flood of the 3 x 3 neighbourhood itself."""

import numpy as np
import pytest

from wsoltool.functional.neighbourhood import (
    BIRTH,
    GROWTH,
    JOIN,
    QUIET,
    SIDES,
    STEPS,
    bright_tables,
    dark_tables,
)


def groups_without_the_centre(there, sides_only):
    """Neighbours that touch each other, by flooding a 3 x 3 grid of them."""
    left, found = {STEPS[bit] for bit in there}, []
    while left:
        group, queue = set(), [left.pop()]
        while queue:
            y, x = queue.pop()
            group.add((y, x))
            near = {
                (b, a)
                for b, a in left
                if (
                    abs(b - y) + abs(a - x) == 1 if sides_only else max(abs(b - y), abs(a - x)) == 1
                )
            }
            left -= near
            queue += near
        found.append(group)
    return found


@pytest.mark.parametrize("dark", [False, True])
def test_every_case_names_one_neighbour_of_every_group_that_touches_the_pixel(dark):
    tables = dark_tables() if dark else bright_tables()
    sides = {STEPS[bit] for bit in SIDES}
    for case in range(256):
        there = [bit for bit in range(8) if bool(case >> bit & 1) != dark]
        groups = groups_without_the_centre(there, sides_only=dark)
        touching = [group for group in groups if not dark or group & sides]
        named = [tuple(way) for way in tables.groups[case].tolist() if way != [0, 0]]
        assert len(named) == len(touching)
        assert all(sum(way in group for way in named) == 1 for group in touching)
        assert not dark or set(named) <= sides
        for ways in (tables.uphill, tables.before):
            way = tuple(ways[case].tolist())
            assert way == (0, 0) if not touching else any(way in group for group in touching)
            assert not dark or way in sides | {(0, 0)}
        assert (tables.event[case] == BIRTH) == (not touching)
        assert (tables.event[case] == JOIN) == (len(touching) > 1)


def test_a_bright_region_grows_at_its_tips_alone():
    east, south_east, south, south_west, west, north_west, north, north_east = (
        1 << bit for bit in range(8)
    )
    event = bright_tables().event
    above = north_west | north | north_east
    assert event[above] == GROWTH  # the lowest pixel so far
    assert event[above | east] == QUIET  # its row is reached already
    assert event[east | south_east | north_east] == GROWTH
    assert event[east | south_east | south] == QUIET  # its row and its column are
    assert event[east | south_east] == GROWTH  # the leftmost so far
    assert event[north_west] == GROWTH
    assert event[west | south_west | south | south_east] == QUIET
    assert event[255] == QUIET


def test_a_diagonal_gap_splits_dark_regions_and_not_bright_ones():
    north, east = 1 << 6, 1 << 0
    assert bright_tables().event[north | east] != JOIN
    # Dark: all but the corners' neighbours; north and east touch through north-east alone.
    only_sides_dark = 255 - (north | east)
    assert dark_tables().event[only_sides_dark] == JOIN
    assert dark_tables().event[only_sides_dark - (1 << 7)] != JOIN


def test_ways_lead_to_the_middle_of_the_slope_or_to_what_is_labelled():
    east, south_east, south = 1, 2, 4
    tables = bright_tables()
    assert tables.uphill[east | south_east | south].tolist() == [1, 1]
    assert tables.before[255].tolist() == [-1, 0]  # the pixel above
    assert tables.before[east | south].tolist() == [0, 1]


def test_tables_are_made_once():
    assert bright_tables() is bright_tables()
    assert bright_tables().event.dtype == np.uint8
