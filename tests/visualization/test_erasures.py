"""Tiles of erasers: pixels by hand, borders of cells, labels, what the legend counts."""

import numpy as np
import pytest

from wsoltool.structures import Erasure
from wsoltool.visualization.erasures import SHADE, ErasureLegend, draw_erasure, label_of
from wsoltool.visualization.overlay import blend_map


def grey(value=200, size=(224, 224)):
    return np.full((*size, 3), value, np.uint8)


def cells(*rows):
    """``(224, 224)`` of a grid of cells."""
    grid = np.array(rows, np.float32)
    return np.kron(grid, np.ones([224 // side for side in grid.shape], np.float32))


def left_hidden(value=0.0):
    return Erasure(cells([value, 1], [1, 1], [1, 1], [1, 1]), 0.1)


def covered(picture, image):
    """``(H, W)`` bool: where the picture is not the image."""
    return (picture != image).any(axis=2)


def test_hidden_cells_are_dark_hatched_and_outlined():
    erasure = Erasure(cells([1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]), 1 / 16)
    picture = draw_erasure(grey(), "late", erasure)
    cell = picture[56:112, 56:112]
    inside, border = cell[1:-1, 1:-1], np.ones((56, 56), bool)
    border[1:-1, 1:-1] = False
    assert (cell[border] == 255).all()
    values, counts = np.unique(inside[..., 0], return_counts=True)
    assert values.tolist() == [round(200 * SHADE), 110]  # a stroke in seven pixels
    assert counts[1] / counts.sum() == pytest.approx(1 / 7, abs=0.01)
    # Nothing else but the label has changed.
    changed = covered(picture, grey())
    changed[56:112, 56:112] = False
    assert not changed[20:].any()
    assert changed[:20].any()


def test_what_the_eraser_looks_at_is_seen_in_colours():
    attention = cells([0, 0.5], [1, 0.25])
    picture = draw_erasure(grey(), "late", Erasure(cells([1, 1]), 0, attention))
    assert np.array_equal(picture[20:], blend_map(grey(), attention)[20:])
    hidden = draw_erasure(grey(), "late", Erasure(cells([0, 1]), 0.5, attention))
    dark = SHADE * blend_map(grey(), attention)[30:200, 10:100].astype(float)
    strokes = (hidden[30:200, 10:100] == 110).all(axis=2)
    assert strokes.mean() == pytest.approx(1 / 7, abs=0.01)
    shown = hidden[30:200, 10:100].astype(float)[~strokes]
    assert np.abs(shown - dark[~strokes]).max() <= 0.5


def test_half_hidden_is_half_as_dark_and_the_outline_is_of_more_than_half():
    picture = draw_erasure(grey(), "late", left_hidden(0.5))
    cell = picture[25:56, :112]
    assert np.unique(cell).tolist() == [round((200 + 200 * SHADE) / 2), (200 + 110) // 2]
    assert (draw_erasure(grey(), "late", left_hidden(0.25))[30:55, 111] == 255).all()


def test_all_or_nothing_hidden_has_no_outline():
    for value in (0, 1):
        picture = draw_erasure(grey(), "late", Erasure(np.full((2, 2), value, np.float32), 1.0))
        assert not (picture[20:] == 255).any()
    assert (picture[20:] == 200).all()


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (14, 14), (7, 1)])
def test_small_grids_are_enlarged_cell_by_cell(rows, columns):
    kept = (np.indices((rows, columns)).sum(axis=0) % 2).astype(np.float32)
    picture = draw_erasure(grey(0, (210, 300)), "late", Erasure(kept, 0.5))
    image = draw_erasure(grey(0, (210, 300)), "late", Erasure(np.ones((1, 1), np.float32), 0.5))
    # The cell that holds the pixel's centre.
    y = ((np.arange(210) + 0.5) * rows / 210).astype(int)
    x = ((np.arange(300) + 0.5) * columns / 300).astype(int)
    hidden = kept[np.ix_(y, x)] == 0
    changed, middle = covered(picture, image), slice(25, 185)  # without the label
    assert not changed[middle][~hidden[middle]].any()
    # Of black images strokes and outlines are seen.
    assert changed[middle][hidden[middle]].mean() > 1 / 7


def test_the_label_gives_way_to_what_is_hidden_below_it():
    top, bottom = cells([0], [1], [1], [1]), cells([1], [1], [1], [0])
    picture = draw_erasure(grey(), "late", Erasure(top, 0.25, case="hidden"))
    assert not (picture[60:200] != 200).any()
    assert (picture[205:, :60] != 200).any()
    for kept in (bottom, np.minimum(top, bottom)):
        labelled = draw_erasure(grey(), "late", Erasure(kept, 0.25, case="hidden"))
        other = draw_erasure(grey(), "late", Erasure(kept, 0.25, case="passed"))
        assert covered(labelled, other)[:20].any()
        assert not covered(labelled, other)[20:].any()


def test_labels_name_insert_case_and_share():
    kept = np.ones((2, 2), np.float32)
    pictures = [
        draw_erasure(grey(), name, Erasure(kept, share, case=case))
        for name, share, case in [
            ("late", 0.1, "hidden"),
            ("early", 0.1, "hidden"),
            ("late", 0.2, "hidden"),
            ("late", 0.1, "passed"),
            ("late", 0.1, None),
        ]
    ]
    assert len({picture.tobytes() for picture in pictures}) == 5
    assert label_of(Erasure(kept, 0.0, case="passed")) == "passed, hides 0 %"
    assert label_of(Erasure(kept, 1.0)) == "hides 100 %"
    assert label_of(Erasure(kept, 0.0049)) == "hides <1 %"
    assert label_of(Erasure(kept, 0.0051)) == "hides 1 %"


@pytest.mark.parametrize("size", [(1, 1), (3, 224), (224, 3), (40, 224), (224, 90), (500, 375)])
@pytest.mark.parametrize("name", ["late", "layers_4_2_a_name_that_is_too_long_猫"])
def test_any_size_and_name(size, name):
    image = grey(9, size)
    kept = np.random.default_rng(0).random((5, 4), dtype=np.float32)
    picture = draw_erasure(image, name, Erasure(kept, 0.5, kept, "scattered"))
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8
    assert (image == 9).all()
    assert np.array_equal(picture, draw_erasure(image, name, Erasure(kept, 0.5, kept, "scattered")))


def test_the_legend_counts_cases_by_insert():
    kept, legend = np.ones((1, 1), np.float32), ErasureLegend()
    assert legend.lines() == []
    for early, late in [("passed", "hidden"), ("hidden", "hidden"), ("hidden", "scattered")]:
        legend.add(
            {
                "early": Erasure(kept, 0, case=early, meaning=early.upper()),
                "late": Erasure(kept, 0, case=late, meaning=late.upper()),
                "blind": Erasure(kept, 0),
            }
        )
    legend.add({})
    assert legend.lines() == ["early: 2 hidden, 1 passed", "late: 2 hidden, 1 scattered"]
    assert legend.cases == {"passed": "PASSED", "hidden": "HIDDEN", "scattered": "SCATTERED"}
    assert list(legend.counts) == ["early", "late", "blind"]
