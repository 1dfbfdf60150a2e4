"""Boxes on both pictures, in their classes' colours, dashed where difficult; sheets of any size."""

from dataclasses import replace

import numpy as np
import pytest

from wsoltool.structures import Truth
from wsoltool.visualization.contact_sheet import (
    CLASS_COLORS,
    COLUMNS,
    GAP,
    REGION_COLOR,
    TILE,
    SheetItem,
    contact_sheet,
    draw_item,
    fitted,
)
from wsoltool.visualization.overlay import PART_COLOR, TRUTH_COLOR

CLASSES = ("cat", "dog", "größe", "猫")


def truth(boxes, **others):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Truth(boxes, boxes.copy(), **others)


def item(boxes=None, labels=(0,), size=(104, 104), region=None, flipped=False, shown=(52, 52), **k):
    height, width = size
    known = None if boxes is None else truth(boxes, **k)
    region = region or (0.0, 0.0, float(width), float(height))
    black, grey = np.zeros((*size, 3), np.uint8), np.full((*shown, 3), 9, np.uint8)
    return SheetItem("a/b.jpg", black, size, labels, region, flipped, grey, shown, known)


def halves(picture):
    """The two pictures of a drawn item, without the caption."""
    assert picture.shape[1] == 2 * TILE + GAP
    return picture[:TILE, :TILE], picture[:TILE, TILE + GAP :]


def extent(picture, color):
    """x0, y0, x1, y1 of the pixels of a colour, x1 y1 exclusive; None where there are none."""
    rows, columns = np.nonzero((picture == color).all(axis=-1))
    if not len(rows):
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_box_is_drawn_on_image_and_input():
    # The tile is 208 wide: the image is shown at 2, the input at 4 times its size.
    original, seen = halves(draw_item(item([[10, 20, 40, 60]]), CLASSES, several=False))
    assert extent(original, TRUTH_COLOR) == (20, 40, 80, 120)
    assert extent(seen, TRUTH_COLOR) == (20, 40, 80, 120)


def test_pictures_may_be_fitted_before():
    whole = item([[60, 20, 80, 60]], size=(150, 333), region=(52.0, 0.0, 104.0, 104.0))
    whole.image = np.random.default_rng(0).integers(0, 256, (150, 333, 3), dtype=np.uint8)
    small = replace(whole, image=fitted(whole.image), input=fitted(whole.input))
    assert small.image.shape == (94, 208, 3)
    np.testing.assert_array_equal(
        draw_item(small, CLASSES, several=False), draw_item(whole, CLASSES, several=False)
    )


def test_the_inputs_box_follows_region_flip_and_squash():
    # The right half of the image, squashed to a square and mirrored.
    cut = item([[60, 20, 80, 60]], region=(52.0, 0.0, 104.0, 104.0), flipped=True)
    original, seen = halves(draw_item(cut, CLASSES, several=False))
    assert extent(original, TRUTH_COLOR) == (120, 40, 160, 120)
    # 8 to 28 of 52 columns: 32 to 112 of 208, mirrored 96 to 176.
    assert extent(seen, TRUTH_COLOR) == (96, 40, 176, 120)
    assert extent(original, REGION_COLOR) == (104, 0, 208, 208)
    assert extent(seen, REGION_COLOR) is None


def test_boxes_are_cut_at_the_input_and_left_out_beyond_it():
    cut = item([[0, 0, 60, 104], [0, 0, 50, 50]], region=(52.0, 0.0, 104.0, 104.0))
    seen = halves(draw_item(cut, CLASSES, several=False))[1]
    assert extent(seen, TRUTH_COLOR) == (0, 0, 32, 208)


def test_tiles_keep_the_aspect_and_fill_the_rest_with_grey():
    original, seen = halves(draw_item(item(size=(52, 104)), CLASSES, several=False))
    assert extent(original, (0, 0, 0)) == (0, 52, 208, 156)
    assert (original[:52] == 235).all()
    assert extent(seen, (9, 9, 9)) == (0, 0, 208, 208)


def test_classes_have_colours_of_their_own():
    boxed = item([[10, 20, 40, 60], [50, 20, 90, 60]], labels=[1, 2])
    boxed.truth.labels = np.array([2, 1])
    original, _ = halves(draw_item(boxed, CLASSES, several=True))
    assert extent(original, CLASS_COLORS[1]) == (20, 40, 80, 120)  # the second label
    assert extent(original, CLASS_COLORS[0]) == (100, 40, 180, 120)
    caption = draw_item(boxed, CLASSES, several=True)[TILE:]
    for color in CLASS_COLORS[:2]:
        assert extent(caption, color) is not None


def test_difficult_boxes_are_dashed():
    plain, dashed = (
        halves(draw_item(item([[10, 20, 40, 60]], difficult=np.array([hard])), CLASSES, False))[0]
        for hard in (False, True)
    )
    whole, part = ((picture == TRUTH_COLOR).all(axis=-1) for picture in (plain, dashed))
    assert 0.3 * whole.sum() < part.sum() < 0.7 * whole.sum()
    assert not (part & ~whole).any()


def test_parts_masks_and_segments_are_shown_on_the_image():
    mask = np.zeros((104, 104), np.uint8)
    mask[52:] = 1
    mask[:10] = 255
    parts = np.array([[30, 30, 40, 40]], np.float32)
    original, _ = halves(
        draw_item(item([[0, 0, 9, 9]], mask=mask, part_boxes=parts), CLASSES, False)
    )
    assert extent(original, PART_COLOR) == (60, 60, 80, 80)
    assert original[206, 100].tolist() == [round(0.25 * c) for c in TRUTH_COLOR]
    assert (original[60, 100] == 0).all()
    assert original[10, 100, 0] > 50  # ignored
    segments = np.full((104, 104), 2, np.int16)
    shown, _ = halves(draw_item(item([], labels=[1], segments=segments), CLASSES, several=True))
    np.testing.assert_allclose(shown[100, 100], 0.25 * np.array(CLASS_COLORS[0]), atol=1)


@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 1])
def test_sheets_of_any_number_of_images(count):
    sheet = contact_sheet([item([[1, 2, 30, 40]])] * count, CLASSES, "title: größe")
    rows = -(-count // COLUMNS)
    tile = draw_item(item(), CLASSES, several=False).shape[0]
    assert sheet.shape[0] - rows * tile == contact_sheet([item()], CLASSES, "").shape[0] - tile
    assert sheet.dtype == np.uint8
    found = (sheet[-rows * tile :] == TRUTH_COLOR).all(axis=-1)
    # One original and one input a tile.
    one = (draw_item(item([[1, 2, 30, 40]]), CLASSES, False) == TRUTH_COLOR).all(axis=-1).sum()
    assert found.sum() == count * one


def test_images_without_label_or_with_names_beyond_the_font():
    odd = [item(labels=()), item(labels=(2, 3)), item([[0, 0, 5, 5]], labels=(-1,))]
    sheet = contact_sheet(odd, CLASSES, "x" * 500)
    assert sheet.shape == contact_sheet([item()] * 3, CLASSES, "").shape
    long = contact_sheet([item()], ["n" * 500], "t")
    assert long.shape == contact_sheet([item()], CLASSES, "t").shape
