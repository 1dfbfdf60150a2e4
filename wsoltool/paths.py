"""Where data and weights lie on this machine, and files that results are written to."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wsoltool.errors import WorkDirError, WsolError

CLASS_LETTERS = 60
_BLOCK = 1 << 20


def data_home() -> Path:
    """The folder of data sets and weights: ``WSOLTOOL_DATA``, or ``data`` in the working folder."""
    return Path(os.environ.get("WSOLTOOL_DATA") or "data").expanduser()


def data_path(path: str | Path) -> Path:
    """A path as a config writes it: ``~`` expanded, relative ones taken from the data home."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else data_home() / path


def file_sha256(path: Path) -> str:
    """The SHA-256 of what a file holds, in hexadecimal; it is read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def class_file_name(class_id: int, name: str) -> str:
    """What a file or folder of a class is called: index and name, safe on any file system.

    The index keeps classes apart whose names differ in other signs than letters, digits, ``-`` and
    ``_``, which become ``_``, or only behind the 60th.

    Example:
        >>> class_file_name(7, "potted plant"), class_file_name(8, "../a/b")
        ('7_potted_plant', '8____a_b')
    """
    letters = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    return f"{class_id}_{letters[:CLASS_LETTERS]}"


def writable_folder(path: str | Path, option: str) -> Path:
    """A folder for results, made if needed.

    Args:
        path: The folder.
        option: Of the command line, that names another one.

    Raises:
        WorkDirError: It cannot be made or written.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise WorkDirError(
            f"the folder cannot be written: {error.strerror or error}",
            at=str(path),
            expected="a folder that can be written",
            hint=f"give another one with {option}",
        ) from error
    return path


def writable_file(path: str | Path, option: str) -> Path:
    """A file for results, its folder made if needed; the file itself is not touched.

    Raises:
        WorkDirError: Its folder cannot be written, or it is itself a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise WorkDirError(
            "a folder stands where a file is to be written",
            at=str(path),
            hint=f"give a file's name with {option}",
        )
    return writable_folder(path.parent, option) / path.name


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which has its name once it is complete: no interruption leaves half of one.

    Raises:
        WorkDirError: It cannot be written, such as on a full disk.

    Example:
        >>> with whole_file("numbers.txt") as file:  # doctest: +SKIP
        ...     file.write(b"1 2 3")
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, WsolError):
            raise WorkDirError(
                f"the file cannot be written: {error.strerror or error}",
                at=str(path),
                hint="make room, or name another place",
            ) from error
        raise
