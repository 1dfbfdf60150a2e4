"""The index on disk: what comes back is what was written, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.datasets import index_files
from wsoltool.datasets.index import INDEX, Quarantined, open_index, write_index
from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import BoxTable, Names, Records
from wsoltool.datasets.splits import ids_sha256
from wsoltool.errors import ConfigError, DataError, WorkDirError

LATIN1 = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")


def full_records(root: Path) -> Records:
    """Three images with all that records can hold; the second has no box."""
    return Records(
        Names.of(["a/größe.png", LATIN1, "b/3.jpg"]),
        np.array([[1, 0], [0, 0], [1, 1]], np.uint8),
        np.array([[20, 30], [5, 6], [7, 8]]),
        BoxTable(
            np.array([0, 1, 1, 3]),
            np.array([[0, 0, 1, 1], [1.5, 2, 3, 4], [0, 0, 8, 7]], np.float32),
            np.array([0, 1, 0]),
            np.array([False, True, False]),
        ),
        MaskFiles(
            root / "masks",
            Names.of(["m1.png", "m2.png", "m3.png", "m4.png"]),
            np.array([0, 2, 3, 4]),
            Names.of(["", "i2.png", ""]),
            127,
        ),
        Names.of(["s1.png", "", "s3.png"]),
    )


def plain_records(*ids: str) -> Records:
    return Records(Names.of(ids), np.zeros(len(ids), np.int64))


def write(folder: Path, splits, quarantined=None, **changed):
    facts = {
        "reader": "CUB200",
        "options": {"fullsup_share": 0.1, "parts": {"test": "val"}},
        "image_root": folder.parent / "images",
        "mask_root": folder.parent / "segments",
        "box_convention": "inclusive",
        "exif": True,
        "classes": ("cat", "größe"),
        "remarks": ["test has 3 images, its authors say 4"],
    }
    write_index(folder, **{**facts, **changed}, splits=splits, quarantined=quarantined or {})


def assert_same(found: object, wanted: object) -> None:
    """Compare records field by field, arrays with their types."""
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, (Records, BoxTable, MaskFiles)):
        for name in wanted.__dataclass_fields__:
            assert_same(getattr(found, name), getattr(wanted, name))
    elif wanted is None:
        assert found is None
    else:
        assert found == wanted


def in_order_of_time(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_everything_comes_back(tmp_path):
    records, folder = full_records(tmp_path), tmp_path / "new/index"
    left_out = [Quarantined("x.jpg", "0 bytes"), Quarantined(LATIN1, "größer als\nerlaubt")]
    write(folder, {"test": records, "train-weaksup": plain_records("t.jpg")}, {"test": left_out})
    index = open_index(folder)
    assert_same(index.records("test"), records)
    assert_same(index.records("train-weaksup"), plain_records("t.jpg"))
    assert index.quarantined("test") == tuple(left_out)
    assert index.quarantined("train-weaksup") == ()
    assert (index.reader, index.box_convention, index.exif) == ("CUB200", "inclusive", True)
    assert index.options == {"fullsup_share": 0.1, "parts": {"test": "val"}}
    assert index.classes == ("cat", "größe")
    assert index.remarks == ("test has 3 images, its authors say 4",)
    assert index.image_root == folder.parent / "images"
    assert index.mask_root == folder.parent / "segments"
    facts = index.splits["test"]
    assert (facts.images, facts.boxes, facts.quarantined) == (3, 3, 2)
    assert facts.ids_sha256 == ids_sha256(list(records.ids))
    assert index.splits["train-weaksup"].boxes is None
    for split in index.splits:
        index.verify(split)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, max_size=6),
            st.integers(0, 3),
            st.lists(st.tuples(*[st.floats(0, 99, width=32)] * 4), max_size=3),
        ),
        max_size=6,
        unique_by=lambda image: image[0],
    )
)
def test_any_records_come_back(tmp_path_factory, images):
    counts = [len(boxes) for _, _, boxes in images]
    records = Records(
        Names.of(name for name, _, _ in images),
        np.array([label for _, label, _ in images], np.int64),
        boxes=BoxTable.group(
            np.repeat(np.arange(len(images)), counts),
            np.array([box for _, _, boxes in images for box in boxes]).reshape(-1, 4),
            len(images),
        ),
    )
    folder = tmp_path_factory.mktemp("index")
    write(folder, {"test": records})
    assert_same(open_index(folder).records("test"), records)


def test_columns_are_maps_that_nobody_can_change(tmp_path):
    write(tmp_path, {"test": full_records(tmp_path)})
    records = open_index(tmp_path).records("test")
    assert isinstance(records.labels.base, np.memmap)
    assert isinstance(records.ids.offsets.base, np.memmap)
    assert isinstance(records.boxes.boxes.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        records.labels[0] = 1


def test_of_train_weaksup_nothing_about_boxes_is_written(tmp_path):
    write(tmp_path, {"train-weaksup": full_records(tmp_path)})
    records = open_index(tmp_path).records("train-weaksup")
    assert (records.boxes, records.masks, records.segments) == (None, None, None)
    names = {path.name.partition("-")[0] for path in (tmp_path / "train-weaksup").iterdir()}
    assert names == {"labels", "sizes", "id_text", "id_offsets"}
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"m1.png" not in everything
    assert b"s1.png" not in everything


def test_an_image_in_two_splits_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="1 images are in both train-weaksup and test: b"):
        write(
            tmp_path / "i", {"train-weaksup": plain_records("a", "b"), "test": plain_records("b")}
        )
    assert not (tmp_path / "i").exists()


def test_unknown_splits_and_conventions_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown split 'tset'"):
        write(tmp_path, {"tset": plain_records("a")})
    with pytest.raises(ConfigError, match="left out of 'train-fullsup', which is not written"):
        write(tmp_path, {"test": plain_records("a")}, {"train-fullsup": []})
    with pytest.raises(ConfigError, match="unknown box_convention 'xywh'"):
        write(tmp_path, {"test": plain_records("a")}, box_convention="xywh")


def test_writing_the_same_again_touches_no_column_and_gives_the_same_digest(tmp_path):
    splits = {"test": full_records(tmp_path)}
    write(tmp_path, splits)
    first, times = open_index(tmp_path), in_order_of_time(tmp_path)
    write(tmp_path, splits)
    assert open_index(tmp_path).digest == first.digest
    changed = {p for p, t in in_order_of_time(tmp_path).items() if times.get(p) != t}
    assert changed == {tmp_path / INDEX}
    write(tmp_path, {"test": plain_records("a")})
    assert open_index(tmp_path).digest != first.digest


def test_a_new_index_removes_the_old_ones_files_and_no_others(tmp_path):
    write(tmp_path, {"test": full_records(tmp_path)}, {"test": [Quarantined("x", "y")]})
    (tmp_path / "test/notes.txt").write_text("mine")
    (tmp_path / "test/labels.npy").write_text("mine")
    (tmp_path / "test/.labels-0123456789ab.npy.77.part").write_text("of a killed write")
    write(tmp_path, {"train-fullsup": plain_records("a")})
    assert {path.name for path in (tmp_path / "test").iterdir()} == {"notes.txt", "labels.npy"}
    assert len(open_index(tmp_path).records("train-fullsup")) == 1


@pytest.mark.parametrize("killed_at", range(6))
def test_a_killed_write_leaves_the_old_index(tmp_path, monkeypatch, killed_at):
    """At every file that it writes, the top one included."""
    old, new = plain_records("a", "b"), replace(plain_records("c"), sizes=np.array([[1, 2]]))
    write(tmp_path, {"test": old})
    replaced, count = os.replace, iter(range(100))

    def killed(self, target):
        if next(count) == killed_at:
            raise KeyboardInterrupt
        replaced(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    if killed_at < 5:  # four columns and index.json
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, {"test": new})
        assert_same(open_index(tmp_path).records("test"), old)
        open_index(tmp_path).verify("test")
    monkeypatch.undo()
    write(tmp_path, {"test": new})
    assert_same(open_index(tmp_path).records("test"), new)
    assert len(list((tmp_path / "test").iterdir())) == 4


def test_a_killed_first_write_leaves_none(tmp_path, monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, {"test": plain_records("a")})
    with pytest.raises(DataError, match="the folder holds no index") as caught:
        open_index(tmp_path)
    assert "wsoltool prepare DATASET SRC DST" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(WorkDirError, match="the index cannot be written: Not a directory"):
        write(tmp_path / "file/index", {"test": plain_records("a")})

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WorkDirError, match="No space left on device") as caught:
        write(tmp_path / "index", {"test": plain_records("a")})
    assert caught.value.at == str(tmp_path / "index")
    assert [path for path in (tmp_path / "index").rglob("*") if path.is_file()] == []


def damaged(folder: Path) -> str:
    """The error of whatever opening a split meets, without its place."""
    with pytest.raises(DataError) as caught:
        open_index(folder).records("test")
    assert "run `wsoltool prepare` again" in caught.value.hint
    return caught.value.what


def test_damaged_columns_are_named(tmp_path):
    write(tmp_path, {"test": plain_records("a", "b")})
    path = next((tmp_path / "test").glob("labels-*.npy"))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    size = len(content)
    assert f"has {size - 1} bytes instead of {size}" in damaged(tmp_path)
    path.write_bytes(b"x" * size)
    assert "cannot be read" in damaged(tmp_path)
    path.unlink()
    assert "cannot be read: No such file" in damaged(tmp_path)


def test_a_flipped_bit_is_found_by_verify(tmp_path):
    write(tmp_path, {"test": plain_records("a", "b")})
    path = next((tmp_path / "test").glob("labels-*.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_index(tmp_path).records("test")
    with pytest.raises(DataError, match="does not hold what was written") as caught:
        open_index(tmp_path).verify("test")
    assert caught.value.at == str(path)


def test_a_damaged_column_is_written_anew(tmp_path):
    write(tmp_path, {"test": plain_records("a", "b")})
    next((tmp_path / "test").glob("labels-*.npy")).write_bytes(b"")
    write(tmp_path, {"test": plain_records("a", "b")})
    open_index(tmp_path).verify("test")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda content: content.update(format=2), "it has format 2, not 1"),
        (lambda content: content.pop("format"), "it is damaged: KeyError('format')"),
        (lambda content: content["splits"].update(test=3), "it is damaged"),
        (
            lambda content: content["splits"]["test"]["columns"].pop("id_text"),
            "no column 'id_text'",
        ),
    ],
)
def test_an_index_of_another_format_is_refused(tmp_path, change, what):
    write(tmp_path, {"test": plain_records("a")})
    content = json.loads((tmp_path / INDEX).read_text())
    change(content)
    (tmp_path / INDEX).write_text(json.dumps(content))
    assert what in damaged(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_damaged_top_file_is_refused(tmp_path, content):
    write(tmp_path, {"test": plain_records("a")})
    (tmp_path / INDEX).write_bytes(content)
    assert "it is damaged" in damaged(tmp_path)


def test_a_split_that_is_not_there_is_named(tmp_path):
    write(tmp_path, {"test": plain_records("a")})
    with pytest.raises(DataError, match="no split train-fullsup") as caught:
        open_index(tmp_path).records("train-fullsup")
    assert caught.value.known == ("test",)


def test_index_and_images_may_be_moved_together(tmp_path):
    """Where the one lies in the other, or both below the data set's folder."""
    source = tmp_path / "src"
    for name, home in (("src/index", source), ("src/CUB/images/index", None)):
        folder = tmp_path / name
        roots = {"image_root": source / "CUB/images", "mask_root": source / "CUB/images/m"}
        write(folder, {"test": full_records(source / "CUB/images")}, home=home, **roots)
        shutil.copytree(source, tmp_path / "moved", dirs_exist_ok=True)
        index = open_index(tmp_path / "moved" / Path(name).relative_to("src"))
        assert index.image_root == tmp_path / "moved/CUB/images"
        assert index.mask_root == tmp_path / "moved/CUB/images/m"
        assert index.records("test").masks.root == tmp_path / "moved/CUB/images/masks"


