"""Exact pixels: half-open boxes, colours of maps, sizes of pictures."""

import cv2
import numpy as np
import pytest

from wsoltool.errors import WorkDirError
from wsoltool.visualization.overlay import (
    blend_map,
    draw_boxes,
    draw_label,
    enlarge,
    save_png,
    side_by_side,
)

RED = (255, 0, 0)


def drawn(boxes, shape=(20, 30), factor=1.0):
    """``(H, W)`` bool: the pixels that were painted."""
    picture = draw_boxes(np.zeros((*shape, 3), np.uint8), np.array(boxes, float), RED, factor)
    painted = picture.any(axis=-1)
    assert (picture[painted] == RED).all()
    return painted


def outline(shape, x0, y0, x1, y1, thickness=1):
    """Slow reference: the pixels within ``thickness`` of a half-open box's edge, inside it."""
    painted = np.zeros(shape, bool)
    painted[y0:y1, x0:x1] = True
    painted[y0 + thickness : y1 - thickness, x0 + thickness : x1 - thickness] = False
    return painted


def test_a_box_paints_its_own_outermost_pixels():
    painted = drawn([[3, 4, 10, 9]])
    rows, columns = np.nonzero(painted)
    # x1 and y1 are exclusive: the last column is 9, the last row 8.
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (3, 4, 9, 8)
    assert np.array_equal(painted, outline((20, 30), 3, 4, 10, 9))
    assert painted.sum() == 2 * 7 + 2 * 5 - 4


def test_the_whole_image_is_framed_at_its_border():
    assert np.array_equal(drawn([[0, 0, 30, 20]]), outline((20, 30), 0, 0, 30, 20))


def test_an_enlarged_image_takes_boxes_of_the_original():
    painted = drawn([[3, 4, 10, 9]], shape=(40, 60), factor=2.0)
    assert np.array_equal(painted, outline((40, 60), 6, 8, 20, 18))


def test_fractions_are_rounded_to_the_nearest_pixel_halves_up():
    assert np.array_equal(drawn([[2.5, 3.4, 9.6, 8.5]]), outline((20, 30), 3, 3, 10, 9))
    assert np.array_equal(drawn([[3, 4, 10, 9]], factor=1.5), outline((20, 30), 5, 6, 15, 14))


def test_thick_lines_grow_inwards():
    shape = (400, 500)  # lines of three pixels
    assert np.array_equal(drawn([[40, 50, 90, 120]], shape), outline(shape, 40, 50, 90, 120, 3))
    assert np.array_equal(drawn([[0, 0, 500, 400]], shape), outline(shape, 0, 0, 500, 400, 3))
    # A box too small for its lines is filled, not left.
    assert np.array_equal(drawn([[40, 50, 44, 120]], shape), outline(shape, 40, 50, 44, 120, 2))
    assert np.array_equal(drawn([[40, 50, 45, 53]], shape), outline(shape, 40, 50, 45, 53, 2))
    assert np.array_equal(drawn([[40, 50, 41, 120]], shape), outline(shape, 40, 50, 41, 120))


def test_boxes_without_area_and_at_the_edge_are_still_seen():
    assert drawn([[3, 4, 3, 4]]).sum() == 1
    assert drawn([[29, 19, 30, 20]])[19, 29]
    assert drawn(np.zeros((0, 4))).sum() == 0


def test_the_image_is_not_painted_on():
    image = np.zeros((20, 30, 3), np.uint8)
    assert draw_boxes(image, [np.array([1, 1, 9, 9])], RED).any()
    assert draw_label(image, "owl", RED).any()
    assert not image.any()


def test_negative_strides_are_accepted():
    image = np.zeros((20, 30, 3), np.uint8)[:, ::-1, ::-1]
    assert draw_boxes(image, [np.array([3, 4, 10, 9])], RED)[4, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("shape", "size", "factor"),
    [((50, 100), (100, 200), 2.0), ((100, 30), (200, 60), 2.0), ((300, 10), (300, 10), 1.0)],
)
def test_small_images_are_enlarged_to_the_side_others_left(shape, size, factor):
    image = np.full((*shape, 3), 7, np.uint8)
    larger, found = enlarge(image, 200)
    assert larger.shape == (*size, 3)
    assert found == factor
    assert (larger == 7).all()


def test_maps_run_from_blue_to_red_over_the_image():
    image = np.full((4, 8, 3), 100, np.uint8)
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[None].repeat(4, axis=0)
    shown = blend_map(image, ramp, weight=1.0)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_TURBO)
    table = table[0, :, ::-1].astype(int)
    assert shown[0, 0].tolist() == table[0].tolist()
    assert shown[0, -1].tolist() == table[255].tolist()
    assert shown[0, 1, 2] > shown[0, 1, 0]
    assert shown[0, -1, 0] > shown[0, -1, 2]
    half = blend_map(image, ramp, weight=0.5).astype(int)
    assert np.abs(half - (shown.astype(int) + 100) / 2).max() <= 1
    assert np.array_equal(blend_map(image, ramp, weight=0.0), image)


def test_a_map_of_another_size_covers_the_image():
    image = np.zeros((40, 60, 3), np.uint8)
    shown = blend_map(image, np.array([[0.0, 1.0]], np.float32), weight=1.0)
    assert shown.shape == image.shape
    assert (shown[:, 0] == shown[0, 0]).all()
    assert not np.array_equal(shown[0, 0], shown[0, -1])


def test_labels_are_written_on_a_dark_strip_at_the_top():
    image = np.full((100, 200, 3), 200, np.uint8)
    shown = draw_label(image, "owl 0.93", (255, 255, 255))
    changed = (shown != image).any(axis=-1)
    assert changed[:10, :20].any()
    assert not changed[60:].any()
    assert (shown[0, 0] == 0).all()


def test_pictures_stand_side_by_side_with_a_white_gap():
    first, second = np.zeros((5, 7, 3), np.uint8), np.full((5, 3, 3), 9, np.uint8)
    row = side_by_side([first, second], gap=2)
    assert row.shape == (5, 12, 3)
    assert (row[:, 7:9] == 255).all()
    assert (row[:, 9:] == 9).all()


def test_a_saved_picture_reads_back_as_rgb(tmp_path):
    picture = np.random.default_rng(0).integers(256, size=(6, 5, 3), dtype=np.uint8)
    path = tmp_path / "deep" / "färbe.png"
    save_png(path, picture)
    stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(stored[..., ::-1], picture)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkDirError, match="picture cannot be written"):
        save_png(tmp_path / "file" / "a.png", np.zeros((2, 2, 3), np.uint8))
