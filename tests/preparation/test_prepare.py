"""The command on small data sets with every defect that downloads have."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.index import open_index
from wsoltool.datasets.splits import belongs


def files_of(folder):
    """Path -> content of all files but the journal."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".checked" not in path.parts
    }


@pytest.fixture
def wild(birds, photo, encoded, turned):
    """Eight sound birds, four unusual ones, and one of each defect."""
    jpeg, png = encoded(photo(50)), encoded(photo(51), "PNG")
    birds.add("001.Auk/cmyk.jpg", data=encoded(photo(52).convert("CMYK")))
    birds.add("001.Auk/png.jpeg", data=encoded(photo(53), "PNG"))
    birds.add("001.Auk/turned.jpg", "test", data=encoded(photo(54), exif=turned(6)))
    birds.add("001.Auk/größe 猫.jpg")
    birds.add("002.Bee_eater/empty.jpg", label=1, data=b"")
    birds.add("002.Bee_eater/truncated.jpg", label=1, data=jpeg[:-20])
    birds.add("002.Bee_eater/truncated.png", label=1, data=png[:-20])
    birds.add("002.Bee_eater/page.jpg", label=1, data=b"<html>404</html>")
    birds.add("002.Bee_eater/none.jpg", label=1).unlink()
    loop = birds.add("002.Bee_eater/loop.jpg", label=1)
    loop.unlink()
    loop.symlink_to(loop.name)
    birds.add("002.Bee_eater/outside.jpg", "test", label=1, box=(40, 3, 20, 10))
    birds.add("002.Bee_eater/reversed.jpg", "test", label=1, box=(20, 3, -5, 10))
    birds.add("002.Bee_eater/gap.jpg", label=7)
    return birds


KINDS = {
    "002.Bee_eater/empty.jpg": "empty",
    "002.Bee_eater/truncated.jpg": "truncated",
    "002.Bee_eater/truncated.png": "truncated",
    "002.Bee_eater/page.jpg": "damaged",
    "002.Bee_eater/none.jpg": "missing",
    "002.Bee_eater/loop.jpg": "unreadable",
    "002.Bee_eater/outside.jpg": "box",
    "002.Bee_eater/reversed.jpg": "annotation",
    "002.Bee_eater/gap.jpg": "annotation",
}


def test_a_sound_data_set(birds, prepare, snapshot):
    before = snapshot(birds.root)
    run = prepare("CUB200", birds.root)
    assert run.code == 0, run.err
    assert run.rows() == []
    assert f'index: data_root="{run.folder}"' in run.out
    assert "8 images in" in run.out
    assert "images/s" in run.out
    assert snapshot(birds.root) == before
    dataset = Images("test", run.folder)
    image, sample = dataset[3]
    assert sample.image_id == "002.Bee_eater/test_1.jpg"
    assert sample.size == image.shape[:2] == (32, 48)
    np.testing.assert_array_equal(sample.truth.boxes, [[2, 3, 22, 13]])
    index = open_index(run.folder)
    assert index.remarks == ()
    assert index.classes == ("001.Auk", "002.Bee_eater")
    assert index.records("train-weaksup").sizes.tolist() == [[32, 48]] * 4


@pytest.mark.parametrize("options", [(), ("--headers-only",)])
def test_every_defect_is_named_and_nothing_is_written(wild, prepare, options):
    run = prepare("CUB200", wild.root, *options)
    assert run.code == 1
    assert run.kinds() == KINDS
    assert all(len(row) == 5 and row[3] and row[4] for row in run.rows())
    assert not (run.folder / "index.json").exists()
    assert "9 problems" in run.out
    assert "--quarantine" in run.out
    assert "1 missing" in run.out
    reasons = {row[1]: row[3] for row in run.rows()}
    assert "bounding_boxes.txt:20" in reasons["002.Bee_eater/reversed.jpg"]
    assert str(wild.root) not in "".join(reasons.values())


def test_quarantine_goes_on_without_them(wild, prepare):
    run = prepare("CUB200", wild.root, "--quarantine")
    assert run.code == 0
    assert run.kinds() == KINDS
    index = open_index(run.folder)
    out = {q.image for split in index.splits for q in index.quarantined(split)}
    assert out == set(KINDS)
    trained = Images("train-weaksup", run.folder)
    assert {*trained.image_ids} >= {"001.Auk/cmyk.jpg", "001.Auk/größe 猫.jpg"}
    tested = Images("test", run.folder)
    for dataset in (trained, tested):
        for image, sample in map(dataset.__getitem__, range(len(dataset))):
            assert image.shape[:2] == sample.size
    assert (len(trained), len(tested)) == (7, 5)
    assert index.facts("test").quarantined == 2


