"""Which image each line of a metadata file speaks of, and which images cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from wsoltool.datasets.records import Problem
from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError


class Faults:
    """What is wrong with single images of a split: the first is raised, or all are collected.

    Args:
        images: Table whose ids are the split's images.
        problems: Where they are collected; None: raise the first.
    """

    def __init__(self, images: Table, problems: list[Problem] | None = None) -> None:
        self.images, self._problems = images, problems
        self._bad = np.zeros(len(images), bool)

    def report(
        self, wrong: np.ndarray, rows: np.ndarray, error: Callable[[int], DataError]
    ) -> None:
        """Report some lines of a file.

        Args:
            wrong: ``(L,)`` bool, the lines that are wrong.
            rows: ``(L,)`` int64, the image that each line speaks of.
            error: What to say of a line.

        Raises:
            DataError: Of the first wrong line, unless problems are collected.
        """
        for line in np.flatnonzero(wrong).tolist():
            if self._problems is None:
                raise error(line)
            image = int(rows[line])
            if not self._bad[image]:
                self._problems.append(Problem(self.images.ids[image], error(line)))
            self._bad[image] = True

    def good(self) -> np.ndarray:
        """``(n,)`` int64: the images of which nothing was reported."""
        return np.flatnonzero(~self._bad)


def duplicate(table: Table) -> DataError:
    """The error for the first id that a table repeats."""
    first: dict[str, int] = {}
    for row, image_id in enumerate(table.ids):
        if first.setdefault(image_id, row) != row:
            break
    return DataError(
        f"image id {image_id!r} is already in line {first[image_id] + 1}",
        at=table.at(row),
        expected="every image id once",
    )


def image_rows(table: Table, images: Table) -> np.ndarray:
    """``(len(table),)`` int64: the image that each line speaks of."""
    if table.ids == images.ids:
        return np.arange(len(images))
    rows = {image_id: row for row, image_id in enumerate(images.ids)}
    found = np.fromiter((rows.get(i, -1) for i in table.ids), np.int64, len(table))
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise DataError(
            f"image id {table.ids[row]!r} is not in {images.path.name}",
            at=table.at(row),
            expected="the same image ids in all files of a split",
        )
    return found


def one_value_each(
    table: Table, values: np.ndarray, rows: np.ndarray, faults: Faults
) -> np.ndarray:
    """``(N, ...)``: the value of each image, 0 where an image has no line and is at fault.

    Args:
        table: A file with at most one line an image.
        values: ``(L, ...)``, one a line.
        rows: ``(L,)`` int64, the image of each line.
        faults: Where images without a line are reported.
    """
    counts = np.bincount(rows, minlength=len(faults.images))
    if (counts > 1).any():
        raise duplicate(table)
    check_present(counts, table.path, faults)
    found = np.zeros((len(faults.images), *values.shape[1:]), values.dtype)
    found[rows] = values
    return found


def check_present(counts: np.ndarray, path: Path, faults: Faults, what: str = "line") -> None:
    """Report images that a file has no line of.

    Args:
        counts: ``(N,)`` lines of each image.
        path: The file.
        faults: Where they are reported.
        what: What a line is.
    """
    images, without = faults.images, counts == 0

    def missing(row: int) -> DataError:
        return DataError(
            f"image id {images.ids[row]!r} has no {what} in {path.name}"
            f" ({without.sum()} images have none)",
            at=images.at(row),
            expected="the same image ids in all files of a split",
        )

    faults.report(without, np.arange(len(images)), missing)
