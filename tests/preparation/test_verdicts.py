"""Records against facts: sizes, boxes, masks and segmentations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import BoxTable, Names, Records
from wsoltool.preparation.facts import Facts, Flaw
from wsoltool.preparation.verdicts import Judge

GOOD = Facts(True, (20, 30))


def judge(convention="exclusive", num_classes=2, **columns) -> Judge:
    """Of one image a.jpg."""
    records = Records(Names.of(["a.jpg"]), np.zeros(1, np.int64), **columns)
    return Judge(records, num_classes, Path("masks"), convention)


def flaw(judge, *facts):
    found = judge.flaw(0, judge.files(0), facts)
    return found and (found.kind, found.reason)


def boxes(*rows) -> BoxTable:
    return BoxTable(np.array([0, len(rows)]), np.array(rows, np.float32).reshape(-1, 4))


def masks(*names, ignored="", level=0) -> MaskFiles:
    offsets = np.array([0, len(names)])
    return MaskFiles(Path("masks"), Names.of(names), offsets, Names.of([ignored]), level)


def mask(size=(20, 30), highest: int | None = 255) -> Facts:
    return Facts(True, size, highest=highest)


def test_a_bad_file_is_all_that_is_said():
    broken = Facts(True, flaw=Flaw("empty", "nothing in it", "fetch"))
    assert flaw(judge(boxes=boxes((0, 0, 99, 99))), broken) == ("empty", "nothing in it")


def test_recorded_sizes():
    known = judge(sizes=np.array([[20, 30]]))
    assert flaw(known, GOOD) is None
    kind, reason = flaw(known, Facts(True, (20, 31)))
    assert kind == "size"
    assert "has 31 x 20 pixels, its record says 30 x 20" in reason


def test_a_turned_image_hints_at_the_option():
    known = judge(sizes=np.array([[30, 20]]))
    turned = known.flaw(0, known.files(0), [Facts(True, (20, 30), ("EXIF orientation 6",))])
    assert "exif" in turned.remedy
    upright = known.flaw(0, known.files(0), [GOOD])
    assert "exif" not in upright.remedy


@pytest.mark.parametrize(
    ("convention", "box", "sound"),
    [
        ("exclusive", (0, 0, 30, 20), True),
        ("exclusive", (0, 0, 31, 20), False),
        ("exclusive", (5, 5, 5, 9), False),
        ("inclusive", (0, 0, 29, 19), True),
        ("inclusive", (0, 0, 30, 19), False),
        ("inclusive", (5, 5, 5, 9), True),
    ],
)
def test_boxes_lie_inside_the_file(convention, box, sound):
    found = flaw(judge(convention, boxes=boxes((1, 1, 3, 3), box)), GOOD)
    assert (found is None) is sound
    assert sound or found[0] == "box"


def test_files_are_listed_in_order():
    full = judge(masks=masks("1.png", "2.png", ignored="i.png"), segments=Names.of(["s.png"]))
    names = [tuple(file) for file in full.files(0)]
    assert names == [
        ("image", "a.jpg"),
        ("mask", "1.png"),
        ("mask", "2.png"),
        ("mask", "i.png"),
        ("segments", "s.png"),
    ]
    assert len(judge(masks=masks("1.png"), segments=Names.of([""])).files(0)) == 2


def test_masks_fit_each_other_and_the_image():
    three = judge(masks=masks("1.png", "2.png", ignored="i.png"))
    assert flaw(three, GOOD, mask(), mask(), mask(highest=0)) is None
    half = mask((10, 15))
    assert flaw(three, GOOD, half, half, half) is None
    square = mask((20, 20))
    kind, reason = flaw(three, GOOD, square, square, square)
    assert kind == "mask"
    assert "different proportions" in reason
    assert "1.png" in reason
    for facts in ((half, mask(), half), (half, half, mask())):
        kind, reason = flaw(three, GOOD, *facts)
        assert kind == "mask"
        assert "of the same image" in reason


@pytest.mark.parametrize(("level", "highest", "sound"), [(0, 1, True), (0, 0, False)])
@pytest.mark.parametrize("shift", [0, 127])
def test_masks_show_something(level, highest, sound, shift):
    pair = judge(masks=masks("1.png", "2.png", level=level + shift))
    found = flaw(pair, GOOD, mask(highest=0), mask(highest=highest + shift * bool(highest)))
    assert (found is None) is sound
    assert sound or "all black" in found[1]


def test_masks_of_which_only_headers_were_read_are_not_called_black():
    assert flaw(judge(masks=masks("1.png")), GOOD, mask(highest=None)) is None


def test_the_ignored_pixels_are_no_object():
    pair = judge(masks=masks("1.png", ignored="i.png"))
    assert "all black" in flaw(pair, GOOD, mask(highest=0), mask(highest=255))[1]


def test_a_bad_mask_names_its_file():
    missing = Facts(True, flaw=Flaw("missing", "the mask file does not exist", "fetch"))
    kind, reason = flaw(judge(masks=masks("1.png")), GOOD, missing)
    assert kind == "mask: missing"
    assert reason == "the mask file does not exist (1.png)"


def test_segmentations():
    named = judge(segments=Names.of(["s.png"]))
    assert flaw(named, GOOD, mask(highest=2)) is None
    assert "names class 3 of 2" in flaw(named, GOOD, mask(highest=3))[1]
    assert "its image 30 x 20" in flaw(named, GOOD, mask((20, 31), 1))[1]
