"""Which image each line of a metadata file speaks of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError


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


def one_row_each(table: Table, images: Table) -> np.ndarray:
    """``(N,)`` int64: the line of ``table`` that speaks of each image."""
    found = image_rows(table, images)
    counts = np.bincount(found, minlength=len(images))
    if (counts > 1).any():
        raise duplicate(table)
    check_present(counts, table.path, images)
    return np.argsort(found)


def check_present(counts: np.ndarray, path: Path, images: Table, what: str = "line") -> None:
    if not counts.all():
        row = int(np.argmin(counts))
        raise DataError(
            f"image id {images.ids[row]!r} has no {what} in {path.name}"
            f" ({(counts == 0).sum()} images have none)",
            at=images.at(row),
            expected="the same image ids in all files of a split",
        )
