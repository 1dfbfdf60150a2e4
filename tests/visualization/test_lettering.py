"""Text that appears, fits, and is honest about letters that the font lacks."""

import numpy as np
import pytest

from wsoltool.visualization.lettering import (
    legible,
    line_height,
    shortened,
    text_width,
    titled,
    write_text,
)


def written(text, shape=(40, 300), place=(5, 6), size=14):
    canvas = np.full((*shape, 3), 255, np.uint8)
    end = write_text(canvas, place, text, (200, 0, 0), size)
    return (canvas != 255).any(axis=-1), end


def test_text_stands_where_it_was_put():
    ink, end = written("Hg")
    rows, columns = np.nonzero(ink)
    assert 5 <= columns.min() <= 8
    assert columns.max() <= end <= 40
    assert rows.min() >= 6
    assert rows.max() < 6 + line_height(14)


@pytest.mark.parametrize("text", ["Größe", "café", "кот", "γάτα", "ñandú", "kočka"])
def test_names_of_many_languages_are_drawn_as_they_are(text):
    assert legible(text) == text
    assert (written(text)[0] != written("x" * len(text))[0]).any()


def test_letters_that_the_font_lacks_are_escaped():
    assert legible("猫 cat") == r"\u732b cat"
    assert legible("a\nb\x00\udcff") == r"a\nb\x00\udcff"
    assert written("猫")[0].any()  # and does not raise


@pytest.mark.parametrize("text", ["7", "12", "猫 cat"])
def test_the_width_is_that_of_the_text_written(text):
    assert text_width(text, 14) == written(text, place=(5, 6))[1] - 5


def test_text_is_cut_at_the_pictures_border():
    ink, end = written("a long line of text", shape=(10, 30))
    assert ink.any()
    assert end > 30
    assert not written("x", place=(400, 400))[0].any()


def test_shortened_text_fits():
    text = "train/a-very-long-folder/0001.jpg"
    assert shortened(text, 1000, 12) == text
    begin, end = shortened(text, 100, 12), shortened(text, 100, 12, keep="end")
    assert begin.startswith("train/")
    assert begin.endswith("…")
    assert end.startswith("…")
    assert end.endswith("0001.jpg")
    both = shortened(text, 100, 12, keep="ends")
    start, ellipsis, rest = both.partition("…")
    assert ellipsis
    assert text.startswith(start)
    assert text.endswith(rest)
    assert 0 <= len(start) - len(rest) <= 1
    for cut in (begin, end, both):
        assert 70 < written(cut, place=(0, 0), size=12)[1] <= 100
    assert shortened(text, 1, 12) == ""


@pytest.mark.parametrize(("shape", "size"), [((224, 200), 13), ((90, 110), 11), ((340, 510), 30)])
def test_a_title_stands_on_a_strip_as_wide_as_itself(shape, size):
    picture = np.full((*shape, 3), 100, np.uint8)
    shown = titled(picture, "owl")
    assert (picture == 100).all(), "a copy"
    rows, columns = np.nonzero((shown != picture).any(axis=-1))
    assert (rows.min(), rows.max()) == (0, line_height(size) + 3)
    assert (columns.min(), columns.max()) == (0, text_width("owl", size) + 7)
    assert shown[0, 0].tolist() == [25] * 3
    assert shown.max() > 200, "letters"
    assert np.array_equal(titled(picture[:, ::-1], "owl"), shown)


def test_a_long_title_is_cut_where_asked():
    picture = np.full((100, 100, 3), 100, np.uint8)
    first, second = "a" * 60 + "first", "a" * 60 + "second"
    assert np.array_equal(titled(picture, first), titled(picture, second))
    assert not np.array_equal(titled(picture, first, "ends"), titled(picture, second, "ends"))
