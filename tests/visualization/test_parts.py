"""Parts in their colours: pixels by hand, what is stretched, where numbers stand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wsoltool.visualization.parts import (
    LEAST_RANGE,
    SAFE_COLORS,
    draw_parts,
    part_colors,
    relative_strengths,
)


def test_the_first_colours_are_safe_and_do_not_depend_on_the_count():
    assert part_colors(0) == ()
    assert part_colors(5) == SAFE_COLORS[:5]
    twenty = part_colors(20)
    assert twenty[:7] == SAFE_COLORS
    assert part_colors(12) == twenty[:12]


def test_twenty_colours_can_be_told_apart():
    colors = np.array([part_colors(20)], np.float32) / 255
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)[0]
    distances = np.linalg.norm(lab[:, None] - lab, axis=2)
    # One is the least difference that eyes see.
    assert distances[~np.eye(20, dtype=bool)].min() > 20
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 25  # none is grey, as the picture below


class TestStrengths:
    def test_each_part_is_stretched_by_itself(self):
        # Sigmoids that lie close together, and one that is weak everywhere.
        maps = np.array([[[0.5, 0.53, 0.56]], [[0.08, 0.04, 0.02]]], np.float32)
        expected = [[[0, 0.5, 1]], [[1, 1 / 3, 0]]]
        np.testing.assert_allclose(relative_strengths(maps), expected, atol=1e-5)

    def test_pixels_without_any_part_are_no_minimum(self):
        maps = np.array([[[0, 0.5, 1.0]], [[0, 0.25, 0.75]]], np.float32)
        assert relative_strengths(maps).tolist() == [[[0, 0, 1]], [[0, 0, 1]]]
        maps[1, 0, 0] = 0.5  # now it was seen
        assert relative_strengths(maps).tolist() == [[[0, 0.5, 1]], [[0.5, 0, 1]]]

    @pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
    def test_a_constant_part_becomes_zeros(self, value):
        maps = np.full((2, 3, 4), value, np.float32)
        assert not relative_strengths(maps).any()

    def test_a_part_that_hardly_varies_stays_weak(self):
        # A fifth of the least range; the rounding noise of a constant is nothing.
        maps = np.array([[[0.9, 0.91]], [[0.5, 0.5 + 6e-8]]], np.float32)
        expected = [[[0, 0.2]], [[0, 0]]]
        np.testing.assert_allclose(relative_strengths(maps), expected, atol=1e-5)

    def test_double_precision_and_the_arguments_are_left_alone(self):
        maps = np.array([[[0.5, 1.0]]], np.float64)
        assert relative_strengths(maps).dtype == np.float32
        assert maps.tolist() == [[[0.5, 1.0]]]

    @given(arrays.arrays(np.float32, (2, 2, 3), elements=st.floats(0, 1, width=32)))
    def test_any_maps_give_strengths_from_0_to_1(self, maps):
        strengths = relative_strengths(maps)
        assert strengths.min() >= 0
        ranges = [np.ptp(part[maps.any(axis=0)]) if maps.any() else 0 for part in maps]
        full = strengths.max(axis=(1, 2)) == 1
        assert full.tolist() == [bool(span >= np.float32(LEAST_RANGE)) for span in ranges]
        assert not strengths[:, ~maps.any(axis=0)].any()


def grey(value=102, size=(40, 120)):
    return np.full((*size, 3), value, np.uint8)


def columns(*values):
    """``(40, 120)`` map of three columns."""
    return np.repeat(np.array(values, np.float32), 40)[None].repeat(40, axis=0)


class TestPicture:
    def test_one_part_by_hand(self):
        # Strengths 1, 1/2 and 0: opacities 0.75, 0.375 and 0 of (230, 159, 0) over 102.
        picture = draw_parts(grey(), columns(0.4, 0.3, 0.2)[None])
        assert picture.dtype == np.uint8
        assert [picture[30, x].tolist() for x in (30, 60, 100)] == [
            [198, 145, 26],
            [150, 123, 64],
            [102, 102, 102],
        ]

    def test_the_part_that_is_strongest_for_itself_wins(self):
        # The second is weaker everywhere, but strongest at the right; there it wins.
        maps = np.stack([columns(0.9, 0.8, 0.7), columns(0.1, 0.2, 0.5)])
        picture = draw_parts(grey(0), maps)
        first, second = np.array(part_colors(2))
        assert np.allclose(picture[30, 30], 0.75 * first, atol=0.5)
        assert np.allclose(picture[30, 60], 0.375 * first, atol=0.5)
        assert np.allclose(picture[30, 85], 0.75 * second, atol=0.5)

    def test_the_image_below_is_grey(self):
        image = grey()
        image[..., 1:] = 0
        picture = draw_parts(image, columns(0.4, 0.3, 0.2)[None])
        # 0.299 of the red.
        assert picture[30, 100].tolist() == [30, 30, 30]
        assert image[0, 0].tolist() == [102, 0, 0]

    def test_a_small_map_is_enlarged(self):
        # Cell centres at 30 and 90 of 120 columns.
        picture = draw_parts(grey(0, (224, 120)), np.array([[[0.2, 0.6]]], np.float32))
        red = picture[200, :, 0].astype(int)
        assert (np.diff(red) >= 0).all()
        assert red[29] == 0
        assert red[60] == pytest.approx(0.75 * 230 / 2, abs=2)
        assert red[90] == round(0.75 * 230)

    @pytest.mark.parametrize("value", [0.0, 0.5])
    def test_a_part_that_is_nowhere_stronger_is_not_drawn(self, value):
        flat = np.full((40, 120), value, np.float32)
        assert np.array_equal(draw_parts(grey(), flat[None]), grey())
        both = draw_parts(grey(), np.stack([flat, columns(0.2, 0.3, 0.4)]))
        assert tuple(both[30, 100]) != (102, 102, 102)
        assert not (both == part_colors(1)[0]).all(axis=2).any()

    def test_a_part_that_hardly_varies_is_faint_and_has_no_number(self):
        picture = draw_parts(grey(0), columns(0.91, 0.9, 0.9)[None])
        assert picture[2, 2].tolist() == picture[30, 30].tolist()
        assert np.allclose(picture[30, 30], 0.75 * 0.2 * np.array(part_colors(1)[0]), atol=1)

    @pytest.mark.parametrize("place", [(100, 150), (0, 0), (223, 223)])
    def test_each_number_stands_where_its_part_is_strongest(self, place):
        spots = np.full((2, 224, 224), 0.1, np.float32)
        spots[0, 60, 60] = spots[(1, *place)] = 0.9
        picture = draw_parts(grey(0, (224, 224)), spots)
        for (y, x), color in zip([(60, 60), place], part_colors(2), strict=True):
            ys, xs = np.nonzero((picture == color).all(axis=2))
            assert ys.min() <= y <= ys.max()
            assert xs.min() <= x <= xs.max()
            frame = picture[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            assert (frame == 0).all(axis=2).any(), "no digit"
        one, two = (draw_parts(grey(0, (224, 224)), spots[i : i + 1]) for i in (0, 1))
        assert (one != two).any()

    @pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (300, 500)])
    def test_any_size_and_count(self, size):
        maps = np.random.default_rng(0).random((12, 5, 4), dtype=np.float32)
        assert draw_parts(grey(9, size), maps).shape == (*size, 3)
