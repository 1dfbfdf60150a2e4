"""Metadata that lists mask files: unions, ignored pixels, boxes, and every defect."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.images import read_mask
from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.metadata_files import read_metadata
from wsoltool.datasets.readers.metadata import WsolMetadata
from wsoltool.datasets.records import Names
from wsoltool.errors import DataError, ImageError

LINES = "a.png,m/a1.png,m/ai.png\nb.png,m/b1.png,m/bi.png\na.png,m/a2.png,"


def write_mask(path: Path, size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> None:
    """White boxes (xyxy, exclusive) on black."""
    pixels = np.zeros(size, np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


@pytest.fixture
def root(tmp_path, write_image):
    """Image a has two instances and ignores some of one, image b has masks of twice its size."""
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "images" / name, (20, 30))
    folder = tmp_path / "metadata/test"
    folder.mkdir(parents=True)
    (folder / "image_ids.txt").write_text("a.png\nb.png")
    (folder / "class_labels.txt").write_text("a.png,0\nb.png,1")
    (folder / "image_sizes.txt").write_text("")
    (folder / "localization.txt").write_text(LINES)
    masks = tmp_path / "masks/m"
    write_mask(masks / "a1.png", (20, 30), (2, 3, 5, 7))
    write_mask(masks / "a2.png", (20, 30), (4, 6, 9, 8), (29, 19, 30, 20))
    write_mask(masks / "ai.png", (20, 30), (0, 0, 4, 4))
    write_mask(masks / "b1.png", (40, 60), (3, 4, 11, 10))
    write_mask(masks / "bi.png", (40, 60))
    return tmp_path


def metadata_set(split, root, **options) -> Images:
    return Images(split, root, WsolMetadata(**options))


def refusal(root, index: int | None = None) -> DataError:
    """What building the data set, or else reading one of its images, raises."""
    if index is None:
        with pytest.raises(DataError) as caught:
            metadata_set("test", str(root), masks="masks")
    else:
        dataset = metadata_set("test", str(root), masks="masks")
        with pytest.raises(DataError) as caught:
            dataset[index]
    return caught.value


def test_masks_of_an_image_are_united(root):
    truth = metadata_set("test", str(root), masks="masks")[0][1].truth
    expected = np.zeros((20, 30), np.uint8)
    expected[0:4, 0:4] = 255
    expected[3:7, 2:5] = 1
    expected[6:8, 4:9] = 1
    expected[19, 29] = 1
    np.testing.assert_array_equal(truth.mask, expected)
    assert truth.mask.dtype == np.uint8
    assert truth.boxes.tolist() == [[2, 3, 5, 7], [4, 6, 30, 20]]
    assert truth.annotated_boxes.tolist() == [[2, 3, 4, 6], [4, 6, 29, 19]]
    assert truth.boxes.dtype == truth.annotated_boxes.dtype == np.float32


def test_masks_of_another_resolution_keep_it(root):
    dataset = metadata_set("test", str(root), masks="masks")
    truth = dataset[1][1].truth
    assert truth.mask.shape == (40, 60)
    assert np.argwhere(truth.mask == 1)[[0, -1]].tolist() == [[4, 3], [9, 10]]
    # 3..11 and 4..10 of twice the size: 1.5..5.5 and 2..5
    assert truth.boxes.tolist() == [[1, 2, 6, 5]]
    assert truth.annotated_boxes.tolist() == [[1, 2, 5, 4]]
    assert dataset.records.masks.truth(1).boxes.tolist() == [[3, 4, 11, 10]]


def test_boxes_of_enlarged_masks_end_at_exact_borders(tmp_path):
    # 1600 to 1024: 0.64 a pixel; 25 pixels are exactly 16.
    write_mask(tmp_path / "m.png", (1068, 1600), (25, 50, 1600, 1068))
    write_mask(tmp_path / "i.png", (1068, 1600))
    files = MaskFiles(tmp_path, Names.of(["m.png"]), np.array([0, 1]), Names.of(["i.png"]))
    (x0, y0, x1, y1) = files.truth(0, (684, 1024)).boxes[0].tolist()
    assert (x0, x1, y1) == (16, 1024, 684)
    assert y0 == 50 * 684 // 1068


def test_recorded_sizes_spare_reading_the_image(root):
    (root / "metadata/test/image_sizes.txt").write_text("a.png,30,20\nb.png,30,20")
    dataset = metadata_set("test", str(root), masks="masks")
    (root / "images/b.png").unlink()
    assert dataset.truth(1).boxes.tolist() == [[1, 2, 6, 5]]


def test_truth_alone_finds_the_size_of_its_image(root):
    dataset = metadata_set("test", str(root), masks="masks")
    dataset.load(0)
    assert dataset.truth(1).boxes.tolist() == [[1, 2, 6, 5]]


def test_instances_without_a_pixel_give_no_box(root):
    write_mask(root / "masks/m/a1.png", (20, 30))
    truth = metadata_set("test", str(root), masks="masks").truth(0)
    assert truth.boxes.tolist() == [[4, 6, 30, 20]]


@pytest.mark.parametrize("value", [1, 128, 255])
def test_whatever_is_not_black_belongs_to_a_mask(tmp_path, value):
    pixels = np.zeros((4, 5), np.uint8)
    pixels[1, 2] = value
    cv2.imwrite(str(tmp_path / "grey.png"), pixels)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(pixels[..., None], 3, axis=2))
    cv2.imwrite(str(tmp_path / "bits.png"), pixels, [cv2.IMWRITE_PNG_BILEVEL, 1])
    for name in ("grey.png", "colour.png", "bits.png"):
        mask = read_mask(tmp_path / name)
        assert mask.dtype == bool
        assert np.argwhere(mask).tolist() == [[1, 2]]


def test_weaksup_opens_no_mask(root):
    (root / "metadata/test").rename(root / "metadata/train-weaksup")
    (root / "masks").rename(root / "elsewhere")
    (root / "metadata/train-weaksup/localization.txt").unlink()
    dataset = metadata_set("train-weaksup", str(root), masks="masks")
    assert dataset[0][1].truth is None


def test_masks_reach_workers(root):
    dataset = pickle.loads(pickle.dumps(metadata_set("test", str(root), masks="masks")))
    assert len(dataset[0][1].truth.boxes) == 2


def test_records_alone_read_masks(root):
    records = read_metadata(
        root / "metadata/test",
        with_boxes=True,
        box_convention="exclusive",
        mask_root=root / "masks",
    )
    assert records.boxes is None
    assert len(records.masks) == len(records) == 2
    pixels = np.bincount(records.masks.truth(0).mask.ravel())
    assert (pixels[1], pixels[255]) == (3 * 4 + 5 * 2 - 1 + 1, 4 * 4 - 2)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a.png,,m/ai.png\n", 1, "'a.png' names no mask file"),
        ("b.png,m/b1.png,m/bi.png\na.png,m/a1.png,", 2, "'a.png' is the image's first and names"),
        (LINES + "m/ai.png", 3, "'a.png' is not the image's first and names an ignore file"),
        (LINES + "\nc.png,m/a1.png,m/ai.png", 4, "'c.png' is not in image_ids.txt"),
        ("a.png,m/a1.png,m/ai.png\na.png,m/a2.png", 2, "2 fields instead of 3"),
        ("a.png,m/a1.png,m/ai.png,x", 1, "4 fields instead of 3"),
        ("a.png,0,0,5,5\n", 1, "lists boxes, but a mask folder was given"),
    ],
)
def test_bad_lines_are_named(root, text, line, what):
    (root / "metadata/test/localization.txt").write_text(text)
    error = refusal(root)
    assert what in error.what
    assert error.at == f"{root}/metadata/test/localization.txt:{line}"
    assert "image id" in error.expected or "same image ids" in error.expected


def test_an_image_without_mask(root):
    (root / "metadata/test/localization.txt").write_text("a.png,m/a1.png,m/ai.png")
    error = refusal(root)
    assert "'b.png' has no mask in localization.txt" in error.what
    assert error.at.endswith("image_ids.txt:2")


def test_masks_without_a_mask_folder(root):
    with pytest.raises(DataError, match="lists masks, but no mask folder") as caught:
        metadata_set("test", str(root))
    assert "masks=" in caught.value.hint
    (root / "masks").rename(root / "elsewhere")
    error = refusal(root)
    assert "the mask folder does not exist" in error.what
    assert "elsewhere" in error.known


@pytest.mark.parametrize("name", ["a2.png", "ai.png"])
def test_unreadable_files(root, name):
    path = root / "masks/m" / name
    data = path.read_bytes()
    for content, what in (
        (None, "the mask file does not exist"),
        (b"", "the mask file is empty"),
        (data[:-20], "the mask file is truncated"),
        (b"text" * 9, "the mask is damaged or of an unsupported kind"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        error = refusal(root, 0)
        assert isinstance(error, ImageError)
        assert error.what.startswith(what)
        assert error.at == str(path)


@pytest.mark.parametrize("name", ["a2.png", "ai.png"])
def test_masks_of_one_image_have_one_size(root, name):
    write_mask(root / "masks/m" / name, (40, 60), (1, 1, 2, 2))
    error = refusal(root, 0)
    assert error.what == (
        "the mask has 60 x 40 pixels (width x height), a1.png of the same image 30 x 20"
    )
    assert error.at == str(root / "masks/m" / name)


def test_masks_of_other_proportions(root):
    for name in ("b1.png", "bi.png"):
        write_mask(root / "masks/m" / name, (60, 40), (1, 1, 2, 2))
    error = refusal(root, 1)
    assert "the mask has 40 x 60 pixels, its image 30 x 20" in error.what
    assert error.at.endswith("b1.png")


@pytest.mark.parametrize(
    ("mask", "image"),
    [((1068, 1600), (684, 1024)), ((667, 1000), (683, 1024)), ((1600, 1068), (1024, 683))],
)
def test_rounded_proportions_are_the_same(tmp_path, mask, image):
    write_mask(tmp_path / "m.png", mask, (0, 0, 1, 1))
    files = MaskFiles(tmp_path, Names.of(["m.png"]), np.array([0, 1]), Names.of(["m.png"]))
    assert files.truth(0, image).mask.shape == mask
    with pytest.raises(DataError, match="different proportions"):
        files.truth(0, (image[0] - 4, image[1]))


def test_all_black_masks(root):
    write_mask(root / "masks/m/b1.png", (40, 60))
    assert refusal(root, 1).what == "the mask is all black"
    for name in ("a1.png", "a2.png"):
        write_mask(root / "masks/m" / name, (20, 30))
    assert refusal(root, 0).what == "the image's 2 masks are all black"
