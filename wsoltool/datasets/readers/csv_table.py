"""A table of images, labels and boxes with a header: CSV, as spreadsheets write it."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.base import Reader, attempt
from wsoltool.datasets.readers.csv_rows import COLUMNS, CORNERS, Row, read_rows
from wsoltool.datasets.readers.image_paths import inner_path
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import ConfigError, DataError, check_choice, did_you_mean

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CsvTable(Reader):
    """A line an object: ``image,label`` and, where known, ``x0,y0,x1,y1`` and ``split``.

    Several lines of an image are several boxes, and several classes where ``multi_label`` allows
    that. A line with empty ``x0`` to ``y1`` gives its image a class and no box; one with an empty
    ``label`` too says that the image shows none of the classes. Image ids are the table's paths.

    A table with a ``split`` column needs ``parts``, which name its values:
    ``parts={"train-weaksup": "train", "test": "val"}``. Without such a column all images are
    train-weaksup's, and other splits are shares of them.

    Args:
        table: The file below the data set's folder, UTF-8.
        images: Folder below the data set's folder that the table's paths start from.
        columns: The table's own names for the columns above that it calls otherwise, such as
            ``{"image": "filename", "x0": "xmin"}``; None for one that is not to be read.
        delimiter: Between the fields of a line.
        classes: Class names in the order of their labels; by default all that occur, sorted, by
            their value if all are whole numbers.
        multi_label: Whether images may have several classes, or none; else every image has one.
        box_convention: Whether x1 y1 are the first pixels outside a box (``exclusive``) or its last
            ones (``inclusive``).
        exif: Turn images as their EXIF orientation says, as people see them.

    Raises:
        DataError: The file is missing or no table, or a column is missing; the message names the
            line.
    """

    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": ""}

    table: str = "labels.csv"
    images: str = ""
    columns: Mapping[str, str | None] = field(default_factory=dict)
    delimiter: str = ","
    classes: Sequence[str] | None = None
    multi_label: bool = False
    box_convention: str = "exclusive"
    exif: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for column in self.columns:
            check_choice(f"CsvTable: columns has the unknown {column!r}", column, COLUMNS)
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1:
            raise ConfigError(
                f"CsvTable: delimiter is {self.delimiter!r}", expected="one character"
            )
        twice = [name for name, count in Counter(self.classes or ()).items() if count > 1]
        if twice:
            raise ConfigError(f"CsvTable: {twice[0]!r} is twice in the list of classes")

    def image_root(self, home: Path) -> Path:
        return home / self.images

    def class_names(self, home: Path) -> Sequence[str]:
        return self.classes or _occurring(self._rows(home))

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        rows = self._rows(home)
        self._check_part(rows, part, home / self.table)
        labels = {name: label for label, name in enumerate(self.classes or _occurring(rows))}
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            groups[row.image.replace("\\", "/")].append(row)
        for image, group in groups.items():
            if any(row.split == part for row in group):
                yield attempt(image, partial(self._entry, group, labels))

    def _rows(self, home: Path) -> list[Row]:
        return read_rows(home / self.table, self.columns, self.delimiter)

    def _check_part(self, rows: Sequence[Row], part: str, path: Path) -> None:
        """Raise unless the table has the part; warn of lines that are of no part at all."""
        counts = Counter(row.split for row in rows)
        known = sorted({*counts} - {""})
        if part not in counts or (known and not part):
            raise DataError(
                f"no line is of split {part!r}" if part else "the table's images are of splits",
                at=str(path),
                known=known,
                hint=did_you_mean(part, known) or "parts={'train-weaksup': ...} names them",
            )
        unused = [f"{value!r} ({n})" for value, n in counts.items() if value not in self._values()]
        if unused:
            logger.warning("%s: lines of split %s are not used", path, ", ".join(sorted(unused)))

    def _values(self) -> frozenset[str]:
        return frozenset(self._parts().values())

    def _entry(self, rows: Sequence[Row], labels: Mapping[str, int]) -> Entry:
        _check_split(rows)
        found = {row.at: _label(row, labels) for row in rows if row.label}
        boxes = {row.at: _box(row) for row in rows if any(row.corners)}
        for row in rows:
            if row.at in boxes and row.at not in found:
                raise DataError("the box has no label", at=row.at, expected="its class")
        return Entry(
            image=_located_path(rows[0]),
            labels=sorted({*found.values()}),
            boxes=list(boxes.values()),
            box_labels=[found[at] for at in boxes] if self.multi_label else (),
            at=next(iter(boxes), rows[0].at),
        )


def _occurring(rows: Sequence[Row]) -> list[str]:
    """All class names, by their values where all are whole numbers, else by their letters."""
    names = {row.label for row in rows} - {""}
    try:
        return sorted(names, key=lambda name: (int(name), name))
    except ValueError:
        return sorted(names)


def _check_split(rows: Sequence[Row]) -> None:
    other = next((row for row in rows if row.split != rows[0].split), None)
    if other is not None:
        raise DataError(
            f"the image is of split {other.split!r} here, and of {rows[0].split!r} before",
            at=other.at,
            expected="every image in one split",
        )


def _label(row: Row, labels: Mapping[str, int]) -> int:
    check_choice(f"unknown class {row.label!r}", row.label, labels, at=row.at, error=DataError)
    return labels[row.label]


def _box(row: Row) -> tuple[float, ...]:
    try:
        box = tuple(map(float, row.corners))
    except ValueError:
        box = ()
    if not (box and all(map(isfinite, box))):
        raise DataError(
            f"a box has the corners {', '.join(map(repr, row.corners))}",
            at=row.at,
            expected=f"numbers in all of {', '.join(CORNERS)}, or in none",
        )
    return box


def _located_path(row: Row) -> str:
    try:
        return inner_path(row.image)
    except DataError as error:
        raise error.located(row.at) from error
