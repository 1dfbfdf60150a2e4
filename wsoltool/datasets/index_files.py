"""The files of an index: written once, named by their content, opened without being read.

As no file ever changes under its name, an index that is written anew leaves all that the old one
names as it is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsoltool.errors import DataError
from wsoltool.paths import whole_file

REMEDY = "run `wsoltool prepare` again"


@dataclass(frozen=True, slots=True)
class ColumnFile:
    """A file of the index.

    Attributes:
        path: Below the index's folder, with ``/``.
        size: In bytes.
        sha256: Of its content, in hexadecimal digits.
    """

    path: str
    size: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def of_json(cls, entry: Mapping[str, Any]) -> ColumnFile:
        return cls(str(entry["path"]), int(entry["bytes"]), str(entry["sha256"]))

    def check(self, folder: Path, whole: bool = False) -> Path:
        """The file's place, once it has the size that it was written with.

        Args:
            folder: Of the index.
            whole: Read the file, and compare its content too.

        Raises:
            DataError: It is missing, has another size or, as far as it was read, other content.
        """
        path = folder / self.path
        try:
            size = path.stat().st_size
            changed = whole and hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256
        except OSError as error:
            raise _damaged(f"cannot be read: {error.strerror}", path) from error
        if size != self.size:
            raise _damaged(f"has {size} bytes instead of {self.size}", path)
        if changed:
            raise _damaged("does not hold what was written", path)
        return path


def _damaged(how: str, path: Path) -> DataError:
    return DataError(
        f"a file of the data set's index {how}",
        at=str(path),
        expected="the files that `wsoltool prepare` wrote, as they were",
        hint=REMEDY,
    )


def write_bytes(folder: Path, stem: str, suffix: str, data: bytes | memoryview) -> ColumnFile:
    """Write a file named by its content; one that is there already is not touched.

    Args:
        folder: Of the index.
        stem: Path below it, with ``/``, that the name begins with.
        suffix: That it ends with.
        data: Its content.
    """
    digest = hashlib.sha256(data).hexdigest()
    column = ColumnFile(f"{stem}-{digest[:12]}{suffix}", len(data), digest)
    try:
        column.check(folder, whole=True)
    except DataError:
        path = folder / column.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(data)
    return column


def write_column(folder: Path, stem: str, values: np.ndarray) -> ColumnFile:
    """Write an array as :func:`write_bytes` does, in numpy's ``.npy`` format."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return write_bytes(folder, stem, ".npy", buffer.getbuffer())


def open_column(folder: Path, column: ColumnFile) -> np.ndarray:
    """A column as a read-only memory map.

    Raises:
        DataError: The file is missing or damaged.
    """
    path = column.check(folder)
    try:
        # A plain array over the map: np.memmap itself answers slices ten times slower.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise _damaged(f"cannot be read: {error}", path) from error
