"""The lines of wsolevaluation metadata that name mask files (OpenImages)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.metadata_ids import Faults, check_present, image_rows
from wsoltool.datasets.records import Names, group_offsets
from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError

BOX_FIELDS = ("image id", "x0", "y0", "x1", "y1")
MASK_FIELDS = ("image id", "mask file", "ignore file")


def refuse_other_kind(path: Path, masks: bool) -> None:
    """Say plainly that a localization file lists masks where boxes are read, or the reverse."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        count = file.readline().count(",") + 1
    if not masks and count == len(MASK_FIELDS):
        raise DataError(
            "the file lists masks, but no mask folder was given",
            at=f"{path}:1",
            expected=",".join(BOX_FIELDS),
            hint="name the folder of the mask files: WsolMetadata(masks=...), or --masks DIR",
        )
    if masks and count == len(BOX_FIELDS):
        raise DataError(
            "the file lists boxes, but a mask folder was given",
            at=f"{path}:1",
            expected=",".join(MASK_FIELDS),
            hint="leave the mask folder out",
        )


def read_masks(path: Path, faults: Faults, root: Path) -> MaskFiles:
    """Read lines of ``image id,mask file,ignore file``, at least one for every image.

    The first line of an image names the file of the pixels to ignore; its further lines, one for
    each further instance, leave that field empty.

    Args:
        path: The file.
        faults: Of the split's images.
        root: The folder that the mask files' paths start from.

    Raises:
        DataError: A line is wrong, or an id is unknown; unless collected, also an image without
            mask.
    """
    refuse_other_kind(path, masks=True)
    table = Table(path, MASK_FIELDS)
    images = faults.images
    rows = image_rows(table, images)
    masks, ignored = table.names("mask file"), table.names("ignore file")
    present, firsts = np.unique(rows, return_index=True)
    first = np.zeros(len(table), dtype=bool)
    first[firsts] = True
    _check_mask_lines(table, masks, ignored, first, rows, faults)
    counts = np.bincount(rows, minlength=len(images))
    check_present(counts, path, faults, what="mask")
    of_image = dict(zip(present.tolist(), firsts.tolist(), strict=True))
    return MaskFiles(
        root,
        masks.select(np.argsort(rows, kind="stable")),
        group_offsets(counts),
        Names.of(ignored[of_image[row]] if row in of_image else "" for row in range(len(images))),
    )


def _check_mask_lines(
    table: Table,
    masks: Names,
    ignored: Names,
    first: np.ndarray,
    rows: np.ndarray,
    faults: Faults,
) -> None:
    """Report lines without mask, first lines without ignore file, and later ones with one."""
    without = ~np.fromiter(map(bool, masks), bool, len(table))
    ignores = np.fromiter(map(bool, ignored), bool, len(table))
    for wrong, what, hint in (
        (without, "names no mask file", None),
        (
            first & ~ignores,
            "is the image's first and names no ignore file",
            "a black image ignores nothing",
        ),
        (
            ~first & ignores,
            "is not the image's first and names an ignore file",
            "one file holds all pixels of the image that are to be ignored",
        ),
    ):
        faults.report(wrong, rows, partial(_bad_mask_line, table, what, hint))


def _bad_mask_line(table: Table, what: str, hint: str | None, line: int) -> DataError:
    return DataError(
        f"the line of {table.ids[line]!r} {what}",
        at=table.at(line),
        expected=",".join(MASK_FIELDS) + "; the ignore file in an image's first line only",
        hint=hint,
    )
