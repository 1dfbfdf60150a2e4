"""Plots of figures over epochs, one panel above the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

_WIDTH, _HEIGHT, _DPI = 9.0, 3.4, 110  # inches of a panel, and dots an inch
#: Colours that stay apart for colour-blind readers (Okabe and Ito), then other strokes.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STROKES = ("-", "--", ":", "-.")
#: Positive values this many times apart are drawn on a logarithmic scale.
_DECADES_APART = 50.0
#: Names beside a panel, before they need a second column.
_ROWS = 14
#: Places up to which each has a dot.
_DOTS = 30


class Panel(NamedTuple):
    """One plot.

    Attributes:
        label: Of the vertical axis.
        series: Name -> place on the horizontal axis -> value. A value that is not finite is a
            cross at the foot of the plot and a gap in the line.
        limits: Of the vertical axis, which then is linear, as percent are; chosen by the values,
            and logarithmic where these lie far apart, if None.
    """

    label: str
    series: Mapping[str, Mapping[int, float]]
    limits: tuple[float, float] | None = None


def curves_png(panels: Sequence[Panel], across: str) -> bytes:
    """A PNG file of panels that share their horizontal axis.

    Nothing of matplotlib's global state is read for a display, or changed.

    Args:
        panels: One or more, each with a series.
        across: Name of the horizontal axis, whose places are whole numbers.
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(panels)), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    places = {place for panel in panels for line in panel.series.values() for place in line}
    column = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(column, panels, strict=True):
        _draw_panel(axes, panel)
    # A single place has room around it, too.
    column[-1].set_xlim(min(places) - 0.5, max(places) + 0.5)
    column[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    column[-1].set_xlabel(across)
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_panel(axes: Any, panel: Panel) -> None:
    for index, (name, line) in enumerate(panel.series.items()):
        color = _COLORS[index % len(_COLORS)]
        stroke = _STROKES[index // len(_COLORS) % len(_STROKES)]
        places = sorted(line)
        values = [line[place] if math.isfinite(line[place]) else math.nan for place in places]
        # The first is the widest, so that one that lies upon it does not hide it.
        width = max(3.0 - 0.6 * index, 1.2)
        dots = {"marker": "o", "markersize": 2.5 * width} if len(places) <= _DOTS else {}
        axes.plot(places, values, stroke, color=color, label=name, linewidth=width, **dots)
        _mark_lost(axes, [p for p in places if not math.isfinite(line[p])], color)
    logarithmic = panel.limits is None and _spans_decades(panel)
    if panel.limits is not None:
        axes.set_ylim(panel.limits)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(f"{panel.label} (logarithmic)" if logarithmic else panel.label)
    axes.grid(alpha=0.3)
    columns = math.ceil(len(axes.get_legend_handles_labels()[1]) / _ROWS)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns, frameon=False)


def _mark_lost(axes: Any, places: Sequence[int], color: str) -> None:
    """A cross at the foot of the plot, wherever its values are."""
    if places:
        foot, at_foot = [0.03] * len(places), axes.get_xaxis_transform()
        style = {"linestyle": "none", "marker": "x", "color": color, "label": "  not finite"}
        axes.plot(places, foot, transform=at_foot, **style)


def _spans_decades(panel: Panel) -> bool:
    values = [v for line in panel.series.values() for v in line.values() if math.isfinite(v)]
    return bool(values) and min(values) > 0 and max(values) > _DECADES_APART * min(values)
