"""The check of readers finds each breach of their contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.datasets.readers.base import Reader
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError
from wsoltool.testing import check_reader


@dataclass(frozen=True, kw_only=True)
class Pairs(Reader):
    """Two images a part, one of each class."""

    names: tuple[str, ...] = ("cat", "dog")
    ids: Sequence[str] = ("{part}/a.png", "{part}/b.png")
    box: tuple[int, int, int, int] = (0, 0, 5, 5)
    fails: bool = False

    def class_names(self, home: Path) -> Sequence[str]:
        return self.names

    def entries(self, home: Path, part: str):
        for label, name in enumerate(self.ids):
            image = name.format(part=part)
            yield Entry(image=image, labels=(label,), boxes=(self.box,) if self.box else ())
        if self.fails:
            yield Problem("c.png", DataError("no annotation"))


@pytest.fixture
def root(tmp_path):
    for name in ("train/a.png", "train/b.png", "test/a.png", "test/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((10, 12, 3), np.uint8))
    return tmp_path


def test_a_sound_reader_passes(root):
    check_reader(Pairs(), root)


@pytest.mark.parametrize(
    ("options", "breach"),
    [
        ({"names": ("cat", "cat")}, "two classes of one name"),
        ({"names": ("cat", "")}, "a class without name"),
        ({"ids": ()}, "no image"),
        ({"ids": ("{part}/../{part}/a.png",)}, "no plain path"),
        ({"ids": ("{part}\\a.png",)}, "no plain path"),
        ({"ids": ("{part}/none.png",)}, "there is no file"),
        ({"ids": ("test/a.png", "test/b.png")}, "is in train-weaksup too"),
        ({"fails": True}, "'c.png' is a problem: no annotation"),
        ({"box": ()}, "is a problem: the image has neither box nor mask"),
    ],
)
def test_breaches_are_named(root, options, breach):
    with pytest.raises(AssertionError, match=breach.replace("{", r"\{")):
        check_reader(Pairs(**options), root)


def test_boxes_outside_the_image_are_found_when_it_is_loaded(root):
    with pytest.raises(DataError, match="a box reaches to x1 = 13"):
        check_reader(Pairs(box=(0, 0, 13, 5)), root)


def test_boxes_must_stay_out_of_training(root, monkeypatch):
    read = Pairs.read_part

    def careless(self, home, part, keep, with_truth):
        return read(self, home, part, keep, with_truth=True)

    monkeypatch.setattr(Pairs, "read_part", careless)
    with pytest.raises(AssertionError, match="boxes in train-weaksup"):
        check_reader(Pairs(), root)
