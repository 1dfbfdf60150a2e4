"""What a survey finds in records, in files and in data sets that have neither."""

import weakref

import cv2
import numpy as np
import pytest

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.image_files import ImageFiles
from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import BoxTable, Names, Records
from wsoltool.datasets.split_statistics import plain_statistics, split_statistics
from wsoltool.datasets.statistics_table import statistics_table
from wsoltool.datasets.survey import survey
from wsoltool.errors import ImageError, SupervisionError
from wsoltool.structures import Truth

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def files(tmp_path, write_image):
    """A function that makes a data set of records, and images of 20 x 30 pixels for it."""

    def make(split="test", count=4, labels=(0, 1, 1, 0), **columns):
        names = [f"{number}.png" for number in range(count)]
        for name in names:
            write_image(tmp_path / name)
        options = {"image_root": tmp_path, "classes": CLASSES, "exif": False}
        convention = columns.pop("box_convention", "exclusive")
        records = Records(Names.of(names), np.array(labels), **columns)
        return ImageFiles(split, **options, records=records, box_convention=convention)

    return make


def table(difficult=None):
    """Two boxes in image 0, one in image 2."""
    boxes = np.array([[0, 0, 9, 9], [0, 0, 29, 19], [10, 0, 19, 19]])
    return BoxTable.group(np.array([0, 0, 2]), boxes, 4, difficult=difficult)


def look(dataset, sample=100):
    return survey(dataset, sample, np.random.default_rng(0))


def figures(dataset, sample=100, inputs=((8, 8),)):
    found = split_statistics("test", dataset, look(dataset, sample), list(inputs))
    return plain_statistics(found)


def test_records_are_read_in_the_files_convention(files):
    dataset = files(
        sizes=np.array([[20, 30]] * 4),
        boxes=table(np.array([True, False, False])),
        box_convention="inclusive",
    )
    found = figures(dataset)
    assert found["images"] == 4
    assert found["classes"] == {
        "count": 3,
        "sample": None,
        "min": 0,
        "median": 2.0,
        "max": 2,
        "missing": ["eel"],
        "images": {"cat": 2, "dog": 2, "eel": 0},
    }
    assert found["labels_per_image"] == {"mean": 1.0, "max": 1, "images_without": 0}
    assert found["sizes"] == {"sample": None, "width": [30.0] * 3, "height": [20.0] * 3}
    boxes = found["boxes"]
    assert (boxes["count"], boxes["mean"], boxes["max"]) == (3, 0.75, 2)
    assert (boxes["images_without"], boxes["difficult"]) == (2, 1)
    assert boxes["sample"] is boxes["measured_sample"] is None
    # 10 x 10, 30 x 20 and 10 x 20 pixels of 30 x 20.
    assert boxes["area"]["edges"] == pytest.approx([5, 10, 25, 50, 75])
    assert boxes["area"]["counts"] == [0, 0, 1, 1, 0, 1]
    assert boxes["area"]["percentiles"]["50"] == pytest.approx(100 / 3)
    assert boxes["aspect_ratio"]["counts"] == [0, 0, 1, 1, 1, 0, 0]
    assert found["inputs"] == {"tried": 1, "sizes": [[8, 8]]}


def test_records_open_no_image(files, tmp_path):
    dataset = files(sizes=np.array([[20, 30]] * 4), boxes=table())
    for path in tmp_path.iterdir():
        path.unlink()
    assert figures(dataset)["boxes"]["count"] == 3


def test_sizes_that_records_lack_come_from_a_sample_of_headers(files):
    found = look(files(boxes=table()), sample=2)
    assert found.sizes.tolist() == [[20, 30]] * 2
    assert (found.boxes.counted, found.boxes.measured) == (4, 2)
    assert found.boxes.counts.tolist() == [2, 0, 1, 0]
    assert len(found.boxes.boxes) == len(found.boxes.sizes) < 3
    plain = figures(files(boxes=table()), sample=2)
    assert plain["sizes"]["sample"] == plain["boxes"]["measured_sample"] == 2
    assert plain["boxes"]["sample"] is None


def test_a_file_without_header_is_a_problem_and_left_out(files, tmp_path):
    dataset = files(boxes=table())
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "1.png").unlink()
    found = look(dataset)
    assert [type(found.problems[index]) for index in (0, 1)] == [ImageError] * 2
    assert found.problems[1].at.endswith("1.png")
    assert len(found.sizes) == found.boxes.measured == 2
    assert found.boxes.boxes.tolist() == [[10, 0, 19, 19]]
    assert found.boxes.counts.tolist() == [2, 0, 1, 0]


def test_boxes_of_train_weaksup_are_not_touched(files):
    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError("a box of train-weaksup was read")

    dataset = files("train-weaksup", boxes=Forbidden(), masks=Forbidden(), segments=Forbidden())
    found = figures(dataset)
    assert found["boxes"] is None
    assert found["boxes_withheld"] is True
    assert figures(files())["boxes"] is None
    assert figures(files())["boxes_withheld"] is False


