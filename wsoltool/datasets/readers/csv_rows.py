"""Lines of a CSV file with a header, by the meaning of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wsoltool.datasets.readers.lines import read_text
from wsoltool.errors import DataError, did_you_mean

CORNERS = ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "label", *CORNERS, "split")
DELIMITERS = {";": "';'", "\t": r"'\t'", ",": "','", "|": "'|'"}


class Row(NamedTuple):
    """What a line says; cells are empty where the table has no such column.

    Attributes:
        at: ``file:line``.
        image: The image's path.
        label: A class name.
        corners: Four cells, ``x0`` to ``y1``.
        split: The part that the image belongs to.
    """

    at: str
    image: str
    label: str
    corners: tuple[str, ...]
    split: str


def read_rows(path: Path, columns: Mapping[str, str | None], delimiter: str) -> list[Row]:
    """All lines but the header and blank ones.

    Args:
        path: The file, UTF-8; quotes, line ends and byte order mark as spreadsheets write them.
        columns: Some of :data:`COLUMNS` -> the file's own name for it, or None: it is not read.
        delimiter: One character.

    Raises:
        DataError: The file cannot be read, a column is missing or twice there, or a line has
            another number of fields than the header.
    """
    text = io.StringIO(read_text(path))
    lines = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows: list[Row] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        places = _places(header, columns, delimiter, f"{path}:1")
        for cells in lines:
            if any(cells):
                rows.append(_row(cells, header, places, f"{path}:{lines.line_num}"))
    except csv.Error as error:
        raise DataError(
            f"the line cannot be split into fields: {error}",
            at=f"{path}:{lines.line_num}",
            expected='fields in "quotes" where they hold quotes, line ends or the delimiter',
        ) from error
    if not rows:
        raise DataError("the table has no line", at=str(path), expected="a line an object")
    return rows


def _row(cells: Sequence[str], header: Sequence[str], places: Mapping[str, int], at: str) -> Row:
    if len(cells) != len(header):
        raise DataError(
            f"the line has {len(cells)} fields, the header {len(header)}",
            at=at,
            expected=", ".join(header),
            hint='a field that holds the delimiter is written in "quotes"',
        )
    cell = {column: cells[place].strip() for column, place in places.items()}
    return Row(
        at,
        cell["image"],
        cell["label"],
        tuple(cell.get(corner, "") for corner in CORNERS),
        cell.get("split", ""),
    )


def _places(
    header: Sequence[str], columns: Mapping[str, str | None], delimiter: str, at: str
) -> dict[str, int]:
    """Column -> its index in a line, for the columns that are there."""
    names = {column: columns.get(column, column) for column in COLUMNS}
    wanted = {"image", "label", *(column for column in columns if columns[column])}
    if any(names[corner] in header for corner in CORNERS):
        wanted.update(CORNERS)
    places = {}
    for column, name in names.items():
        if name is None:
            continue
        if header.count(name) > 1:
            raise DataError(f"column {name!r} is there twice", at=at, expected="every column once")
        if name in header:
            places[column] = header.index(name)
        elif column in wanted:
            raise _missing(name, column, header, delimiter, at)
    return places


def _missing(name: str, column: str, header: Sequence[str], delimiter: str, at: str) -> DataError:
    hint = did_you_mean(name, header) or f"columns={{{column!r}: ...}} names it"
    if len(header) == 1:
        other = next((d for d in DELIMITERS if d != delimiter and d in header[0]), None)
        if other is not None:
            hint = f"the fields seem to be separated otherwise: delimiter={DELIMITERS[other]}"
    return DataError(f"the table has no column {name!r}", at=at, known=header, hint=hint)
