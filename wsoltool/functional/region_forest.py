"""The regions of a map at all of its levels, followed from step to step: compiled kernels.

A map has as many masks as values, but their regions change at few pixels: where one is born, where
two join, where a box grows. These events alone are visited, from the brightest level down; a
union-find forest holds the regions. Dark regions that do not reach the image's edge are the holes
of bright ones; they are followed in the same way from the darkest level up. Where the largest
region is asked for, sizes are gathered too, which takes every pixel once.

Arguments that all functions share; pixels are places in flattened padded arrays, see
:mod:`.level_sets`:

- ``cases`` ``(N,)`` uint8, ``levels`` ``(N,)`` int32, ``width`` of a padded row;
- ``towards`` ``(256,)``, ``groups`` ``(256, 4)`` int32: the tables' ways as distances, 0 for none;
- ``labels`` ``(N,)`` int32: a node of each pixel's region, 0 where nobody asked yet;
- ``nodes`` ``(n,)`` of ``NODE``: 0 is none, ``FRAME`` the outside, then the regions as they appear;
- ``live`` ``(n,)`` int32: the regions that there are now; ``counts`` ``(2,)``: nodes, live regions.
"""

from __future__ import annotations

import numpy as np

from wsoltool.functional.compilation import compiled, leaf
from wsoltool.functional.level_sets import FRAME
from wsoltool.functional.neighbourhood import JOIN

ANY, POLYGON, PIXELS = 0, 1, 2
"""The largest region: not asked for; by its polygon's area; by its pixels."""
UNKNOWN = -1.0

NODE = np.dtype(
    [
        ("parent", np.int32),  # of the union-find forest
        ("x0", np.int32),  # the first and last column and row
        ("y0", np.int32),
        ("x1", np.int32),
        ("y1", np.int32),
        ("place", np.int32),  # where it stands in `live`, or -1
        ("peak", np.int32),  # the pixel it was born at
        ("joined", np.int32),  # the older region that it became a part of
        ("joined_at", np.int32),  # at what step
        ("size", np.int64),
        ("score", np.float64),  # of its box, UNKNOWN where it is to be computed
    ],
    align=True,
)


