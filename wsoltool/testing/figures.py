"""A plugin's files of figures: the paper's, ``published.csv``, and ours, ``measured.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wsoltool.errors import ManualError


class PublishedFigure(NamedTuple):
    """A figure of a paper.

    Attributes:
        table: The paper's number of its table.
        method: The method, or its row of an ablation.
        backbone: The network.
        dataset: The data set.
        metric: By our name, as in ``Top-1 Loc``.
        value: In percent, a number as it is written, with its last zeros.
        note: What must be known of it: printed as an error, impossible, corrected.
    """

    table: str
    method: str
    backbone: str
    dataset: str
    metric: str
    value: str
    note: str


class MeasuredFigure(NamedTuple):
    """A figure of one run of ours.

    Attributes:
        config: The bundled config.
        options: Its ``--cfg-options``, parted by spaces.
        dataset: The data set.
        seed: The run's.
        metric: By our name.
        threshold: Its source, as :mod:`wsoltool.evaluation.summary` names them; empty for metrics
            without.
        subset: The part of the data, as in ``small``, or ``all``.
        value: In percent.
    """

    config: str
    options: str
    dataset: str
    seed: int
    metric: str
    threshold: str
    subset: str
    value: float


def published_figures(file: str | Path) -> list[PublishedFigure]:
    """The rows of a ``published.csv``, whose header is the names of :class:`PublishedFigure`.

    Raises:
        ManualError: Another header, a row with another number of cells, or a value that is no
            finite number.
    """
    found = []
    for at, row in _rows(Path(file), PublishedFigure._fields):
        figure = PublishedFigure(*row)
        _number(figure.value, at)
        found.append(figure)
    return found


def measured_figures(file: str | Path) -> list[MeasuredFigure]:
    """The rows of a ``measured.csv``, whose header is the names of :class:`MeasuredFigure`.

    Raises:
        ManualError: Another header, a row with another number of cells, a value that is no finite
            number, or a seed that is no whole one.
    """
    found = []
    for at, row in _rows(Path(file), MeasuredFigure._fields):
        config, options, dataset, seed, metric, threshold, subset, value = row
        if not seed.isdecimal():
            raise ManualError(f"seed {seed!r}", at=at, expected="a whole number")
        run = config, options, dataset, int(seed)
        found.append(MeasuredFigure(*run, metric, threshold, subset, _number(value, at)))
    return found


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """(file:line, cells) of each row below the header."""
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.reader(text, strict=True)
        expected = ",".join(columns)
        if next(reader, []) != list(columns):
            raise ManualError("another header", at=f"{file}:1", expected=expected)
        for row in reader:
            at = f"{file}:{reader.line_num}"
            if len(row) != len(columns):
                hint = 'a cell with a comma stands between "'
                raise ManualError(f"{len(row)} cells", at=at, expected=expected, hint=hint)
            yield at, row


def _number(text: str, at: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManualError(f"value {text!r}", at=at, expected="a number")
    return value