def test_an_index_elsewhere_may_be_moved_alone(tmp_path):
    write(tmp_path / "index", {"test": full_records(tmp_path)}, home=tmp_path / "src")
    (tmp_path / "far/away").mkdir(parents=True)
    moved = shutil.move(tmp_path / "index", tmp_path / "far/away/index")
    assert open_index(moved).image_root == tmp_path / "images"
    assert open_index(moved).records("test").masks.root == tmp_path / "masks"


def test_paths_of_links_lead_to_the_same_place(tmp_path):
    (tmp_path / "disk/src/images").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk/src")
    (tmp_path / "here").symlink_to(tmp_path / "disk/src/index")
    root = tmp_path / "data/images"
    write(tmp_path / "data/index", {"test": plain_records("a")}, image_root=root, home=root.parent)
    for folder in (tmp_path / "here", tmp_path / "data/index", tmp_path / "disk/src/index"):
        assert open_index(folder).image_root == tmp_path / "disk/src/images"


def test_a_file_is_written_once(tmp_path, monkeypatch):
    column = index_files.write_column(tmp_path, "test/x", np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / column.path), [0, 1, 2])
    assert index_files.ColumnFile.of_json(column.as_json()) == column
    monkeypatch.setattr(index_files, "whole_file", None)
    assert index_files.write_column(tmp_path, "test/x", np.arange(3)) == column
