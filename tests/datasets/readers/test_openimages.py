"""OpenImages30k: class folders with masks among the images."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.openimages import OpenImages30k
from wsoltool.errors import DataError, ImageError
from wsoltool.testing import check_reader


@pytest.fixture
def home(openimages_tree):
    return openimages_tree / "OpenImages"


def problems(root, split="test", **options):
    """Image -> error."""
    reading = OpenImages30k(**options).read(root, split)
    return {problem.image: problem.error for problem in reading.problems}


def refusal(root, split="test") -> DataError:
    with pytest.raises(DataError) as caught:
        OpenImages30k().read(root, split)
    return caught.value


def test_keeps_the_contract(openimages_tree, home):
    check_reader(OpenImages30k(), openimages_tree)
    check_reader(OpenImages30k(), home)


def test_labels_follow_the_sorted_folders(home):
    dataset = Images("train-weaksup", home, OpenImages30k())
    assert dataset.classes == ("01226z", "0bt_c3")
    ids = [f"train/{name}/{image}.jpg" for name in dataset.classes for image in ("00aa", "00bb")]
    assert list(dataset.image_ids) == ids
    assert [dataset.label(i) for i in range(4)] == [0, 0, 1, 1]
    assert dataset.records.masks is None


def test_instances_are_united_and_pixels_ignored(home):
    dataset = Images("test", home, OpenImages30k())
    expected = np.zeros((20, 30), np.uint8)
    expected[3:9, 2:8] = 1
    alone = expected.copy()
    alone[0:5, 20:30] = 255
    np.testing.assert_array_equal(dataset[0][1].truth.mask, alone)
    # 0bt_c3/00aa has two instances and no ignore file.
    assert dataset.image_ids[2] == "test/0bt_c3/00aa.jpg"
    expected[10:15, 10:20] = 1
    truth = dataset[2][1].truth
    np.testing.assert_array_equal(truth.mask, expected)
    assert truth.boxes.tolist() == [[2, 3, 8, 9], [10, 10, 20, 15]]


def test_masks_in_a_tree_of_their_own(home):
    for path in sorted(home.glob("*/*/*.png")):
        target = home / "masks" / path.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    assert len(problems(home)) == 4
    reader = OpenImages30k(masks="masks")
    check_reader(reader, home)
    truth = Images("test", home, reader)[2][1].truth
    assert truth.boxes.tolist() == [[2, 3, 8, 9], [10, 10, 20, 15]]


def test_an_image_without_mask_cannot_be_scored(home):
    (home / "val/01226z/00bb_m01226z_0123abcd.png").unlink()
    found = problems(home, "train-fullsup")
    assert found.keys() == {"val/01226z/00bb.jpg"}
    error = found["val/01226z/00bb.jpg"]
    assert "neither box nor mask" in error.what
    assert error.at == str(home / "val/01226z/00bb_m01226z_*.png")


def test_masks_whose_image_is_missing(home):
    (home / "test/01226z/00bb.jpg").unlink()
    found = problems(home)
    assert found.keys() == {"test/01226z/00bb.jpg"}
    error = found["test/01226z/00bb.jpg"]
    assert (error.at, error.expected) == (str(home / "test/01226z"), "the image 00bb.jpg")


@pytest.mark.parametrize(
    "name", ["00aa_m01226z_0123abcd.png", "00aa_m0bt_c3_0123.png", "00aa.png", "00aa_0123abcd.png"]
)
def test_files_that_are_no_masks_of_the_class(home, name):
    shutil.copy(home / "test/0bt_c3/00aa_m0bt_c3_ffff0000.png", home / "test/0bt_c3" / name)
    found = problems(home)
    assert found.keys() == {f"test/0bt_c3/{name}"}
    (error,) = found.values()
    assert "not that of a mask of class 0bt_c3" in error.what
    assert error.at == str(home / "test/0bt_c3" / name)


def test_hidden_files_are_passed_over(home):
    for name in ("._00aa.jpg", "._00aa_ignore.png", ".DS_Store"):
        (home / "test/0bt_c3" / name).write_bytes(b"x")
    check_reader(OpenImages30k(), home)


def test_damaged_masks_are_named_on_loading(home):
    path = home / "test/01226z/00aa_ignore.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match="truncated") as caught:
        Images("test", home, OpenImages30k())[0]
    assert caught.value.at == str(path)


def test_all_parts_have_the_same_classes(home):
    (home / "test/0c9ph5").mkdir()
    error = refusal(home)
    assert error.what == "the class folder '0c9ph5' is in this part alone"
    assert error.at == str(home / "test")
    (home / "test/0c9ph5").rename(home / "train/0c9ph5")
    assert refusal(home).what == "the class folder '0c9ph5' is missing"
    error = refusal(home, "train-weaksup")
    assert error.what == "the class folder holds no image"
    assert error.at == str(home / "train/0c9ph5")


def test_missing_parts(home):
    shutil.rmtree(home / "val")
    assert refusal(home, "train-fullsup").at == str(home / "val")


def test_published_counts():
    reader = OpenImages30k()
    counts = [reader.published(reader.part(split)) for split in reader.splits()]
    assert counts == [29_819, 2_500, 5_000]
