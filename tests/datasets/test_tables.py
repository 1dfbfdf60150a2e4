"""Comma separated files, against a plain line-by-line reading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError

FIELDS = ("id", "x", "y")
ids = st.text(
    st.characters(codec="utf-8", exclude_characters=",\r\n\0\ufeff"), min_size=1, max_size=6
)
numbers = st.one_of(st.integers(-5, 2000), st.integers(-(10**18) + 1, 10**18 - 1))


@given(
    rows=st.lists(st.tuples(ids, numbers, numbers), max_size=8),
    newline=st.sampled_from(["\n", "\r\n"]),
    end=st.sampled_from(["", "\n", "\r\n", "\n\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_reads_what_was_written(tmp_path_factory, rows, newline, end, mark):
    path = tmp_path_factory.mktemp("table") / "t.txt"
    text = mark + newline.join(f"{i},{x},{y}" for i, x, y in rows) + end
    path.write_bytes(text.encode())
    table = Table(path, FIELDS)
    assert list(table.ids) == [row[0] for row in rows]
    assert list(table.names("y")) == [str(row[2]) for row in rows]
    expected = np.array([[y, x] for _, x, y in rows], np.int64).reshape(-1, 2)
    np.testing.assert_array_equal(table.integers("y", "x"), expected)
    assert table.integers("x").dtype == np.int64


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a,1,2\nb,1\n", 2, "2 fields instead of 3"),
        ("a,1,2\nb,1,2,3\nc,1,2", 2, "4 fields instead of 3"),
        ("a,1,2\n\nc,1,2\n", 2, "0 fields instead of 3"),
        ("\na,1,2\n", 1, "0 fields instead of 3"),
        ("a,1,2\nb,1\n,\nc,1,2", 2, "2 fields instead of 3"),
        ("a,1,2\n,1,2\n", 2, "an empty first field"),
    ],
)
def test_irregular_lines_are_named(tmp_path, text, line, what):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=what) as caught:
        Table(path, FIELDS)
    assert caught.value.at == f"{path}:{line}"
    assert caught.value.expected == "id,x,y"


@pytest.mark.parametrize("entry", ["", "one", "1.5", "--3", "0x1", "12a", "9" * 19, "9" * 5000])
def test_entries_that_are_no_integers_are_named(tmp_path, entry):
    path = tmp_path / "t.txt"
    path.write_text(f"a,1,2\nb,1,{entry}\n")
    with pytest.raises(DataError, match=r"y is .* not a usable integer") as caught:
        Table(path, FIELDS).integers("x", "y")
    assert caught.value.at == f"{path}:2"


def test_spaces_and_signs_in_numbers(tmp_path):
    (tmp_path / "t.txt").write_text("a, 1,+2\nb,-3 ,007")
    table = Table(tmp_path / "t.txt", FIELDS)
    np.testing.assert_array_equal(table.integers("x", "y"), [[1, 2], [-3, 7]])


def test_an_empty_file_is_an_empty_table(tmp_path):
    (tmp_path / "t.txt").write_text("\r\n\n")
    table = Table(tmp_path / "t.txt", FIELDS)
    assert len(table) == 0
    assert list(table.ids) == []
    assert table.integers("x", "y").shape == (0, 2)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        Table(tmp_path / "none.txt", FIELDS)
    (tmp_path / "latin.txt").write_bytes(b"a,1,2\nb\xe9,1,2\n")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        Table(tmp_path / "latin.txt", FIELDS)
    assert caught.value.at.endswith("latin.txt:2")
