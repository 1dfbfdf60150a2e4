"""CUB-200-2011 in its own layout."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.cub import CUB200
from wsoltool.errors import DataError, ImageError
from wsoltool.testing import check_reader


@pytest.fixture
def home(cub_tree):
    return cub_tree / "CUB_200_2011"


def write_segmentation(home, image, pixels) -> None:
    path = home / "segmentations" / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@pytest.fixture
def segmented(home):
    """Grey levels tell how many of five annotators marked a pixel."""
    for image in ("001.Albatross/a_1", "001.Albatross/a_2", "002.Petrel/p_1", "002.Petrel/p_2"):
        pixels = np.zeros((20, 30), np.uint8)
        pixels[2:10, 4:12] = 102  # two of five
        pixels[4:8, 6:10] = 153  # three of five
        pixels[5, 7] = 255
        write_segmentation(home, f"{image}.png", pixels)
    return home


def change(path, old, new) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def problem(root, split="test") -> DataError:
    """The error of the only image that cannot be used."""
    (found,) = CUB200().read(root, split).problems
    return found.error


def refusal(root, split="test") -> DataError:
    with pytest.raises(DataError) as caught:
        CUB200().read(root, split)
    return caught.value


def test_other_parts_are_refused(home):
    with pytest.raises(DataError, match="no part 'val'") as caught:
        CUB200(parts={"test": "val"}).read(home, "test")
    assert caught.value.known == ("train", "test")


def test_names_follow_the_numbers_of_the_classes(home):
    path = home / "classes.txt"
    path.write_bytes(b"2 002.Petrel\r\n1 001.Albatross\r\n")
    assert CUB200().class_names(home) == ["001.Albatross", "002.Petrel"]
    path.write_text("1 001.Albatross\n3 003.Auk\n")
    error = refusal(home)
    assert (error.what, error.at) == ("no line for '2'", str(path))


def test_keeps_the_contract(cub_tree, home):
    check_reader(CUB200(), cub_tree)
    check_reader(CUB200(fullsup_share=0.5), home)


def test_keeps_the_contract_with_masks(segmented):
    check_reader(CUB200(), segmented)


def test_images_labels_and_boxes(cub_tree):
    train = Images("train-weaksup", cub_tree, CUB200())
    assert train.classes == ("001.Albatross", "002.Petrel")
    assert list(train.image_ids) == ["001.Albatross/a_1.jpg", "002.Petrel/p_2.jpg"]
    assert [train.label(i) for i in range(2)] == [0, 1]
    assert train[0][1].truth is None
    test = Images("test", cub_tree, CUB200())
    assert list(test.image_ids) == ["001.Albatross/a_2.jpg", "002.Petrel/p_1.jpg"]
    assert test[0][1].truth.boxes.tolist() == [[0, 0, 30, 20]]
    # x y width height
    assert test[1][1].truth.boxes.tolist() == [[1.5, 2.5, 5, 7]]
    assert test[1][1].truth.mask is None


def test_masks_are_what_most_annotators_marked(segmented):
    truth = Images("test", segmented, CUB200())[1][1].truth
    expected = np.zeros((20, 30), np.uint8)
    expected[4:8, 6:10] = 1
    np.testing.assert_array_equal(truth.mask, expected)
    assert truth.boxes.tolist() == [[1.5, 2.5, 5, 7]], "the box is the annotated one"
    assert Images("train-weaksup", segmented, CUB200()).records.masks is None


def test_segmentations_may_lie_beside_the_data_set(segmented):
    (segmented / "segmentations").rename(segmented.parent / "segmentations")
    mask = Images("test", segmented.parent, CUB200())[1][1].truth.mask
    np.testing.assert_array_equal(np.argwhere(mask)[[0, -1]], [[4, 6], [7, 9]])


def test_a_segmentation_that_is_missing(segmented):
    (segmented / "segmentations/002.Petrel/p_1.png").unlink()
    dataset = Images("test", segmented, CUB200())
    assert dataset[0][1].truth.mask.any()
    with pytest.raises(ImageError, match="the mask file does not exist"):
        dataset[1]


def test_windows_line_ends_and_byte_order_marks(home):
    for path in home.glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", "\r\n").encode())
    check_reader(CUB200(), home)


@pytest.mark.parametrize(
    ("name", "line", "what"),
    [
        ("bounding_boxes.txt", "3 1.5 2.5 3.5 4.5\n", "no line for '3'"),
        ("image_class_labels.txt", "3 2\n", "no line for '3'"),
    ],
)
def test_a_missing_line_is_a_problem_of_its_image(home, name, line, what):
    change(home / name, line, "")
    error = problem(home)
    assert (error.what, error.at) == (what, str(home / name))
    assert error.expected.startswith("3 ")


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "what"),
    [
        ("bounding_boxes.txt", "1.5 2.5 3.5", "1.5 2.5 -3.5", 3, "box 1.5,2.5,-2,7 has no area"),
        ("bounding_boxes.txt", "1.5 2.5 3.5", "1.5 2.5 0.0", 3, "has no area"),
        ("bounding_boxes.txt", "1.5 2.5 3.5", "-1.5 2.5 3.5", 3, "lies outside the image"),
        ("bounding_boxes.txt", "1.5 2.5 3.5", "1.5 2,5 3.5", 3, "'2,5'"),
        ("bounding_boxes.txt", "1.5 2.5 3.5", "1.5 inf 3.5", 3, "not finite"),
        ("image_class_labels.txt", "3 2", "3 two", 3, "'two'"),
        ("image_class_labels.txt", "3 2", "3 3", None, "label 2 is out of range"),
        ("image_class_labels.txt", "3 2", "3 0", None, "label -1 is out of range"),
    ],
)
def test_wrong_numbers_are_named(home, name, old, new, line, what):
    change(home / name, old, new)
    error = problem(home)
    assert what in error.what
    assert error.at == (f"{home / name}:{line}" if line else f"{home / 'bounding_boxes.txt'}:3")


def test_a_box_beyond_its_image_is_found_on_loading(home):
    change(home / "bounding_boxes.txt", "0.0 0.0 30.0 20.0", "0.0 0.0 31.0 20.0")
    with pytest.raises(DataError, match=r"reaches to x1 = 31, .* 30 x 20 pixels"):
        Images("test", home, CUB200())[0]


def test_lists_that_are_wrong_as_a_whole(home):
    change(home / "train_test_split.txt", "2 0\n", "")
    error = refusal(home)
    assert error.what == "no line for '2'"
    (home / "images.txt").unlink()
    assert refusal(home).at == str(home / "images.txt")


def test_one_class_without_images(home):
    (home / "classes.txt").write_text("1 001.Albatross\n2 002.Petrel\n3 003.Auklet\n")
    dataset = Images("test", home, CUB200())
    assert len(dataset.classes) == 3
    assert dataset.label(1) == 1


def test_names_that_are_not_ascii(home, write_image):
    change(home / "images.txt", "002.Petrel/p_1.jpg", "002.Petrel/große Möwe.jpg")
    write_image(home / "images/002.Petrel/große Möwe.jpg", (20, 30))
    dataset = Images("test", home, CUB200())
    assert dataset[1][1].image_id == "002.Petrel/große Möwe.jpg"


def test_data_sets_reach_workers(segmented):
    dataset = pickle.loads(pickle.dumps(Images("test", segmented, CUB200())))
    assert dataset[1][1].truth.mask.sum() == 16


def test_published_counts():
    assert [CUB200().published(part) for part in ("train", "test", "val")] == [5994, 5794, None]
