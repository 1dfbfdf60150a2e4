"""The levels of a grouping as a tree, in text and as a picture: Figure 3 of the paper.

Classes are rows, levels are columns from left to right; where classes become a group, their lines
join.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from wsoltool.visualization.lettering import line_height, text_width, write_text
from wsoltool.visualization.overlay import save_png
from wsoltool_plugins.class_grouping.grouping import Grouping

COLUMN = 8  # letters of a level in text
LETTERS = 14  # pixels, in the picture
ROW = 22
LEVEL = 96
MARGIN = 14
INK, THIN = (40, 40, 40), (150, 150, 150)
#: Of the levels in turn; the first three are the figure's blue, green and purple.
COLORS = ((31, 97, 180), (34, 139, 67), (128, 62, 163), (200, 90, 20), (170, 30, 60))


def row_order(grouping: Grouping) -> list[int]:
    """Classes in an order in which every group of every level is one run of rows."""
    outermost_first = [grouping.ids(level) for level in reversed(_levels(grouping))]
    return sorted(range(len(grouping.classes)), key=lambda i: ([g[i] for g in outermost_first], i))


def tree_text(grouping: Grouping) -> str:
    """The tree with box-drawing lines, and the groups of several classes by level.

    Example:
        >>> grouping = Grouping(("cat", "car", "dog"), ((0, 1, 0), (0, 0, 0)), (0, 0))
        >>> print(tree_text(grouping), end="")
        3           2        1
        cat ────────┬────────┬──
        dog ────────┘        │
        car ─────────────────┘
        <BLANKLINE>
        2: {cat, dog}
        1: {cat, car, dog}
    """
    order, names, counts = row_order(grouping), grouping.classes, grouping.counts
    width = max(map(len, (*names, str(len(names))))) + 1
    rows = [names[class_id].ljust(width) for class_id in order]
    alive = [True] * len(rows)
    for level in _levels(grouping):
        ids = grouping.ids(level)
        joints, after = _joints([ids[i] for i in order], alive)
        for row, joint in enumerate(joints):
            rows[row] += ("─" if alive[row] else " ") * COLUMN + joint
        alive = after
    rows = [row + "──" * on for row, on in zip(rows, alive, strict=True)]
    lines = [_heading(counts, width), *rows, ""]
    for level in _levels(grouping):
        several = [name for name in grouping.names(level) if name not in names]
        lines.append(f"{counts[level]}: {', '.join(several) or 'no group of several classes'}")
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def write_tree(grouping: Grouping, folder: Path) -> None:
    """Write ``tree.txt`` and ``tree.png``."""
    (folder / "tree.txt").write_text(tree_text(grouping), encoding="utf-8")
    save_png(folder / "tree.png", draw_tree(grouping))


def draw_tree(grouping: Grouping) -> np.ndarray:
    """The tree as a picture ``(H, W, 3)`` uint8 RGB, on white; brackets coloured by level."""
    order, counts = row_order(grouping), grouping.counts
    left = MARGIN + max(text_width(name, LETTERS) for name in (*grouping.classes, _title(counts)))
    left += MARGIN
    width = left + LEVEL * len(counts[1:]) + LEVEL // 2 + MARGIN
    picture = np.full((2 * MARGIN + ROW * (len(order) + 1), width, 3), 255, np.uint8)
    top = MARGIN + ROW
    write_text(picture, (MARGIN, MARGIN), _title(counts), INK, LETTERS)
    heights: list[float] = [0.0] * len(order)
    for row, class_id in enumerate(order):
        heights[class_id] = top + ROW * row + line_height(LETTERS) / 2
        write_text(picture, (MARGIN, top + ROW * row), grouping.classes[class_id], INK, LETTERS)
    for level in _levels(grouping):
        color, x = COLORS[(level - 1) % len(COLORS)], left + LEVEL * level
        text = str(counts[level])
        write_text(picture, (x - text_width(text, LETTERS) // 2, MARGIN), text, color, LETTERS)
        heights = [
            _bracket(picture, x, sorted({heights[child] for child in group}), color)
            for group in _children(grouping, level)
        ]
    for height in heights:
        _line(picture, (width - MARGIN - LEVEL // 2, height), (width - MARGIN, height), THIN)
    return picture


def _levels(grouping: Grouping) -> range:
    return range(1, len(grouping.levels) + 1)


def _heading(counts: Sequence[int], width: int) -> str:
    """Numbers of groups, each above the joints of its level."""
    line = str(counts[0])
    for level, count in enumerate(counts[1:], start=1):
        line = line.ljust(width + level * (COLUMN + 1) - 1) + str(count)
    return line


def _joints(groups: Sequence[int], alive: Sequence[bool]) -> tuple[list[str], list[bool]]:
    """The letter of each row at a level, and the rows whose lines go on behind it.

    A group's line goes on in its first row.
    """
    joints, after = [" "] * len(groups), [False] * len(groups)
    for group in dict.fromkeys(groups):
        first = groups.index(group)
        last = max(i for i, own in enumerate(groups) if own == group and alive[i])
        after[first] = True
        for row in range(first, last + 1):
            joints[row] = "┤" if alive[row] else "│"
        joints[last] = "┘"
        joints[first] = "┬" if first < last else "─"
    return joints, after


def _children(grouping: Grouping, level: int) -> list[list[int]]:
    """The groups of the level before that make each group of a level."""
    below = grouping.ids(level - 1)
    return [sorted({below[class_id] for class_id in group}) for group in grouping.members(level)]


def _bracket(
    picture: np.ndarray, x: int, heights: Sequence[float], color: tuple[int, int, int]
) -> float:
    """Join lines at ``x``; where the joint line goes on."""
    joined = len(heights) > 1
    for height in heights:
        _line(picture, (x - LEVEL, height), (x, height), color if joined else THIN)
    if joined:
        _line(picture, (x, heights[0]), (x, heights[-1]), color)
    return sum(heights) / len(heights)


def _line(
    picture: np.ndarray,
    start: tuple[int, float],
    end: tuple[int, float],
    color: tuple[int, int, int],
) -> None:
    (x0, y0), (x1, y1) = start, end
    width = 1 if color == THIN else 2
    cv2.line(picture, (x0, round(y0)), (x1, round(y1)), color, width)


def _title(counts: Sequence[int]) -> str:
    return f"{counts[0]} classes"