def test_unusual_files_are_notes(wild, prepare):
    run = prepare("CUB200", wild.root)
    assert run.rows("notes.csv") == [
        ["train-weaksup", "001.Auk/cmyk.jpg", "CMYK"],
        ["train-weaksup", "001.Auk/png.jpeg", "PNG named .jpeg"],
        ["test", "001.Auk/turned.jpg", "EXIF orientation 6"],
    ]
    assert "1 CMYK" in run.out


def test_it_gives_the_same_bytes_again(wild, prepare):
    first = prepare("CUB200", wild.root, "--quarantine")
    fresh = files_of(first.folder)
    again = prepare("CUB200", wild.root, "--quarantine")
    assert files_of(again.folder) == fresh
    other = prepare("CUB200", wild.root, "--quarantine", "--workers", "3", folder="other")
    assert files_of(other.folder) == fresh


def test_published_counts(birds, prepare):
    birds.published["train"] += 1
    run = prepare("CUB200", birds.root, "--option", "fullsup_share=0.5")
    assert run.code == 1
    reason = "part 'train' lists 4 images, published are 5"
    assert [row[:4] for row in run.rows()] == [["train-weaksup train-fullsup", "", "count", reason]]
    for option in ("--quarantine", "--subset"):
        run = prepare("CUB200", birds.root, option, folder=option.strip("-"))
        assert run.code == 0
        assert open_index(run.folder).remarks == (reason,)
    assert not run.rows()


def test_a_subset_may_have_no_bad_images(wild, prepare):
    run = prepare("CUB200", wild.root, "--subset")
    assert run.code == 1
    assert not (run.folder / "index.json").exists()


def test_bad_images_count_as_listed(wild, prepare):
    assert "count" not in prepare("CUB200", wild.root).kinds().values()


def test_an_image_that_is_listed_twice_is_not_called_left_out(birds, prepare, tmp_path):
    birds.add("001.Auk/test_0.jpg", "test", label=1)
    birds.published["test"] -= 1
    file = tmp_path / "figures.json"
    run = prepare("CUB200", birds.root, "--quarantine", "--json", file)
    assert run.code == 0, run.err
    (row,) = run.rows()
    assert row[1:3] == ["001.Auk/test_0.jpg", "annotation"]
    assert row[3].startswith("the image is listed twice")
    index = open_index(run.folder)
    assert index.remarks == ("1 image of test is listed more than once: one listing is used",)
    assert "001.Auk/test_0.jpg" in index.records("test").ids
    assert index.quarantined("test") == ()
    figures = json.loads(file.read_text())["splits"]["test"]
    assert (figures["images"], figures["usable"]) == (4, 4)


def test_shares_of_the_reader(birds, prepare):
    run = prepare("CUB200", birds.root, "--option", "fullsup_share=0.5")
    assert run.code == 0
    index = open_index(run.folder)
    shares = {"train-fullsup": 0.5}
    for split in ("train-weaksup", "train-fullsup"):
        ids = list(index.records(split).ids)
        assert all(belongs(image, split, shares) for image in ids)
    assert index.options == {"fullsup_share": 0.5}


def test_parts_that_overlap(birds, prepare):
    options = ("--option", "parts.train-weaksup=train", "parts.test=train")
    run = prepare("CUB200", birds.root, *options)
    assert run.code == 1
    assert {row[2] for row in run.rows()} == {"two splits"}
    assert all(row[0] == "train-weaksup" and "also in test" in row[3] for row in run.rows())
    run = prepare("CUB200", birds.root, "--quarantine", *options)
    assert run.code == 1
    assert "no image of split train-weaksup can be used" in run.err


