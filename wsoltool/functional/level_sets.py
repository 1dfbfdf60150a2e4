"""Maps as levels, and the pixels at which the regions above a level change: compiled kernels.

Arrays called padded are ``(H + 2, W + 2)``: the map in a frame of one pixel that is darker than
everything. A pixel is addressed by its place in the flattened padded array.
"""

from __future__ import annotations

import numpy as np

from wsoltool.functional.compilation import compiled
from wsoltool.functional.neighbourhood import BIRTH, JOIN, QUIET

FRAME = 1
"""The region outside the image; real ones count from 2, and 0 is none yet."""


@compiled
def grey_keys(values):
    """wsolevaluation's 256 grey levels of a map, with what is left of each value to order by.

    Args:
        values: ``(H, W)`` float64 in [0, 1].

    Returns:
        ``(H + 2, W + 2)`` uint16: 1 + 256 floor(255 value) + the next eight bits; 0 in the frame.
        ``(H + 2, W + 2)`` int32 levels floor(255 value), and the highest one.
    """
    height, width = values.shape
    keys = np.zeros((height + 2, width + 2), np.uint16)
    levels = np.zeros((height + 2, width + 2), np.int32)
    for y in range(height):
        row, key_row, level_row = values[y], keys[y + 1], levels[y + 1]
        for x in range(width):
            key = np.int32(row[x] * 255.0 * 256.0)
            key_row[x + 1] = key + 1
            level_row[x + 1] = key >> 8
    return keys, levels, levels.max()


@compiled
def threshold_ranks(values, thresholds):
    """How many thresholds each value exceeds.

    Args:
        values: ``(H, W)`` float64 in [0, 1].
        thresholds: ``(T,)`` float64, rising.

    Returns:
        ``(H + 2, W + 2)`` float64, the values in a frame of -1; ``(H + 2, W + 2)`` int32 in [0, T],
        0 in the frame.
    """
    height, width = values.shape
    padded = np.full((height + 2, width + 2), -1.0)
    ranks = np.zeros((height + 2, width + 2), np.int32)
    cells = 2048  # of equal width; a value's cell says where to begin
    firsts = np.searchsorted(thresholds, np.arange(cells + 1) / cells).astype(np.int32)
    for y in range(height):
        row, padded_row, rank_row = values[y], padded[y + 1], ranks[y + 1]
        for x in range(width):
            value = row[x]
            rank = firsts[np.int32(value * cells)]
            while rank < len(thresholds) and thresholds[rank] < value:
                rank += 1
            padded_row[x + 1] = value
            rank_row[x + 1] = rank
    return padded, ranks


@compiled
def brighter_neighbours(padded):
    """``(H + 2, W + 2)`` uint8: the case of every pixel, see the module neighbourhood."""
    height, width = padded.shape
    cases = np.zeros((height, width), np.uint8)
    for y in range(1, height - 1):
        above, row, below, out = padded[y - 1], padded[y], padded[y + 1], cases[y]
        for x in range(1, width - 1):
            value = row[x]
            out[x] = (
                (row[x + 1] >= value)
                | ((below[x + 1] >= value) << 1)
                | ((below[x] >= value) << 2)
                | ((below[x - 1] >= value) << 3)
                | ((row[x - 1] > value) << 4)
                | ((above[x - 1] > value) << 5)
                | ((above[x] > value) << 6)
                | ((above[x + 1] > value) << 7)
            )
    return cases


@compiled
def events_by_step(cases, levels, event, top, rising):
    """The pixels whose arrival is an event, in order of arrival.

    Args:
        cases: ``(H + 2, W + 2)`` uint8.
        levels: ``(H + 2, W + 2)`` int32 in [0, top].
        event: ``(256,)`` uint8, of the tables.
        top: The highest level.
        rising: Step b is level b, from dark to bright; else level top - b, from bright to dark.

    Returns:
        ``(n,)`` int32 pixels; ``(top + 2,)`` int32, where each step begins; how many are births.
    """
    height, width = cases.shape
    flat_levels = levels.ravel()
    pixels = np.empty(height * width, np.int32)
    count, births = 0, 0
    for y in range(1, height - 1):
        row = cases[y]
        for x in range(1, width - 1):
            # Without a branch, for events come where no processor expects them.
            kind = event[row[x]]
            pixels[count] = y * width + x
            count += kind != QUIET
            births += kind == BIRTH
    starts = np.zeros(top + 2, np.int32)
    for index in range(count):
        level = flat_levels[pixels[index]]
        starts[(level if rising else top - level) + 1] += 1
    for step in range(top + 1):
        starts[step + 1] += starts[step]
    ordered, ends = np.empty(count, np.int32), starts.copy()
    for index in range(count):
        level = flat_levels[pixels[index]]
        step = level if rising else top - level
        ordered[ends[step]] = pixels[index]
        ends[step] += 1
    return ordered, starts, births


@compiled
def fill_holes(keys, levels, cases, event, nodes):
    """Raise every hole to the level at which it stops being one, as the outside sees it.

    Args:
        keys: ``(H + 2, W + 2)`` uint16 of :func:`grey_keys`.
        levels: ``(H + 2, W + 2)`` int32.
        cases: ``(H + 2, W + 2)`` uint8 of :func:`brighter_neighbours`.
        event: ``(256,)`` uint8, of the tables of bright regions.
        nodes: ``(n,)``, the dark regions as :func:`.region_forest.follow` leaves them.

    Returns:
        The filled keys and levels, and whether bright regions may have lain in a hole: wherever one
        did, it joins the others at a pixel of the hole.
    """
    islands, width = False, keys.shape[1]
    keys, levels = keys.copy(), levels.copy()
    flat_keys, flat_levels, flat_cases = keys.ravel(), levels.ravel(), cases.ravel()
    spill = np.zeros(len(nodes), np.int32)
    stack = np.empty(keys.size, np.int32)
    for region in range(FRAME + 1, len(nodes)):
        # What a region joined is older than it, so where that one spills is known already.
        spill[region] = max(nodes[region].joined_at, spill[nodes[region].joined])
        level, depth = spill[region], 0
        if flat_levels[nodes[region].peak] < level:
            stack[0], depth = nodes[region].peak, 1
        while depth:
            depth -= 1
            pixel = stack[depth]
            if flat_levels[pixel] < level:
                flat_levels[pixel], flat_keys[pixel] = level, 256 * level + 1
                islands |= event[flat_cases[pixel]] == JOIN
                for beside in (pixel - width, pixel - 1, pixel + 1, pixel + width):
                    if flat_levels[beside] < level:
                        stack[depth] = beside
                        depth += 1
    return keys, levels, islands
