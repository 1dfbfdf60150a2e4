"""Compact storage of ids and boxes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.records import BoxTable, Names


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
