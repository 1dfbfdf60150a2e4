"""Compact storage of ids and boxes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import (
    BoxTable,
    Names,
    Records,
    check_box_convention,
    group_offsets,
    half_open,
    select_groups,
)
from wsoltool.errors import ConfigError


@given(st.lists(st.text(max_size=8), max_size=12))
def test_names_hold_what_they_were_given(strings):
    names = Names.of(strings)
    assert list(names) == strings
    assert [names[i] for i in range(len(names))] == strings
    assert names[1:-1] == strings[1:-1]
    assert pickle.loads(pickle.dumps(names)) == names


def test_names_index_like_a_list():
    names = Names.of(["a", "bc"])
    assert names[-1] == names[np.int64(1)] == "bc"
    with pytest.raises(IndexError):
        names[2]
    assert "bc" in names
    assert names.index("bc") == 1


def test_names_over_a_memory_map_are_the_same(tmp_path):
    strings = ["cat/größe.png", "", "dog/1.jpg"]
    names = Names.of(strings)
    np.save(tmp_path / "text.npy", np.frombuffer(names.text, np.uint8))
    mapped = np.load(tmp_path / "text.npy", mmap_mode="r")
    over = Names(np.asarray(mapped).data, names.offsets)
    assert list(over) == strings
    assert over[0] == strings[0]
    assert over == names
    assert names == over
    assert over.select(np.array([2, 0])) == Names.of([strings[2], strings[0]])
    assert pickle.loads(pickle.dumps(over)) == names


def test_names_compare_by_content_and_borders():
    assert Names.of(["ab", "c"]) == Names.of(["ab", "c"])
    assert Names.of(["ab", "c"]) != Names.of(["a", "bc"])
    assert Names.of(["ab"]) != ["ab"]


def test_undecodable_file_names_survive():
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert Names.of([name])[0] == name


@given(st.lists(st.integers(0, 5), max_size=20))
def test_boxes_are_grouped_in_their_order(images):
    boxes = np.arange(4 * len(images)).reshape(-1, 4)
    table = BoxTable.group(np.array(images, np.int64), boxes, 6)
    for image in range(6):
        expected = [box for box, owner in zip(boxes, images, strict=True) if owner == image]
        np.testing.assert_array_equal(table[image], np.array(expected).reshape(-1, 4))
        assert table.counts()[image] == len(expected)


def test_changing_a_box_leaves_the_table_alone():
    table = BoxTable.group(np.array([0]), np.array([[1, 2, 3, 4]]), 1)
    table[0][:] = 0
    np.testing.assert_array_equal(table[0], [[1, 2, 3, 4]])


@given(
    st.lists(st.integers(0, 4), max_size=12).flatmap(
        lambda counts: st.tuples(
            st.just(counts),
            st.lists(st.integers(0, len(counts) - 1), max_size=15) if counts else st.just([]),
        )
    )
)
def test_groups_are_selected_as_lists_are(case):
    counts, rows = case
    offsets = group_offsets(np.array(counts, np.int64))
    groups = np.split(np.arange(sum(counts)), offsets[1:-1]) if counts else []
    selected, members = select_groups(offsets, np.array(rows, np.int64))
    expected = [groups[row].tolist() for row in rows]
    assert members.tolist() == [member for group in expected for member in group]
    assert np.diff(selected).tolist() == [len(group) for group in expected]
    assert selected[0] == 0


def records(count: int) -> Records:
    """Image i has i % 3 boxes and i % 2 + 1 masks; all columns tell the image's number."""
    numbers = np.arange(count)
    box_owners = np.repeat(numbers, numbers % 3)
    mask_owners = np.repeat(numbers, numbers % 2 + 1)
    boxes = BoxTable(
        group_offsets(numbers % 3),
        np.repeat(box_owners[:, None], 4, axis=1).astype(np.float32),
        labels=box_owners + 100,
        difficult=box_owners % 2 == 1,
    )
    masks = MaskFiles(
        Path("masks"),
        Names.of(f"m{owner}" for owner in mask_owners),
        group_offsets(numbers % 2 + 1),
        Names.of("" if n % 4 else f"i{n}" for n in numbers),
        level=9,
    )
    return Records(
        Names.of(map(str, numbers)),
        numbers + 7,
        np.stack([numbers, numbers * 2], axis=1),
        boxes,
        masks,
        Names.of(f"s{n}" for n in numbers),
    )


@pytest.mark.parametrize("rows", [[], [0], [7, 2, 2, 5], [8, 7, 6, 5, 4, 3, 2, 1, 0]])
def test_all_columns_of_records_are_selected(rows):
    selected = records(9).select(np.array(rows, np.int64))
    assert len(selected) == len(selected.masks) == len(selected.boxes) == len(rows)
    for index, number in enumerate(rows):
        assert selected.ids[index] == str(number)
        assert selected.labels[index] == number + 7
        assert selected.sizes[index].tolist() == [number, 2 * number]
        assert selected.segments[index] == f"s{number}"
        assert selected.boxes[index].tolist() == [[number] * 4] * (number % 3)
        own = selected.boxes.rows(index)
        assert selected.boxes.labels[own].tolist() == [number + 100] * (number % 3)
        assert selected.boxes.difficult[own].tolist() == [number % 2 == 1] * (number % 3)
        masks = selected.masks
        own = slice(*masks.offsets[index : index + 2])
        assert masks.masks[own] == [f"m{number}"] * (number % 2 + 1)
        assert masks.ignored[index] == ("" if number % 4 else f"i{number}")
    assert (selected.masks.root, selected.masks.level) == (Path("masks"), 9)


def test_absent_columns_stay_absent():
    selected = Records(Names.of("ab"), np.eye(2, dtype=np.uint8)).select(np.array([1]))
    assert selected.labels.tolist() == [[0, 1]]
    assert selected.sizes is selected.boxes is selected.masks is selected.segments is None
    bare = BoxTable.group(np.array([0, 1]), np.arange(8).reshape(2, 4), 2).select(np.array([1]))
    assert bare.labels is bare.difficult is None


def test_grouping_takes_labels_and_flags_along():
    table = BoxTable.group(
        np.array([1, 0, 1]), np.zeros((3, 4)), 2, np.array([5, 6, 7]), np.array([1, 0, 0], bool)
    )
    assert table.labels.tolist() == [6, 5, 7]
    assert table.difficult.tolist() == [False, True, False]
    assert table.rows(1) == slice(1, 3)


def test_half_open_boxes_are_copies():
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    assert half_open(boxes, "inclusive").tolist() == [[1, 2, 4, 5]]
    half_open(boxes, "exclusive")[:] = 0
    assert boxes.tolist() == [[1, 2, 3, 4]]


def test_unknown_box_conventions():
    with pytest.raises(ConfigError, match="did you mean 'exclusive'"):
        check_box_convention("exclusiv")
