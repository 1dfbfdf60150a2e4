"""From entries to records: every check, and every column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsoltool.datasets.readers.packing import pack, wrong_boxes
from wsoltool.datasets.records import Entry, Problem, Reading
from wsoltool.errors import DataError, ImageError

CLASSES = ("cat", "dog", "emu")
BOX = (1, 2, 3, 4)


def packed(*entries, with_truth=True, **options) -> Reading:
    defaults = {"multi_label": False, "box_convention": "exclusive", "mask_root": Path("masks")}
    return pack(iter(entries), CLASSES, with_truth=with_truth, **{**defaults, **options})


def single(image="a", labels=(0,), boxes=(BOX,), **values) -> Entry:
    return Entry(image=image, labels=labels, boxes=boxes, **values)


def several(image="a", labels=(0,), boxes=(BOX,), box_labels=(0,), **values) -> Entry:
    return Entry(image=image, labels=labels, boxes=boxes, box_labels=box_labels, **values)


def error_of(entry, **options) -> DataError:
    """The error of an entry beside a sound one."""
    make = several if options.get("multi_label") else single
    reading = packed(make("sound"), entry, **options)
    assert list(reading.records.ids) == ["sound"]
    (problem,) = reading.problems
    assert problem.image == entry.image
    return problem.error


def test_one_label_an_image():
    reading = packed(
        single("b", (2,), [(0, 0, 5, 5), BOX], size=(10, 20)),
        single("a", (1,), [(2, 2, 7.5, 8)], size=(9, 8)),
    )
    records = reading.records
    assert reading.classes == CLASSES
    assert reading.problems == ()
    assert list(records.ids) == ["b", "a"]
    assert records.labels.tolist() == [2, 1]
    assert records.labels.dtype == np.int64
    assert records.sizes.tolist() == [[10, 20], [9, 8]]
    assert records.boxes.offsets.tolist() == [0, 2, 3]
    assert records.boxes.boxes.tolist() == [[0, 0, 5, 5], [1, 2, 3, 4], [2, 2, 7.5, 8]]
    assert records.boxes.boxes.dtype == np.float32
    assert records.boxes.labels is records.boxes.difficult is None
    assert records.masks is records.segments is None


def test_several_labels_an_image():
    reading = packed(
        several("a", (0, 2), [BOX, (0, 0, 9, 9), (5, 5, 6, 6)], (2, 0, 2)),
        several("b", (), (), ()),
        several("c", (1,), [BOX], (1,)),
        multi_label=True,
    )
    labels = reading.records.labels
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert labels.dtype == np.uint8
    boxes = reading.records.boxes
    assert boxes.offsets.tolist() == [0, 3, 3, 4]
    assert boxes.labels.tolist() == [2, 0, 2, 1]
    assert boxes.labels.dtype == np.int64


def test_boxes_without_class_have_their_images():
    entries = single("a", (1,), [BOX, BOX]), single("b", (2,), [BOX], box_labels=(0,))
    assert packed(*entries).records.boxes.labels.tolist() == [1, 1, 0]


def test_difficult_boxes():
    entries = single("a", boxes=[BOX, BOX]), single("b", boxes=[BOX, BOX], difficult=(True, False))
    difficult = packed(*entries).records.boxes.difficult
    assert difficult.tolist() == [False, False, True, False]
    assert difficult.dtype == bool
    none = packed(single("a", difficult=(False,)))
    assert none.records.boxes.difficult is None


def test_masks():
    reading = packed(
        single("a", boxes=(), masks=("a1", "a2"), ignored="ai"),
        single("b", boxes=(), masks=("b1",)),
        mask_level=7,
    )
    masks = reading.records.masks
    assert reading.records.boxes is None
    assert list(masks.masks) == ["a1", "a2", "b1"]
    assert list(masks.ignored) == ["ai", ""]
    assert masks.offsets.tolist() == [0, 2, 3]
    assert (masks.root, masks.level) == (Path("masks"), 7)


def test_masks_and_boxes():
    records = packed(single(masks=("m",))).records
    assert records.boxes.boxes.tolist() == [[1, 2, 3, 4]]
    assert list(records.masks.masks) == ["m"]


def test_segments():
    records = packed(single("a", segments="s.png"), single("b")).records
    assert list(records.segments) == ["s.png", ""]


def test_sizes_are_all_known_or_none():
    assert packed(single("a", size=(9, 9)), single("b")).records.sizes is None


def test_training_images_keep_labels_alone():
    full = {"masks": ("m",), "segments": "s", "difficult": (True,), "size": (9, 9)}
    records = packed(single("a", (1,), **full), single("b", (2,), ()), with_truth=False).records
    assert records.labels.tolist() == [1, 2]
    assert records.boxes is records.masks is records.segments is None


def test_boxes_are_not_judged_where_they_are_not_read():
    reading = packed(single(boxes=[(5, 5, 1, 1)], difficult=(True, True)), with_truth=False)
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (single("sound"), "the image is listed twice"),
        (single(labels=()), "the image has 0 classes"),
        (single(labels=(0, 1)), "the image has 2 classes"),
        (single(labels=(3,)), "label 3 is out of range"),
        (single(labels=(-1,)), "label -1 is out of range"),
        (single(box_labels=(3,)), "label 3 is out of range"),
        (single(boxes=()), "the image has neither box nor mask"),
        (single(difficult=(True, True)), "2 difficult for 1 boxes"),
        (single(box_labels=(1, 1)), "2 box_labels for 1 boxes"),
        (single(boxes=[BOX, (3, 3, 3, 5)]), "box 3,3,3,5 has no area"),
        (single(boxes=[(0, 0, 9, 4)], size=(9, 8)), "outside the image of 8 x 9 pixels"),
    ],
)
def test_problems_of_one_label_images(entry, what):
    assert what in error_of(entry).what


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (several("sound"), "the image is listed twice"),
        (several(labels=(0, 3)), "label 3 is out of range"),
        (several(box_labels=(-1,)), "label -1 is out of range"),
        (several(box_labels=()), "boxes without classes in a multi-label data set"),
        (several(box_labels=(1, 2)), "2 box_labels for 1 boxes"),
        (several(boxes=[(3, 3, 2, 5)]), "has no area"),
    ],
)
def test_problems_of_images_with_several_labels(entry, what):
    assert what in error_of(entry, multi_label=True).what


def test_problems_say_where():
    at = error_of(single(labels=(9,), at="labels.txt:3"))
    assert (at.at, at.expected) == ("labels.txt:3", "0 to 2")
    assert error_of(single("b/1.jpg", labels=(9,))).at == "b/1.jpg"


def test_the_readers_own_problems_come_first_and_stay_in_order():
    damaged = Problem("x", ImageError("damaged", at="x"))
    reading = packed(single("a", (7,)), damaged, single("b"), single("b"))
    assert [problem.image for problem in reading.problems] == ["a", "x", "b"]
    assert reading.problems[1] is damaged
    assert list(reading.records.ids) == ["b"]


def test_images_without_mask_among_others():
    entries = single("a", masks=("m",)), single("b", at="list:2"), single("c", boxes=())
    reading = packed(*entries)
    assert list(reading.records.ids) == ["a"]
    assert {p.image: p.error.at for p in reading.problems} == {"b": "list:2", "c": "c"}
    assert "has no mask, but others" in reading.problems[1].error.what
    assert len(packed(*entries, with_truth=False).records) == 3


def test_nothing_at_all():
    reading = packed()
    assert len(reading.records) == 0
    assert reading.records.labels.shape == (0,)
    assert reading.records.boxes is None
    assert packed(multi_label=True).records.labels.shape == (0, 3)


def test_images_without_any_box():
    records = packed(several("a", (1,), (), ()), multi_label=True).records
    assert records.boxes is None
    assert records.labels.tolist() == [[0, 1, 0]]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "convention", "right"),
    [
        ((0, 0, 30, 20), "exclusive", True),
        ((0, 0, 29, 19), "inclusive", True),
        ((0, 0, 30, 19), "inclusive", False),
        ((0, 0, 29, 20), "inclusive", False),
        ((0, 0, 30.01, 20), "exclusive", False),
        ((0, 0, 30, 20.01), "exclusive", False),
        ((-0.01, 0, 5, 5), "exclusive", False),
        ((0, -0.01, 5, 5), "exclusive", False),
        ((5, 5, 5, 6), "exclusive", False),
        ((5, 5, 5, 5), "inclusive", True),
        ((5, 5, 4, 5), "inclusive", False),
        ((5, 5, 6, 4), "inclusive", False),
        ((NAN, 5, 6, 7), "exclusive", False),
        ((5, NAN, 6, 7), "inclusive", False),
        ((5, 5, NAN, 7), "exclusive", False),
        ((5, 5, 6, NAN), "exclusive", False),
    ],
)
def test_boxes_have_area_and_lie_inside(box, convention, right):
    errors = [*wrong_boxes([BOX, box], (20, 30), convention)]
    assert len(errors) == (not right)


@pytest.mark.parametrize(
    ("box", "right"),
    [
        ((1, 1, 30, 20), True),
        ((0, 1, 9, 9), False),
        ((1, 0, 9, 9), False),
        ((1, 1, 31, 20), False),
        ((1, 1, 30, 21), False),
    ],
)
def test_boxes_that_count_from_one(box, right):
    reading = packed(
        single("a", boxes=[box], size=(20, 30)), box_convention="inclusive", first_pixel=1
    )
    if right:
        assert reading.records.boxes.boxes.tolist() == [[0, 0, 29, 19]]
        assert reading.records.boxes.boxes.dtype == np.float32
    else:
        error = reading.problems[0].error
        assert f"box {','.join(map(str, box))} lies outside the image of 30 x 20" in error.what
        assert "counted from 1" in error.expected


@pytest.mark.parametrize("box", [(0, 0, INF, 5), (0, 0, 5, INF), (-INF, 0, 5, 5)])
def test_endless_boxes_lie_outside_of_any_image(box):
    for size in (None, (20, 30)):
        (error,) = wrong_boxes([box], size, "exclusive")
        assert "outside the image" in error.what


def test_far_boxes_pass_where_no_size_is_known():
    assert not [*wrong_boxes([(0, 0, 1e6, 1e6)], None, "exclusive")]
