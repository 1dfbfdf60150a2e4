"""Parts, splits and shares, which all readers have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.base import Reader, attempt
from wsoltool.datasets.records import Entry, Problem
from wsoltool.datasets.splits import SPLITS, belongs
from wsoltool.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Numbered(Reader):
    """Images called by part and number; the last ones of ``damaged`` are unusable."""

    folders = ("numbered-v2", "numbered")

    count: int = 40
    damaged: int = 0

    def class_names(self, home):
        return ["even", "odd"]

    def entries(self, home, part) -> Iterator[Entry | Problem]:
        for number in range(self.count):
            image = f"{part}/{number}.png"
            if number >= self.count - self.damaged:
                yield Problem(image, DataError("damaged", at=image, hint="mend it"))
            else:
                yield Entry(image=image, labels=(number % 2,), boxes=[(0, 0, 1 + number, 1)])


@dataclass(frozen=True, kw_only=True)
class Late(Numbered):
    """Its boxes are read by a call of their own."""

    def entries(self, home, part):
        yield Entry(image="1.png", labels=(1,))
        yield Entry(image="2.png", labels=(0,))

    def annotated(self, home, part, entries):
        for entry in entries:
            yield Entry(image=entry.image, labels=entry.labels, boxes=[(0, 0, 9, 9)], at=part)


def ids(reader, split, home) -> list[str]:
    return [*reader.read(home, split).records.ids]


def test_default_parts(tmp_path):
    reader = Numbered()
    assert reader.splits() == ("train-weaksup", "test")
    assert (reader.part("train-weaksup"), reader.part("test")) == ("train", "test")
    assert ids(reader, "test", tmp_path) == [f"test/{n}.png" for n in range(40)]


def test_parts_by_option(tmp_path):
    reader = Numbered(parts={"train-fullsup": "val", "train-weaksup": "trainval"})
    assert reader.splits() == ("train-weaksup", "train-fullsup")
    assert reader.part("train-fullsup") == "val"
    with pytest.raises(ConfigError, match="has no split test") as caught:
        reader.read(tmp_path, "test")
    assert caught.value.known == ("train-weaksup", "train-fullsup")
    assert "test_share=0.1" in caught.value.hint


def test_a_split_without_share_has_no_hint_of_one():
    with pytest.raises(ConfigError) as caught:
        Numbered(parts={"test": "x"}).part("train-weaksup")
    assert caught.value.hint is None


def test_boxes_only_where_they_may_be_read(tmp_path):
    reader = Numbered()
    assert reader.read(tmp_path, "train-weaksup").records.boxes is None
    assert len(reader.read(tmp_path, "test").records.boxes.boxes) == 40


def test_late_annotations_are_read_with_boxes_alone(tmp_path):
    assert Late().read(tmp_path, "train-weaksup").records.boxes is None
    boxes = Late().read(tmp_path, "test").records.boxes
    assert boxes.boxes.tolist() == [[0, 0, 9, 9]] * 2


def test_shares_take_from_training_alone(tmp_path):
    plain = Numbered()
    reader = Numbered(fullsup_share=0.4)
    assert reader.splits() == SPLITS
    assert reader.part("train-fullsup") == "train"
    weak, full = (ids(reader, split, tmp_path) for split in SPLITS[:2])
    assert weak
    assert full
    assert sorted(weak + full) == sorted(ids(plain, "train-weaksup", tmp_path))
    assert full == [
        name
        for name in ids(plain, "train-weaksup", tmp_path)
        if belongs(name, "train-fullsup", {"train-fullsup": 0.4})
    ]
    assert ids(reader, "test", tmp_path) == ids(plain, "test", tmp_path)
    assert reader.read(tmp_path, "train-fullsup").records.boxes is not None


def test_a_part_of_its_own_is_whole_beside_shares(tmp_path):
    # To score what was trained on, such as CorLoc on trainval.
    reader = Numbered(fullsup_share=0.4, parts={"train-weaksup": "all", "test": "all"})
    assert ids(reader, "test", tmp_path) == [f"all/{n}.png" for n in range(40)]
    assert 0 < len(ids(reader, "train-fullsup", tmp_path)) < 40


def test_two_shares(tmp_path):
    reader = Numbered(fullsup_share=0.3, test_share=0.3, parts={"train-weaksup": "all"})
    found = [ids(reader, split, tmp_path) for split in SPLITS]
    assert all(found)
    assert sorted(name for part in found for name in part) == sorted(
        f"all/{n}.png" for n in range(40)
    )


def test_images_stay_in_their_split_when_others_come(tmp_path):
    few, many = (Numbered(count=count, fullsup_share=0.3) for count in (20, 40))
    for split in SPLITS[:2]:
        assert set(ids(few, split, tmp_path)) <= set(ids(many, split, tmp_path))


def test_problems_fall_into_splits_too(tmp_path):
    reader = Numbered(damaged=20, fullsup_share=0.5)
    found = [p.image for split in SPLITS[:2] for p in reader.read(tmp_path, split).problems]
    assert sorted(found) == sorted(f"train/{n}.png" for n in range(20, 40))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"parts": {"tset": "x"}}, "parts has the unknown split 'tset'"),
        ({"fullsup_share": 1}, "fullsup_share is 1"),
        ({"test_share": -0.5, "parts": {"train-weaksup": "x"}}, "test_share is -0.5"),
        ({"fullsup_share": True}, "fullsup_share is True"),
        ({"test_share": 0.1}, "a share of 0.1 for test, which has a part of its own"),
        (
            {"fullsup_share": 0.5, "test_share": 0.5, "parts": {"train-weaksup": "x"}},
            "the shares leave nothing",
        ),
        (
            {"fullsup_share": 0.1, "parts": {"test": "x"}},
            "a share of 0.1 for train-fullsup, but no part for train-weaksup",
        ),
    ],
)
def test_wrong_options(options, what):
    with pytest.raises(ConfigError, match=what):
        Numbered(**options)


def test_wrong_box_conventions():
    @dataclass(frozen=True, kw_only=True)
    class Convention(Numbered):
        box_convention: str = "exclusive"

    assert Convention(box_convention="inclusive").box_convention == "inclusive"
    with pytest.raises(ConfigError, match="did you mean 'inclusive'"):
        Convention(box_convention="inclusiv")


def test_a_file_is_no_data_set(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"")
    with pytest.raises(DataError, match="folder is a file"):
        Numbered().home(tmp_path / "set.zip")
    with pytest.raises(DataError, match="folder does not exist"):
        Numbered().home(tmp_path / "sets")


def test_the_folder_inside_the_archive_is_found(tmp_path):
    reader = Numbered()
    assert reader.home(tmp_path) == tmp_path
    (tmp_path / "numbered").mkdir()
    assert reader.home(tmp_path) == tmp_path / "numbered"
    (tmp_path / "numbered-v2").mkdir()
    assert reader.home(tmp_path) == tmp_path / "numbered-v2"
    assert reader.home(tmp_path / "numbered") == tmp_path / "numbered"
    with pytest.raises(DataError, match="does not exist") as caught:
        reader.home(tmp_path / "none")
    assert caught.value.at == str(tmp_path / "none")


def test_what_readers_may_leave_out(tmp_path):
    reader = Numbered()
    assert reader.published("train") is None
    assert reader.image_root(tmp_path) == reader.mask_root(tmp_path) == tmp_path
    assert not reader.exif
    assert not reader.downloads


def test_a_data_set_refuses_problems_and_tells_their_number(tmp_path):
    with pytest.raises(DataError, match="damaged") as caught:
        Images("test", tmp_path, Numbered(damaged=3))
    assert caught.value.at == "test/37.png"
    assert caught.value.hint.startswith("mend it; `wsoltool prepare` lists all 3 such images")
    with pytest.raises(DataError, match="damaged") as caught:
        Images("test", tmp_path, Numbered(damaged=1))
    assert "lists it" in caught.value.hint


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="split test of Images is empty"):
        Images("test", tmp_path, Numbered(count=0))


def test_attempts():
    def read(error=None) -> Entry:
        if error is not None:
            raise error
        return Entry(image="a", labels=())

    assert attempt("a", read).image == "a"
    problem = attempt("a", partial(read, DataError("wrong")))
    assert (problem.image, problem.error.at) == ("a", "a")
    assert attempt("a", partial(read, DataError("wrong", at="x:3"))).error.at == "x:3"
    with pytest.raises(KeyError):
        attempt("a", partial(read, KeyError("a bug")))
