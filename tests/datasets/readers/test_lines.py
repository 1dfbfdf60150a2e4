"""Text files of keys and fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.readers.lines import Lines, read_text
from wsoltool.errors import DataError


@pytest.fixture
def write(tmp_path):
    """A function that writes bytes or text and answers the path."""

    def to_file(content):
        path = tmp_path / "lines.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


def refusal(path, *fields, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        Lines(path, *fields, **options)
    return caught.value


def test_keys_and_fields(write):
    lines = Lines(write("1 a.jpg 3\n\n2  b c.jpg\t4 5  \n"), "path", "rest")
    assert dict(lines) == {"1": ("a.jpg", "3"), "2": ("b", "c.jpg\t4 5")}
    assert lines.at("2").endswith("lines.txt:3")
    assert dict(Lines(write("x\ny z\n"))) == {"x": (), "y z": ()}
    assert dict(Lines(write(""), "path")) == {}


def test_other_separators(write):
    lines = Lines(write("n01\tgreat white shark, x\nn02\tray\n"), "words", separator="\t")
    assert dict(lines) == {"n01": ("great white shark, x",), "n02": ("ray",)}
    assert dict(Lines(write("a b , 1"), "number", separator=",")) == {"a b": ("1",)}


def test_windows_line_ends_byte_order_mark_and_no_last_line_end(write):
    lines = Lines(write("\ufeff1 größe.jpg\r\n2 猫.jpg".encode()), "path")
    assert dict(lines) == {"1": ("größe.jpg",), "2": ("猫.jpg",)}
    assert lines.at("2").endswith(":2")


def test_what_unicode_calls_a_line_separator_ends_no_line(write):
    lines = Lines(write("1,a\u2028b\x0cc\x85d\n2,e\n"), "path", separator=",")
    assert lines["1"] == ("a\u2028b\x0cc\x85d",)
    assert lines.at("2").endswith(":2")


@given(
    st.dictionaries(
        st.integers(0, 10**6), st.tuples(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6))
    )
)
def test_what_was_written_is_read(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    path.write_text("".join(f"{key} {a} {b!r}\n" for key, (a, b) in values.items()))
    lines = Lines(path, "a", "b")
    assert list(lines) == [str(key) for key in values]
    for key, pair in values.items():
        assert lines.numbers(str(key)) == pair
        assert lines.numbers(str(key), start=1) == pair[1:]


@pytest.mark.parametrize("text", ["1 a\n2\n", "1 a\n2 \n", "1 a\n 2\t\n"])
def test_too_few_fields(write, text):
    error = refusal(write(text), "path")
    assert error.what == "the line has too few fields"
    assert error.at.endswith("lines.txt:2")
    assert error.expected == "key path"


def test_empty_fields_between_separators(write):
    error = refusal(write("a,,1\n"), "x", "y", separator=",")
    assert error.at.endswith(":1")


def test_a_key_that_returns(write):
    error = refusal(write("1 a\n2 b\n\n1 c\n"), "path")
    assert error.what == "'1' is already in line 1"
    assert error.at.endswith(":4")


def test_numbers_that_are_none(write):
    lines = Lines(write("1 3 x\n2 2.5 4\n3 inf 1\n4 1 nan\n"), "a", "b")
    for key, what in (("1", "'x'"), ("3", "not finite"), ("4", "not finite")):
        with pytest.raises(DataError, match=what) as caught:
            lines.numbers(key)
        assert caught.value.at.endswith(f":{key}")
    assert lines.numbers("2") == (2.5, 4)
    whole = Lines(write("1 3\n2 2.5\n"), "a")
    assert whole.integer("1") == 3
    with pytest.raises(DataError, match=r"2\.5") as caught:
        whole.integer("2")
    assert caught.value.at.endswith(":2")


def test_a_key_that_no_line_has(write):
    lines = Lines(write("1 3\n"), "a")
    for read in (lines.integer, lines.numbers, lines.fields_of):
        with pytest.raises(DataError, match="no line for '2'") as caught:
            read("2")
        assert caught.value.at == str(lines.path)
        assert caught.value.expected == "2 a"


def test_files_that_cannot_be_read(write, tmp_path):
    error = refusal(write(b"1 caf\xe9\n"), "path")
    assert error.what == "the file is not UTF-8"
    error = refusal(tmp_path / "none.txt", "path")
    assert "No such file" in error.what
    assert "complete" in error.hint
    with pytest.raises(DataError, match="directory"):
        read_text(tmp_path)
