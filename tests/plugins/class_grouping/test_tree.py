from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.visualization.lettering import text_width
from wsoltool_plugins.class_grouping.grouping import Grouping
from wsoltool_plugins.class_grouping.tree import (
    COLORS,
    LETTERS,
    ROW,
    draw_tree,
    row_order,
    tree_text,
    write_tree,
)

ANIMALS = Grouping(
    ("bird", "cat", "cow", "dog", "horse", "sheep", "car"),
    ((0, 1, 2, 1, 3, 2, 4), (0, 1, 2, 1, 2, 2, 3), (0, 1, 1, 1, 1, 1, 2)),
    (0, 0, 0),
)
TREE = """\
7             5        4        3
bird  ─────────────────────────────
cat   ────────┬─────────────────┬──
dog   ────────┘                 │
cow   ────────┬────────┬────────┘
sheep ────────┘        │
horse ─────────────────┘
car   ─────────────────────────────

5: {cat, dog}, {cow, sheep}
4: {cat, dog}, {cow, horse, sheep}
3: {cat, cow, dog, horse, sheep}
"""


def test_the_text_letter_by_letter():
    assert tree_text(ANIMALS) == TREE


def test_several_lines_join_in_one_bracket():
    grouping = Grouping(("a", "b", "c", "d", "e"), ((0, 0, 0, 1, 1), (0, 0, 0, 0, 0)), (0, 0))
    assert tree_text(grouping).splitlines()[:6] == [
        "5         2        1",
        "a ────────┬────────┬──",
        "b ────────┤        │",
        "c ────────┘        │",
        "d ────────┬────────┘",
        "e ────────┘",
    ]


def test_classes_alone_are_a_tree_too():
    assert tree_text(Grouping(("cat", "dog"))) == "2\ncat ──\ndog ──\n"


def test_a_level_that_joins_nothing_says_so():
    text = tree_text(Grouping(("cat", "dog"), ((0, 1),), (0,)))
    assert text.splitlines()[-1] == "2: no group of several classes"


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_groups_are_runs_of_rows_at_every_level(data):
    count = data.draw(st.integers(1, 12))
    grouping = Grouping(tuple(f"class {i}" for i in range(count)))
    for _ in range(data.draw(st.integers(0, 4))):
        groups = grouping.counts[-1]
        drawn = data.draw(st.lists(st.integers(0, groups), min_size=groups, max_size=groups))
        numbers = {group: i for i, group in enumerate(dict.fromkeys(drawn))}
        grouping = grouping.with_level([numbers[group] for group in drawn], 0)
    order = row_order(grouping)
    assert sorted(order) == list(range(count))
    for level in range(len(grouping.levels) + 1):
        ids = [grouping.ids(level)[i] for i in order]
        changes = sum(a != b for a, b in pairwise(ids))
        assert changes == grouping.counts[level] - 1
    rows = tree_text(grouping).splitlines()[1 : count + 1]
    assert [row.partition(" ─")[0].strip() for row in rows] == [f"class {i}" for i in order]
    # One line for each group leaves the tree.
    assert sum(row.endswith("──") for row in rows) == grouping.counts[-1]


@pytest.mark.parametrize(("classes", "counts"), [(20, (12, 8, 5)), (80, (40, 20, 10))])
def test_the_picture_has_a_legible_row_for_each_class(classes, counts):
    grouping = Grouping(tuple(f"a class with number {i}" for i in range(classes)))
    for count in counts:
        ids = [min(i, count - 1) for i in range(grouping.counts[-1])]
        grouping = grouping.with_level(ids, 0)
    picture = draw_tree(grouping)
    assert picture.dtype == np.uint8
    assert picture.shape[0] >= classes * ROW
    width = text_width(f"a class with number {classes - 1}", LETTERS)
    assert picture.shape[1] > width + 3 * 50
    names = picture[:, 14 : 14 + width]
    dark = (names < 128).any(axis=(1, 2))
    written = np.flatnonzero(np.diff(dark.astype(int)) == 1)
    assert len(written) >= classes, "rows of letters with white between them"
    for color in COLORS[:3]:
        assert (picture == color).all(axis=2).any()


def test_names_that_the_font_lacks_are_escaped_in_the_picture():
    assert draw_tree(Grouping(("猫", "犬"), ((0, 0),), (0,))).shape[0] > 2 * ROW


def test_both_files_are_written(tmp_path):
    write_tree(ANIMALS, tmp_path)
    assert (tmp_path / "tree.txt").read_text(encoding="utf-8") == tree_text(ANIMALS)
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")