@compiled
def follow(cases, levels, events, tables, top, choice, truth, rule, capacity):
    """The score of the regions at every step: any region's best IoU, and the largest one's.

    Args:
        cases: ``(H + 2, W + 2)`` uint8 of :func:`.brighter_neighbours`.
        levels: ``(H + 2, W + 2)`` int32 in [0, top].
        events: Of :func:`.events_by_step`, from bright to dark or back.
        tables: Of bright or of dark regions, as :class:`.Tables` has them. Dark regions that reach
            the edge are outside and have no score.
        top: The highest level.
        choice: What the largest is: ``POLYGON``, ``PIXELS``, or ``ANY`` to leave it out.
        truth: ``(M, 4)`` float64 true boxes.
        rule: How pixels become a box, four float64: what is added on every side after one more
            pixel on the right and below, the largest x1, the largest y1, and what a side measures
            beyond x1 - x0.
        capacity: How many numbers are kept at a time of what levels add to sizes.

    Returns:
        ``(2, top + 1)`` float64 by step: any region's, and the largest one's (0 with ``ANY``), 0
        without a region; the ``(n,)`` nodes.
    """
    event, uphill, before, group_ways = tables
    pixels, starts, births = events
    height, width = cases.shape
    ways = uphill if choice == ANY else before
    towards = ways[:, 0] * width + ways[:, 1]
    groups = group_ways[:, :, 0] * width + group_ways[:, :, 1]
    cases, levels = cases.ravel(), levels.ravel()
    nodes, live = _no_regions(births + FRAME + 1), np.empty(births + FRAME + 1, np.int32)
    counts, labels = np.array([FRAME + 1, 0]), _outside(height, width)
    if choice != ANY:
        _label_all(height, width, cases, towards, labels, nodes, counts)
    # Levels whose additions to sizes are known at a time.
    rows = top + 1 if choice == ANY else min(top + 1, max(1, capacity // len(nodes)))
    best = np.zeros((2, top + 1))
    for first in range(0, top + 1, rows):
        if choice != ANY:
            additions = _add_up(
                levels, labels, height, width, top - first, choice, rows, len(nodes)
            )
        for step in range(first, min(first + rows, top + 1)):
            changed = starts[step + 1] > starts[step]
            for index in range(starts[step], starts[step + 1]):
                pixel = pixels[index]
                node = _label(pixel, width, cases, towards, labels, nodes, counts)
                if event[cases[pixel]] == JOIN:
                    for way in range(4):
                        beside = pixel + groups[cases[pixel], way]
                        other = _label(beside, width, cases, towards, labels, nodes, counts)
                        _join(nodes, live, counts, node, other, step)
                _arrive(nodes, live, counts, _find(nodes, node), pixel, width)
            if choice != ANY:
                changed |= _gather(nodes, additions, step - first)
            if not changed and step:
                best[0, step], best[1, step] = best[0, step - 1], best[1, step - 1]
            elif counts[1]:
                best[0, step] = _best_score(nodes, live, counts, truth, rule)
                if choice != ANY:
                    node = _largest(nodes, live, counts, choice, levels, labels, width, top - step)
                    best[1, step] = _score(nodes, node, truth, rule)
    return best, nodes[: counts[0]]


@compiled
def _no_regions(size):
    nodes = np.zeros(size, NODE)
    for node in range(size):
        nodes[node].parent, nodes[node].place, nodes[node].score = node, -1, UNKNOWN
    return nodes


@compiled
def _outside(height, width):
    """``(N,)`` int32 labels: the frame's, and 0 for the image."""
    labels = np.zeros((height, width), np.int32)
    labels[0], labels[-1], labels[:, 0], labels[:, -1] = FRAME, FRAME, FRAME, FRAME
    return labels.ravel()


@leaf
def _find(nodes, node):
    while nodes[node].parent != node:
        nodes[node].parent = nodes[nodes[node].parent].parent
        node = nodes[node].parent
    return node


@leaf
def _label(pixel, width, cases, towards, labels, nodes, counts):
    """The node of the peak that a pixel leads to; all on the way remember it."""
    end = pixel
    while labels[end] == 0 and towards[cases[end]] != 0:
        end += towards[cases[end]]
    label = labels[end]
    if label == 0:
        label = counts[0]
        counts[0] += 1
        x, y = end % width - 1, end // width - 1
        nodes[label].x0, nodes[label].y0, nodes[label].x1, nodes[label].y1 = x, y, x, y
        nodes[label].peak = end
        labels[end] = label
    while labels[pixel] == 0:
        labels[pixel] = label
        pixel += towards[cases[pixel]]
    return label


@leaf
def _label_all(height, width, cases, towards, labels, nodes, counts):
    for y in range(1, height - 1):
        for pixel in range(y * width + 1, y * width + width - 1):
            way = towards[cases[pixel]]
            if way < 0:  # labelled before
                labels[pixel] = labels[pixel + way]
            else:
                _label(pixel, width, cases, towards, labels, nodes, counts)


@leaf
def _arrive(nodes, live, counts, node, pixel, width):
    """Let a region that is not outside hold a pixel, and be among the live ones."""
    if node == FRAME:
        return
    if nodes[node].place < 0:
        nodes[node].place = counts[1]
        live[counts[1]] = node
        counts[1] += 1
    x, y = pixel % width - 1, pixel // width - 1
    _widen(nodes, node, x, y, x, y)


@leaf
def _widen(nodes, node, x0, y0, x1, y1):
    """Let a region's box hold some more."""
    if x0 < nodes[node].x0 or y0 < nodes[node].y0 or x1 > nodes[node].x1 or y1 > nodes[node].y1:
        nodes[node].x0, nodes[node].y0 = min(nodes[node].x0, x0), min(nodes[node].y0, y0)
        nodes[node].x1, nodes[node].y1 = max(nodes[node].x1, x1), max(nodes[node].y1, y1)
        nodes[node].score = UNKNOWN


@leaf
def _join(nodes, live, counts, one, other, step):
    """Make the younger of two nodes' regions a part of the older, the outside being the oldest."""
    one, other = _find(nodes, one), _find(nodes, other)
    if one == other:
        return
    old, young = min(one, other), max(one, other)
    nodes[young].parent, nodes[young].joined, nodes[young].joined_at = old, old, step
    place = nodes[young].place
    if place >= 0:
        counts[1] -= 1
        last = live[counts[1]]
        live[place], nodes[last].place = last, place
        nodes[young].place = -1
    nodes[old].size += nodes[young].size
    _widen(nodes, old, nodes[young].x0, nodes[young].y0, nodes[young].x1, nodes[young].y1)


@compiled
def _add_up(levels, labels, height, width, top, choice, rows, count):
    """What each level adds to the size of which region.

    A pixel adds 1 to the pixels of its region. To the area of its polygon, which runs through pixel
    centres, every block of 2 x 2 pixels adds 1/2 when the third of them arrives and 1/2 with the
    fourth; counted in halves.

    Args:
        top: The level of the first row, as others fall.
        choice: ``POLYGON`` or ``PIXELS``.
        rows: How many levels.
        count: How many nodes.

    Returns:
        ``(rows, count)`` int32.
    """
    size = rows * count
    sums = np.zeros(size + 1, np.int32)  # the last one is that of other levels
    polygon = choice == POLYGON
    places, more = np.full(width, size, np.int32), np.full(width, size, np.int32)
    for y in range(1, height - 1 - polygon):
        row, below = levels[y * width : (y + 1) * width], levels[(y + 1) * width : (y + 2) * width]
        own = labels[y * width : (y + 1) * width]
        if polygon:
            for x in range(1, width - 2):
                a, b, c, d = row[x], row[x + 1], below[x], below[x + 1]
                third = min(max(min(a, b), min(c, d)), min(max(a, b), max(c, d)))
                # Of the upper two pixels one at least is as bright as the third.
                place = (top - third) * count + (own[x] if a >= third else own[x + 1])
                places[x] = place if 0 <= place < size else size
                place = (top - min(min(a, b), min(c, d))) * count + own[x]
                more[x] = place if 0 <= place < size else size
            for x in range(1, width - 2):
                sums[more[x]] += 1
        else:
            for x in range(1, width - 1):
                place = (top - row[x]) * count + own[x]
                places[x] = place if 0 <= place < size else size
        for x in range(1, width - 1 - polygon):
            sums[places[x]] += 1
    return sums[:size].reshape((rows, count))


@leaf
def _gather(nodes, additions, row):
    """Let regions grow by what a level adds to them; whether it adds anything."""
    found = False
    for node in range(FRAME + 1, len(nodes)):
        if additions[row, node]:
            found = True
            nodes[_find(nodes, node)].size += additions[row, node]
    return found


@leaf
def _best_score(nodes, live, counts, truth, rule):
    best = 0.0
    for index in range(counts[1]):
        best = max(best, _score(nodes, live[index], truth, rule))
    return best


@leaf
def _largest(nodes, live, counts, choice, levels, labels, width, level):
    """The live region with the largest size; of several, the one that the protocol takes."""
    chosen = live[0]
    for index in range(1, counts[1]):
        node = live[index]
        if nodes[node].size > nodes[chosen].size:
            chosen = node
        elif nodes[node].size == nodes[chosen].size:
            if choice == PIXELS:
                better = _is_upper(nodes, node, chosen)
            else:
                # OpenCV lists the contour whose first pixel comes last in reading order first.
                better = _first_pixel(nodes, node, levels, labels, width, level) > _first_pixel(
                    nodes, chosen, levels, labels, width, level
                )
            chosen = node if better else chosen
    return chosen


@leaf
def _is_upper(nodes, node, than):
    """Whether a box comes first by y0, x0, y1, x1."""
    a, b = nodes[node], nodes[than]
    if a.y0 != b.y0:
        return a.y0 < b.y0
    if a.x0 != b.x0:
        return a.x0 < b.x0
    return a.y1 < b.y1 or (a.y1 == b.y1 and a.x1 < b.x1)


@leaf
def _first_pixel(nodes, node, levels, labels, width, level):
    """The first of a region's pixels in reading order."""
    pixel = (nodes[node].y0 + 1) * width + nodes[node].x0 + 1
    while levels[pixel] < level or _find(nodes, labels[pixel]) != node:
        pixel += 1
    return pixel


@leaf
def _score(nodes, node, truth, rule):
    """The best IoU of a region's box with a true one."""
    if nodes[node].score != UNKNOWN:
        return nodes[node].score
    grow, right, bottom, extra = rule
    x0, y0 = nodes[node].x0 - grow, nodes[node].y0 - grow
    x1, y1 = min(nodes[node].x1 + 1.0 + grow, right), min(nodes[node].y1 + 1.0 + grow, bottom)
    area = (x1 - x0 + extra) * (y1 - y0 + extra)
    best = 0.0
    for index in range(len(truth)):
        a, b, c, d = truth[index, 0], truth[index, 1], truth[index, 2], truth[index, 3]
        wide = min(x1, c) - max(x0, a) + extra
        high = min(y1, d) - max(y0, b) + extra
        if wide > 0 and high > 0:
            overlap = wide * high
            own = (c - a + extra) * (d - b + extra)
            best = max(best, overlap / (area + own - overlap))
    nodes[node].score = best
    return best
