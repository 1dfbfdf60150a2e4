"""Tiny-ImageNet-200 in its own layout."""

from __future__ import annotations

import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.tinyimagenet import TinyImageNet
from wsoltool.errors import ConfigError, DataError
from wsoltool.testing import check_reader


@pytest.fixture
def home(tiny_tree):
    return tiny_tree / "tiny-imagenet-200"


def problem(root, split="test", **options) -> DataError:
    """The error of the only image that cannot be used."""
    (found,) = TinyImageNet(**options).read(root, split).problems
    return found.error


def refusal(root, split="test", **options) -> DataError:
    with pytest.raises(DataError) as caught:
        TinyImageNet(**options).read(root, split)
    return caught.value


def test_keeps_the_contract(tiny_tree, home):
    check_reader(TinyImageNet(), tiny_tree)
    check_reader(TinyImageNet(fullsup_share=0.5), home)


def test_training_images(tiny_tree):
    dataset = Images("train-weaksup", tiny_tree, TinyImageNet())
    assert dataset.classes == ("crane (n01)", "goldfish", "crane (n03)")
    assert [dataset.label(i) for i in range(6)] == [0, 0, 1, 1, 2, 2]
    assert dataset.image_ids[3] == "train/n02/images/n02_1.JPEG"
    assert dataset[0][1].truth is None


def test_boxes_name_their_last_pixels(tiny_tree):
    dataset = Images("test", tiny_tree, TinyImageNet())
    assert list(dataset.image_ids) == ["val/images/val_0.JPEG", "val/images/val_1.JPEG"]
    assert [dataset.label(i) for i in range(2)] == [2, 0]
    truths = [dataset[i][1].truth for i in range(2)]
    assert [t.annotated_boxes.tolist() for t in truths] == [[[0, 32, 44, 62]], [[5, 5, 5, 5]]]
    assert [t.boxes.tolist() for t in truths] == [[[0, 32, 45, 63]], [[5, 5, 6, 6]]]
    # Boxes of training images reach to the last pixel too.
    train = Images("test", tiny_tree, TinyImageNet(parts={"test": "train"}))
    assert train.truth(1).boxes.tolist() == [[0, 10, 64, 60]]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("val_1.JPEG\tn01\t9\t5\t3\t7", "box 9,5,3,7 has no area"),
        ("val_1.JPEG\tn01\t0\t0\t64\t63", "box 0,0,64,63 lies outside the image of 64 x 64"),
        ("val_1.JPEG\tn09\t0\t0\t6\t6", "'n09' is none of the classes"),
        ("val_1.JPEG\tn01\t0\t0\tx\t6", "could not convert string to float: 'x'"),
        ("val_1.JPEG\tn01\t0\t0\tnan\t6", "not finite"),
    ],
)
def test_wrong_lines_are_problems_of_their_image(home, line, what):
    path = home / "val/val_annotations.txt"
    path.write_bytes(f"val_0.JPEG\tn03\t0\t32\t44\t62\r\n{line}\r\n".encode())
    error = problem(home)
    assert what in error.what
    assert error.at == f"{path}:2"


def test_lines_that_end_early_and_return(home):
    path = home / "train/n02/n02_boxes.txt"
    path.write_text("n02_0.JPEG\t0\t10\t63\n")
    error = refusal(home, "train-weaksup")
    assert (error.at, error.expected) == (f"{path}:1", "key x0 y0 x1 y1")
    path.write_text("n02_0.JPEG\t0\t1\t6\t5\nn02_0.JPEG\t0\t1\t6\t5\n")
    assert "already in line 1" in refusal(home, "train-weaksup").what


def test_labels_with_a_gap(home):
    (home / "wnids.txt").write_text("n03\nn01\n")
    (home / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t32\t44\t62\n")
    assert "'n02' is none of the classes" in problem(home).what
    (home / "wnids.txt").write_text("n03\nn01\nn00\n")
    error = refusal(home, "train-weaksup")
    assert error.at == str(home / "train/n00/n00_boxes.txt")


def test_files_that_are_missing(home):
    (home / "words.txt").write_text("n01\tcrane\n")
    error = refusal(home)
    assert (error.what, error.at) == ("no line for 'n02'", str(home / "words.txt"))
    (home / "wnids.txt").unlink()
    assert refusal(home).at == str(home / "wnids.txt")


def test_images_of_another_size(home, write_image):
    write_image(home / "val/images/val_1.JPEG", (64, 60))
    with pytest.raises(DataError, match="has 60 x 64 pixels, its record says 64 x 64"):
        Images("test", home, TinyImageNet())[1]


def test_the_labels_of_test_were_never_published(home):
    error = refusal(home, parts={"test": "test"})
    assert "no annotated part 'test'" in error.what
    assert error.hint == "the labels of test were never published"
    with pytest.raises(ConfigError, match="no split train-fullsup"):
        TinyImageNet().read(home, "train-fullsup")


def test_published_counts():
    counts = [TinyImageNet().published(part) for part in ("train", "val", "test")]
    assert counts == [100_000, 10_000, None]
