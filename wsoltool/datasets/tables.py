"""Comma separated text files without a header, read fast and refused by line."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from wsoltool.datasets.records import Names
from wsoltool.errors import DataError

COMMA, NEWLINE, ZERO = b",\n0"
MAX_DIGITS = 18  # what surely fits into int64


class Table:
    """A comma separated file without header and without quoting; its first field is an id.

    Windows line ends, a byte order mark, blank lines at the end and a last line without line end
    are accepted. A million lines take about a second: fields are found in the bytes at once.

    Args:
        path: The file, UTF-8.
        fields: What each line holds, in order; the first must not be empty.

    Raises:
        DataError: The file is missing, not UTF-8, or a line has another number of fields.
    """

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        self.path, self.fields = path, tuple(fields)
        self._data = _read_lines(path)
        self._bytes = np.frombuffer(self._data, np.uint8)
        # Field f of row r is data[edges[r, f] + 1 : edges[r, f + 1]].
        self._edges = self._find_edges()

    def __len__(self) -> int:
        return len(self._edges)

    @cached_property
    def ids(self) -> Names:
        """The first field of every line."""
        return self.names(self.fields[0])

    def names(self, field: str) -> Names:
        """A field of every line as text."""
        starts, ends = self._span(field)
        steps = np.zeros(len(self._bytes) + 1, np.int8)
        steps[starts] += 1
        steps[ends] -= 1
        inside = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
        offsets = np.concatenate(([0], np.cumsum(ends - starts)))
        return Names(self._bytes[inside].tobytes(), offsets)

    def integers(self, *fields: str) -> np.ndarray:
        """``(rows, len(fields))`` int64.

        Raises:
            DataError: An entry is not an integer.
        """
        return np.stack([self._integers(field) for field in fields], axis=1)

    def at(self, row: int) -> str:
        """``file:line`` of a row, for error messages."""
        return f"{self.path}:{row + 1}"

    def _find_edges(self) -> np.ndarray:
        """``(rows, fields + 1)`` int64: the separator before and after each field."""
        count = len(self.fields)
        separators = np.flatnonzero((self._bytes == COMMA) | (self._bytes == NEWLINE))
        ends_line = self._bytes[separators] == NEWLINE
        irregular = ends_line != (np.arange(len(separators)) % count == count - 1)
        if irregular.any():
            raise self._bad_line(int(np.argmax(irregular)) // count)
        after = separators.reshape(-1, count)
        before = np.concatenate(([-1], after[:-1, -1])) if len(after) else after[:, -1]
        edges = np.column_stack((before, after))
        empty = edges[:, 1] - edges[:, 0] < 2
        if empty.any():
            raise self._bad_line(int(np.argmax(empty)))
        return edges

    def _span(self, field: str) -> tuple[np.ndarray, np.ndarray]:
        """``(rows,)`` int64 each: where the field begins, and the separator after it."""
        index = self.fields.index(field)
        return self._edges[:, index] + 1, self._edges[:, index + 1]

    def _integers(self, field: str) -> np.ndarray:
        """``(rows,)`` int64, digit place by digit place; signs and spaces one by one."""
        starts, ends = self._span(field)
        widths = ends - starts
        values = np.zeros(len(self), np.int64)
        plain = (widths > 0) & (widths <= MAX_DIGITS)
        for place in range(min(int(widths.max(initial=0)), MAX_DIGITS)):
            inside = place < widths
            digits = self._bytes[np.minimum(starts + place, ends)] - np.uint8(ZERO)
            plain &= ~inside | (digits < 10)  # uint8: what lies below "0" wraps round
            values = np.where(inside, values * 10 + digits, values)
        for row in np.flatnonzero(~plain).tolist():
            values[row] = self._integer(row, self._data[starts[row] : ends[row]].decode(), field)
        return values

    def _integer(self, row: int, text: str, field: str) -> int:
        digits = text.strip().lstrip("+-")
        try:
            if len(digits) <= MAX_DIGITS:
                return int(text)
        except ValueError:
            pass
        raise DataError(
            f"{field} is {text!r}, not a usable integer",
            at=self.at(row),
            expected=",".join(self.fields),
        )

    def _bad_line(self, row: int) -> DataError:
        line = self._data.split(b"\n", row + 1)[row].decode()
        count = line.count(",") + 1 if line else 0
        wrong = f"{count} fields instead of {len(self.fields)}"
        return DataError(
            (wrong if count != len(self.fields) else "an empty first field") + f": {line!r}",
            at=self.at(row),
            expected=",".join(self.fields),
        )


def _read_lines(path: Path) -> bytes:
    """The file's valid UTF-8 with a plain newline after every line, the last one too."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}",
            at=str(path),
            hint="check the folder and the split's name",
        ) from error
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            "the file is not UTF-8", at=f"{path}:{line}", expected="UTF-8 text"
        ) from error
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").rstrip(b"\n")
    return data + b"\n" if data else b""
