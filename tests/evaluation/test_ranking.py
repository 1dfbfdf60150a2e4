from __future__ import annotations

import pytest

from wsoltool.errors import DataError
from wsoltool.evaluation.ranking import read_ranking

IDS = ["a.jpg", "x/b.jpg", "c.jpg"]


@pytest.fixture
def ranking(tmp_path):
    def read(text):
        path = tmp_path / "scores.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_ranking(path, IDS)

    return read


def test_five_surest_classes_in_the_order_of_the_images(ranking):
    top = ranking("c.jpg,9,8,7,6,5,4\nx/b.jpg,1,2,3,4,5,6\na.jpg,0,1,2,3,4,5\n")
    assert top.tolist() == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [9, 8, 7, 6, 5]]


def test_windows_line_ends_spaces_and_a_byte_order_mark(ranking):
    top = ranking(b"\xef\xbb\xbfa.jpg, 3\r\nx/b.jpg,4\r\nc.jpg,0\r\n")
    assert top.tolist() == [[3], [4], [0]]


def test_all_of_few_classes_are_padded(ranking):
    top = ranking("a.jpg,0,1,2\nx/b.jpg,2,1,0\nc.jpg,1,0,2")
    assert top[0].tolist() == [0, 1, 2, -1, -1]


def test_some_of_more_classes_are_not(ranking):
    assert ranking("a.jpg,0,1\nx/b.jpg,2,1\nc.jpg,1,0").shape == (3, 2)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a.jpg,0\nz.jpg,0\n", 2, "'z.jpg' is not in the metadata"),
        ("a.jpg,0\na.jpg,0\n", 2, "'a.jpg' has a line already"),
        ("a.jpg,0,1\nx/b.jpg,0\n", 2, "1 classes, but 2 in line 1"),
        ("a.jpg,0\n\nc.jpg,0", 2, "no ranking of classes: ''"),
        ("a.jpg", 1, "no ranking"),
        ("a.jpg,", 1, "no ranking"),
        ("a.jpg,0.7", 1, "no ranking"),
        ("a.jpg,-1", 1, "no ranking"),
        ("a.jpg,1,2,1", 1, "each class once"),
        ("", 1, "no ranking"),
    ],
)
def test_wrong_lines_are_named(ranking, text, line, says):
    with pytest.raises(DataError) as caught:
        ranking(text)
    assert says in str(caught.value)
    assert caught.value.at.endswith(f"scores.txt:{line}")


def test_every_image_has_a_line(ranking):
    with pytest.raises(DataError, match=r"'x/b.jpg' has no line \(2 images have none\)"):
        ranking("a.jpg,0")


def test_files_that_cannot_be_read(ranking, tmp_path):
    with pytest.raises(DataError, match="not UTF-8"):
        ranking(b"\xff\xfe")
    with pytest.raises(DataError, match="No such file"):
        read_ranking(tmp_path / "nothing.txt", IDS)
