"""A picture for each named map; many share the room of a few."""

import numpy as np
import pytest

from wsoltool.visualization.branches import draw_branches, tiles
from wsoltool.visualization.lettering import line_height, titled
from wsoltool.visualization.overlay import blend_map


def maps(count, size=(30, 40)):
    """By name, each strongest in its own column."""
    places = np.linspace(0, 1, count)
    columns = np.linspace(0, 1, size[1])
    return {
        f"branch {i}": np.tile(1 - np.abs(columns - x), (size[0], 1)).astype(np.float32)
        for i, x in enumerate(places)
    }


def picture(size):
    return np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_few_have_the_images_size_and_their_names(count):
    image = picture((150, 224))
    found = draw_branches(image, maps(count))
    assert len(found) == count == tiles(count)
    for shown, (name, values) in zip(found, maps(count).items(), strict=True):
        plain = blend_map(image, values)
        assert np.array_equal(shown, titled(plain, name))
        below = line_height(13) + 4
        assert np.array_equal(shown[below:], plain[below:])
        assert not np.array_equal(shown[:below], plain[:below])


# Sides that are odd, and those that are not.
@pytest.mark.parametrize(("size", "small"), [((224, 224), (110, 110)), ((167, 225), (81, 110))])
@pytest.mark.parametrize(("count", "room"), [(6, 2), (8, 2), (9, 3)])
def test_many_stand_in_two_lines(count, room, size, small):
    image = np.full((*size, 3), 90, np.uint8)
    (found,) = draw_branches(image, maps(count))
    assert tiles(count) == room
    assert found.shape == (size[0], room * size[1] + 4 * (room - 1), 3)
    covered = np.zeros(found.shape[:2], bool)
    lefts = [
        column // 2 * (size[1] + 4) + (column % 2) * (size[1] - small[1]) for column in range(6)
    ]
    half = (count + 1) // 2
    for index, (name, values) in enumerate(maps(count).items()):
        top, left = (index >= half) * (size[0] - small[0]), lefts[index % half]
        place = slice(top, top + small[0]), slice(left, left + small[1])
        own = titled(blend_map(np.full((*small, 3), 90, np.uint8), values), name)
        assert np.array_equal(found[place], own)
        assert not covered[place].any()
        covered[place] = True
    assert (found[~covered] == 255).all()


@pytest.mark.parametrize("size", [(99, 224), (224, 99), (1, 300), (3, 300)])
def test_images_that_cannot_be_halved_keep_their_size(size):
    found = draw_branches(picture(size), maps(8))
    assert [shown.shape for shown in found] == [(*size, 3)] * 8


def test_long_names_that_differ_at_their_ends_are_told_apart():
    values = np.zeros((10, 10), np.float32)
    names = [f"{first} member / {last} branch" + "x" * 3 + last for first in "ab" for last in "cd"]
    found = draw_branches(np.zeros((100, 100, 3), np.uint8), dict.fromkeys(names, values))
    assert len({shown.tobytes() for shown in found}) == 4


def test_the_image_is_not_painted_on():
    image = picture((120, 120))
    before = image.copy()
    draw_branches(image, maps(2))
    draw_branches(image, maps(8))
    assert np.array_equal(image, before)
