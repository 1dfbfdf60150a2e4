"""A further metric's figures as a table to read and as plain data to store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from wsoltool.evaluation.further import Figure, FurtherSummary


def figures_table(summary: FurtherSummary, notes: Sequence[str] = ()) -> Group:
    """Rows are figures, columns the model and the controls; the notes stand below.

    Args:
        summary: All figures.
        notes: Further ones.
    """
    table = Table(
        title=f"{summary.title} of {summary.images} images, percent",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    controls = list(dict.fromkeys(name for f in summary.figures for name in f.controls))
    table.add_column("metric", no_wrap=True)
    table.add_column("model\n(95 % interval)", justify="right", no_wrap=True)
    for name in controls:
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for figure in summary.figures:
        beside = [f"{figure.controls[c]:.1f}" if c in figure.controls else "" for c in controls]
        table.add_row(figure.name, _value(figure), *beside)
    # A caption would be as narrow as the table.
    return Group(table, *(Text(note, "dim italic") for note in (*summary.notes, *notes)))


def _value(figure: Figure) -> str:
    value = f"{figure.value:.1f}"
    if figure.interval is not None:
        value += " ({:.1f}-{:.1f})".format(*figure.interval)
    return value


def figure_rows(summary: FurtherSummary) -> list[dict[str, Any]]:
    """Plain data for JSON.

    Keys of each: ``metric``, ``value``, ``interval`` [low, high] or null, ``images``, ``controls``
    (name -> value), ``per_class`` (class name -> value, or null where there is nothing to score).
    """
    return [
        {
            "metric": figure.name,
            "value": figure.value,
            "interval": None if figure.interval is None else list(figure.interval),
            "images": summary.images,
            "controls": dict(figure.controls),
            "per_class": dict(figure.per_class),
        }
        for figure in summary.figures
    ]
