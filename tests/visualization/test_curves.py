"""Panels of curves: opened, their colours found, their scale chosen."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from wsoltool.visualization.curves import Panel, _draw_panel, _spans_decades, curves_png

BLUE = (0x00, 0x72, 0xB2)


def drawn(*panels):
    """``(H, W, 3)`` uint8 RGB."""
    data = np.frombuffer(curves_png(panels, "epoch"), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def rows_of(image, color):
    """Of the plot's pixels of a color, the rows, without the legend at the right."""
    return np.unique(np.nonzero((image[:, : image.shape[1] * 3 // 4] == color).all(axis=2))[0])


def test_a_falling_curve_falls():
    image = drawn(Panel("loss", {"a": {1: 2.0, 2: 1.0}}))
    left, right = np.array_split(image[:, : image.shape[1] * 3 // 4], 2, axis=1)
    assert rows_of(left, BLUE).mean() < rows_of(right, BLUE).mean()


def test_panels_stand_below_each_other():
    one, two = Panel("loss", {"a": {1: 2.0}}), Panel("%", {"b": {5: 1.0, 9: 2.0}})
    alone, both = drawn(one), drawn(one, two)
    assert both.shape == (2 * alone.shape[0], *alone.shape[1:])


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_cross_at_the_foot(lost):
    whole = drawn(Panel("loss", {"a": {1: 2.0, 2: 2.0, 3: 2.0}}))
    broken = drawn(Panel("loss", {"a": {1: 2.0, 2: lost, 3: 2.0}}))
    height = len(whole)
    assert rows_of(whole, BLUE).max() < 0.6 * height
    assert 0.7 * height < rows_of(broken, BLUE).max() < 0.9 * height


def test_nothing_finite_is_a_plot_too():
    image = drawn(Panel("loss", {"a": {1: math.nan, 2: math.nan}}))
    assert len(rows_of(image, BLUE))


def test_many_series_leave_room_for_themselves():
    series = {f"loss_{i}": {1: i + 1.0, 2: i + 2.0} for i in range(30)}
    image = drawn(Panel("loss", series))
    assert image[:, : image.shape[1] // 3].std() > 1


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ((2.0, 0.02), True),
        ((2.0, 0.05), False),
        ((2.0, 0.0), False),
        ((2.0, -0.01), False),
        ((2.0, math.nan, 0.01), True),
        ((math.inf, 1.0), False),
        ((math.nan,), False),
    ],
)
def test_positive_values_far_apart_are_drawn_by_their_logarithm(values, logarithmic):
    panel = Panel("loss", {"a": dict(enumerate(values))})
    assert _spans_decades(panel) is logarithmic
    drawn(panel)


def test_limits_make_a_linear_axis():
    axes = Figure().subplots()
    _draw_panel(axes, Panel("percent", {"one": {1: 0.1}, "two": {1: 90.0}}, (0.0, 100.0)))
    assert (axes.get_yscale(), axes.get_ylim()) == ("linear", (0.0, 100.0))
    assert axes.get_ylabel() == "percent"
