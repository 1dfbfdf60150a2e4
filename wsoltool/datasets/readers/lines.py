"""Text files of a few words a line, the first of which is a key."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.errors import DataError


class Lines(dict[str, tuple[str, ...]]):
    """Key -> the other fields of its line; remembers where each line stands.

    Windows line ends, a byte order mark and blank lines are accepted.

    Args:
        path: The file, UTF-8.
        fields: What follows the key in a line; the last may contain separators.
        separator: Between fields; None: any white space.

    Raises:
        DataError: The file is missing or not UTF-8, a line has too few fields, or a key returns.
    """

    def __init__(self, path: Path, *fields: str, separator: str | None = None) -> None:
        super().__init__()
        self.path, self.fields = path, fields
        self._numbers: dict[str, int] = {}
        # Not splitlines: names may hold what Unicode calls a line separator.
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            if line.strip():
                self._add(number, line.split(separator, len(fields)))

    def _add(self, number: int, parts: list[str]) -> None:
        key, *values = map(str.strip, parts)
        at = f"{self.path}:{number}"
        expected = " ".join(("key", *self.fields))
        if len(values) != len(self.fields) or not all(values):
            raise DataError("the line has too few fields", at=at, expected=expected)
        if key in self:
            what = f"{key!r} is already in line {self._numbers[key]}"
            raise DataError(what, at=at, expected="every key once")
        self[key], self._numbers[key] = tuple(values), number

    def at(self, key: str) -> str:
        """``file:line`` of a key, for error messages."""
        return f"{self.path}:{self._numbers[key]}"

    def fields_of(self, key: str) -> tuple[str, ...]:
        """The fields of a key.

        Raises:
            DataError: No line has it.
        """
        if key not in self:
            raise DataError(
                f"no line for {key!r}", at=str(self.path), expected=" ".join((key, *self.fields))
            )
        return self[key]

    def integer(self, key: str) -> int:
        """The only field of a key, as an integer.

        Raises:
            DataError: No line has the key, or it is no integer.
        """
        (text,) = self.fields_of(key)
        try:
            return int(text)
        except ValueError as error:
            raise DataError(str(error), at=self.at(key), expected="an integer") from error

    def numbers(self, key: str, start: int = 0) -> tuple[float, ...]:
        """The fields of a key from number ``start`` on, as finite numbers.

        Raises:
            DataError: No line has the key, or a field is no number.
        """
        fields = self.fields_of(key)[start:]
        try:
            numbers = tuple(map(float, fields))
        except ValueError as error:
            raise DataError(str(error), at=self.at(key), expected="numbers") from error
        if not all(map(isfinite, numbers)):
            raise DataError(f"not finite: {fields}", at=self.at(key), expected="numbers")
        return numbers


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", at=str(path), expected="UTF-8 text") from error
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}",
            at=str(path),
            known=names_near(path),
            hint="is this the data set's folder, and is it complete?",
        ) from error