def test_boxes_that_masks_tell_come_from_a_sample(files, tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 20:60] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    masks = MaskFiles(
        tmp_path, Names.of(["mask.png"] * 4), np.arange(5), Names.of([""] * 4), level=0
    )
    found = look(files(masks=masks), sample=3)
    assert found.boxes.boxes.tolist() == [[10, 5, 30, 10]] * 3
    assert (found.boxes.counted, found.masks) == (3, 1.0)
    (tmp_path / "mask.png").unlink()
    broken = look(files(masks=masks))
    assert len(broken.problems) == 4
    assert broken.boxes.counted == 0


def test_labels_of_several_classes(files):
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]], np.uint8)
    found = figures(files("train-weaksup", labels=labels, sizes=np.array([[20, 30]] * 4)))
    assert found["multi_label"] is True
    assert found["classes"]["images"] == {"cat": 2, "dog": 0, "eel": 1}
    assert found["labels_per_image"] == {"mean": 0.75, "max": 2, "images_without": 2}


def test_segments_are_shares(files):
    names = Names.of(["a.png", "", "", "b.png"])
    dataset = files(boxes=table(), sizes=np.array([[20, 30]] * 4), segments=names)
    assert look(dataset).segments == 0.5
    assert figures(dataset)["segments"] == 50.0


class Plain(LocalizationDataset):
    """A data set of its own, without records: 12 images, image 3 cannot be read."""

    def __init__(self, split="test"):
        super().__init__(split)
        self.classes, self.image_ids = CLASSES, [f"p{number}" for number in range(12)]

    def load(self, index):
        if index == 3:
            raise ImageError("broken", at="p3")
        return np.zeros((10, 10 + index, 3), np.uint8)

    def label(self, index):
        return index % 2

    def read_truth(self, index):
        boxes = np.array([[0, 0, 5, 5]] * (index % 2), np.float32).reshape(-1, 4)
        return Truth(boxes, boxes, mask=np.zeros((10, 10 + index), np.uint8))


def test_data_sets_without_records_are_asked_for_a_sample():
    found = look(Plain(), sample=12)
    assert found.rows.tolist() == [i for i in range(12) if i != 3]
    assert {row: problem.at for row, problem in found.problems.items()} == {3: "p3"}
    assert found.boxes.counts.tolist() == [i % 2 for i in range(12) if i != 3]
    assert (found.masks, found.segments) == (1.0, 0.0)
    few = look(Plain(), sample=4)
    assert len(few.rows) + len(few.problems) == 4
    assert few.labels.tolist() == (few.rows % 2).tolist()
    assert few.sizes.tolist() == [[10, 10 + row] for row in few.rows]


def test_masks_are_not_kept():
    known = []

    class Watched(Plain):
        def read_truth(self, index):
            truth = super().read_truth(index)
            assert sum(mask() is not None for mask in known) <= 1, "of the image before"
            known.append(weakref.ref(truth.mask))
            return truth

    assert look(Watched()).masks == 1.0
    assert len(known) == 11


def test_truth_is_not_asked_for_in_train_weaksup(monkeypatch):
    dataset = Plain("train-weaksup")
    with pytest.raises(SupervisionError):
        dataset.truth(0)
    assert look(dataset).boxes is None


def test_a_data_set_that_cannot_be_read_at_all_is_an_error():
    class Broken(Plain):
        def load(self, index):
            raise ImageError("broken", at=f"p{index}")

    with pytest.raises(ImageError, match="broken"):
        look(Broken())


def rendered(*splits):
    from rich.console import Console

    console = Console(width=150, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(statistics_table(splits))
    return captured.get()


def test_the_table_says_what_is_known_withheld_and_sampled(files):
    def split(name, dataset, sample=100, inputs=((8, 9), (8, 16))):
        return split_statistics(name, dataset, look(dataset, sample), list(inputs))

    known = split("test", files(boxes=table(), sizes=np.array([[20, 30]] * 4)))
    withheld = split("train", files("train-weaksup"), sample=2, inputs=((8, 9),))
    text = rendered(withheld, known)
    rows = {line[:18].strip(): line[18:].split("  ") for line in text.splitlines()}
    assert [cell.strip() for cell in rows["boxes"] if cell.strip()] == ["-", "3"]
    assert "9 x 8" in rows["network sees"][0]
    assert "2 sizes, 9 x 8 .. 16 x 8" in text
    assert "train: boxes of train-weaksup are never read" in text
    assert "train: sizes: of a random sample of 2 images." in text
    assert "1: eel" in text
    assert "difficult" not in text
    assert "test: the data set has no boxes" not in text
    assert "no boxes in this split" in rendered(split("val", files()))