def test_masks_of_cub(birds, prepare, encoded):
    object_mask = np.zeros((32, 48), np.uint8)
    object_mask[5:9, 7:11] = 255
    for name in (line.split()[1] for line in birds.lines["images"]):
        path = (birds.home / "segmentations" / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(Image.fromarray(object_mask), "PNG"))
    assert prepare("CUB200", birds.root).code == 0
    folder = birds.home / "segmentations/001.Auk"
    (folder / "test_0.png").unlink()
    (folder / "test_1.png").write_bytes(encoded(Image.new("L", (48, 32)), "PNG"))
    run = prepare("CUB200", birds.root)
    assert run.kinds() == {
        "001.Auk/test_0.jpg": "mask: missing",
        "001.Auk/test_1.jpg": "mask",
    }
    run = prepare("CUB200", birds.root, "--quarantine")
    sample = Images("test", run.folder)[0][1]
    assert sample.truth.mask.sum() == 16


def test_image_folders_turn_photos(tmp_path, prepare, photo, encoded, turned):
    folder = tmp_path / "photos/cat"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(encoded(photo(), exif=turned(6)))
    (folder / "2.jpg").write_bytes(encoded(photo(1)))
    for options in ((), ("--headers-only",)):
        run = prepare("ImageFolders", tmp_path / "photos", *options, folder=f"p{len(options)}")
        assert run.code == 0, run.err
        records = open_index(run.folder).records("train-weaksup")
        assert records.sizes.tolist() == [[48, 32], [32, 48]]


def test_names_that_are_not_utf_8(tmp_path, prepare, photo, encoded):
    folder = tmp_path / "photos/cat"
    folder.mkdir(parents=True)
    (folder / "sound\udcff.jpg").write_bytes(encoded(photo()))
    (folder / "empty\udcff.jpg").write_bytes(b"")
    (folder / "1.jpg").write_bytes(encoded(photo(1)))
    run = prepare("ImageFolders", tmp_path / "photos", "--quarantine")
    assert run.code == 0, run.err
    assert r"cat/empty\udcff.jpg" in run.out
    assert b"cat/empty\xff.jpg,empty," in (run.folder / "problems.csv").read_bytes()
    dataset = Images("train-weaksup", run.folder)
    assert dataset.image_ids[1] == "cat/sound\udcff.jpg"
    assert dataset[1][0].shape == (32, 48, 3)


def write_metadata(root, split, lines):
    folder = root / "metadata" / split
    folder.mkdir(parents=True)
    for name, text in lines.items():
        (folder / f"{name}.txt").write_text(text)


def test_metadata_with_other_sizes(tmp_path, prepare, photo, encoded, turned):
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images/1.jpg").write_bytes(encoded(photo(), exif=turned(8)))
    (root / "images/2.jpg").write_bytes(encoded(photo(1)))
    for split in ("train-weaksup", "train-fullsup", "test"):
        name = {"train-weaksup": "2.jpg", "train-fullsup": "3.jpg", "test": "1.jpg"}[split]
        write_metadata(
            root,
            split,
            {
                "image_ids": name,
                "class_labels": f"{name},0",
                "image_sizes": f"{name},32,48",
                "localization": f"{name},0,0,31,47",
            },
        )
    run = prepare("WsolMetadata", root)
    assert run.kinds() == {"1.jpg": "size", "2.jpg": "size", "3.jpg": "missing"}
    remedies = {row[1]: row[4] for row in run.rows()}
    assert "exif" in remedies["1.jpg"]
    assert "exif" not in remedies["2.jpg"]
    run = prepare("WsolMetadata", root, "--option", "exif=True", "box_convention=inclusive")
    assert run.kinds() == {"2.jpg": "size", "3.jpg": "missing"}


def test_json(wild, prepare, tmp_path):
    file = tmp_path / "figures.json"
    run = prepare("CUB200", wild.root, "--json", file)
    figures = json.loads(file.read_text())
    assert run.code == 1
    assert figures["index_written"] is False
    assert figures["problems"] == 9
    assert figures["splits"]["test"] == {
        "images": 7,
        "usable": 5,
        "problems": {"annotation": 1, "box": 1},
        "notes": {"EXIF orientation 6": 1},
    }
    parts = {"splits": ["test"], "images": 7, "published": 7}
    assert figures["parts"]["test"] == parts
    assert figures["images_checked_now"] == figures["images"] == 19


def test_classes_without_training_images(birds, prepare):
    for number in range(2):
        birds.path(f"001.Auk/train_{number}.jpg").unlink()
    run = prepare("CUB200", birds.root, "--quarantine")
    assert run.code == 0
    assert "1 class has no image in train-weaksup: 001.Auk" in run.err
