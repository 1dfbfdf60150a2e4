"""What was found out already, kept file by file, so that an interrupted check goes on.

A line is written for every sound file that was looked into and is never changed. A rerun believes
it where the file's size and time of change are still the same. Of bad files nothing is kept: they
are few, and one that was unpacked again may have its old size and time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from wsoltool.errors import WorkDirError
from wsoltool.preparation.facts import Facts, Role

FOLDER = ".checked"
FORMAT = 1


class Known(NamedTuple):
    """A file as it was when it was looked into."""

    role: Role
    name: str
    size: int
    changed: int  # nanoseconds
    facts: Facts


class Journal:
    """An append-only file of facts; safe to share between threads.

    Journals of other sources lie in other files of the same folder, so they cannot be mixed up.

    Args:
        folder: That ``wsoltool prepare`` writes to.
        source: All that facts depend on besides the files themselves: where these lie, how they
            are read.

    Raises:
        WorkDirError: The file cannot be read or written.
    """

    def __init__(self, folder: Path, source: Mapping[str, Any]) -> None:
        heading = json.dumps({"format": FORMAT, **source}, sort_keys=True)
        name = f"{sha256(heading.encode()).hexdigest()[:16]}.jsonl"
        self.path = folder / FOLDER / name
        self._lock = Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = _read(self.path, heading)
            self._file = self.path.open("ab")
        except OSError as error:
            raise _unwritten(self.path, error) from error
        if not self._file.tell():
            self._write(heading + "\n")

    def __len__(self) -> int:
        """How many files it tells of."""
        return len(self._lines)

    def get(self, role: Role, name: str, status: os.stat_result, thorough: bool) -> Facts | None:
        """What is known of a file that has not changed since.

        Args:
            role: Of the file.
            name: Its path below the folder of its role.
            status: Its size and time of change now.
            thorough: Facts from headers alone are not enough.
        """
        line = self._lines.get(_key(role, name))
        if line is None:
            return None
        try:
            size, changed, *values = json.loads(line)
            facts = Facts.of_plain(values)
        except ValueError:  # what a full disk left
            return None
        if (size, changed) != (status.st_size, status.st_mtime_ns):
            return None
        return facts if facts.thorough or not thorough else None

    def add(self, found: Iterable[Known]) -> None:
        """Remember sound files for good.

        Raises:
            WorkDirError: They cannot be written.
        """
        self._write("".join(_line(known) for known in found))

    def close(self) -> None:
        self._file.close()

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._file.write(text.encode())
                self._file.flush()  # what the system has stays, however this process ends
            except OSError as error:
                raise _unwritten(self.path, error) from error


def _unwritten(path: Path, error: OSError) -> WorkDirError:
    return WorkDirError(
        f"what was checked cannot be written: {error.strerror}",
        at=str(path),
        hint="make room or give yourself the right to write, and run the same command again",
    )


def _line(known: Known) -> str:
    values = [known.size, known.changed, *known.facts.plain()]
    key = _key(known.role, known.name).decode()
    return f"{key}\t{json.dumps(values, separators=(',', ':'))}\n"


def _key(role: Role, name: str) -> bytes:
    return json.dumps([role, name]).encode()


def _read(path: Path, heading: str) -> dict[bytes, bytes]:
    """Beginning -> the rest of the last line on each file; takes half a line off the end.

    A file whose first line is not the heading is not of this source, and begins anew.
    """
    lines: dict[bytes, bytes] = {}
    if not path.exists():
        return lines
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            half = not line.endswith(b"\n")
            if half or (number == 0 and line != heading.encode() + b"\n"):
                # Nothing else is cut off: another process may have added to it meanwhile.
                os.truncate(path, whole)
                break
            whole += len(line)
            key, tab, value = line.partition(b"\t")
            if tab:
                lines[key] = value
    return lines
