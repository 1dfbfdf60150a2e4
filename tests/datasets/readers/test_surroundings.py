"""What errors show of the folder in which something is missing."""

from __future__ import annotations

import pytest

from wsoltool.datasets.readers.coco import CocoJson
from wsoltool.datasets.readers.folders import class_folders
from wsoltool.datasets.readers.ilsvrc import ILSVRC
from wsoltool.datasets.readers.lines import read_text
from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.errors import DataError


def test_names_of_the_nearest_folder_that_exists(tmp_path):
    for name in ("b.txt", "größe.txt", ".hidden"):
        (tmp_path / name).write_text("")
    (tmp_path / "a").mkdir()
    assert names_near(tmp_path / "c.txt") == ["a", "b.txt", "größe.txt"]
    assert names_near(tmp_path / "x/y/c.txt") == ["a", "b.txt", "größe.txt"]
    assert names_near(tmp_path / "b.txt/c.txt") == ["a", "b.txt", "größe.txt"]
    assert names_near(tmp_path / "a/c.txt") == []


def test_no_more_than_can_be_read(tmp_path):
    for number in range(30):
        (tmp_path / f"{number:02}").touch()
    assert names_near(tmp_path / "x") == [f"{number:02}" for number in range(20)]


def test_readers_show_them(tmp_path, coco_tree):
    with pytest.raises(DataError, match="cannot be read") as caught:
        CocoJson(parts={"train-weaksup": "train"}).read(coco_tree, "train-weaksup")
    assert caught.value.known == ("instances_train2017.json", "instances_val2017.json")
    known = ("annotations", "train2017", "val2017")
    for ask in (
        lambda: read_text(tmp_path / "list.txt"),
        lambda: class_folders(tmp_path / "train"),
        lambda: ILSVRC().read(tmp_path, "train-weaksup"),
    ):
        with pytest.raises(DataError) as caught:
            ask()
        assert caught.value.known == known
