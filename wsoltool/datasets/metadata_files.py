"""The text files of wsolevaluation metadata: reading and checking them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsoltool.datasets.image_sizes import header_sizes
from wsoltool.datasets.metadata_ids import (
    Faults,
    check_present,
    duplicate,
    image_rows,
    one_value_each,
)
from wsoltool.datasets.metadata_masks import BOX_FIELDS, read_masks, refuse_other_kind
from wsoltool.datasets.records import BoxTable, Problem, Records
from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError

IMAGE_IDS, CLASS_LABELS = "image_ids.txt", "class_labels.txt"
IMAGE_SIZES, LOCALIZATION = "image_sizes.txt", "localization.txt"


def read_metadata(
    folder: Path,
    with_boxes: bool,
    box_convention: str,
    num_classes: int | None = None,
    mask_root: Path | None = None,
    image_root: Path | None = None,
    problems: list[Problem] | None = None,
) -> Records:
    """Read and check one split's metadata folder.

    Args:
        folder: The folder with ``image_ids.txt`` and the other files.
        with_boxes: Read ``localization.txt``; otherwise it is not opened.
        box_convention: ``exclusive`` or ``inclusive``, for the check of the boxes.
        num_classes: Labels must be below; None: labels must have no gaps.
        mask_root: Where ``localization.txt`` names mask files, the folder that they lie in; the
            records then have ``masks`` and no boxes.
        image_root: Where ``image_sizes.txt`` is missing or empty, the folder of the images, whose
            headers tell; without it the records have no sizes.
        problems: Where images that cannot be used are put, and the records are without them; None:
            the first one is an error.

    Raises:
        ImageError: An image's header cannot be read.
        DataError: A file is missing or one of its lines is wrong. Masks are opened by
            :meth:`~wsoltool.datasets.mask_files.MaskFiles.truth`, one image at a time.
    """
    images = Table(folder / IMAGE_IDS, ("image id",))
    if not len(images):
        raise DataError(
            "the split is empty", at=str(images.path), expected="an image id on every line"
        )
    if len(set(images.ids)) < len(images):
        raise duplicate(images)
    faults = Faults(images, problems)
    labels = _read_labels(folder / CLASS_LABELS, faults, num_classes)
    sizes = _read_sizes(folder / IMAGE_SIZES, faults)
    if sizes is None and image_root is not None:
        sizes = header_sizes(image_root, images.ids)
    boxes, masks = None, None
    if with_boxes and mask_root is not None:
        masks = read_masks(folder / LOCALIZATION, faults, mask_root)
    elif with_boxes:
        boxes = read_boxes(folder / LOCALIZATION, faults, sizes, box_convention)
    records, good = Records(images.ids, labels, sizes, boxes, masks), faults.good()
    return records if len(good) == len(records) else records.select(good)


def _read_labels(path: Path, faults: Faults, num_classes: int | None) -> np.ndarray:
    table = Table(path, ("image id", "label"))
    labels = table.integers("label")[:, 0]
    rows = image_rows(table, faults.images)

    def out_of_range(line: int) -> DataError:
        return DataError(
            f"label {labels[line]} of {table.ids[line]!r} is out of range",
            at=table.at(line),
            expected="labels from 0 on" if num_classes is None else f"0 to {num_classes - 1}",
            hint="labels count from 0; the class list has a line for every class",
        )

    too_high = np.iinfo(np.int64).max if num_classes is None else num_classes
    faults.report((labels < 0) | (labels >= too_high), rows, out_of_range)
    if num_classes is None:
        _check_no_gaps(labels[labels >= 0], path)
    return one_value_each(table, labels, rows, faults)


def _check_no_gaps(labels: np.ndarray, path: Path) -> None:
    present = np.unique(labels)
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if len(gaps):
        raise DataError(
            f"no image has label {gaps[0]}, but others have {present[-1]}",
            at=str(path),
            expected="labels without gaps, or a class list that names all classes",
            hint="write a class list (classes.txt, lines of label,wnid,name)",
        )


def _read_sizes(path: Path, faults: Faults) -> np.ndarray | None:
    """``(N, 2)`` int64 (height, width), or None where the file is absent or empty."""
    if not path.is_file():
        return None
    table = Table(path, ("image id", "width", "height"))
    if not len(table):
        return None
    sizes = table.integers("height", "width")
    rows = image_rows(table, faults.images)

    def too_small(line: int) -> DataError:
        return DataError(
            f"{table.ids[line]!r} is {sizes[line, 1]} x {sizes[line, 0]} pixels",
            at=table.at(line),
            expected="a width and a height of at least 1",
        )

    faults.report(sizes.min(axis=1) < 1, rows, too_small)
    return one_value_each(table, sizes, rows, faults)


def read_boxes(path: Path, faults: Faults, sizes: np.ndarray | None, convention: str) -> BoxTable:
    """Read lines of ``image id,x0,y0,x1,y1``, at least one for every image.

    Args:
        path: The file.
        faults: Of the split's images.
        sizes: ``(N, 2)`` (height, width), or None: boxes are not compared with the image's size.
        convention: ``exclusive`` or ``inclusive``.

    Raises:
        DataError: A line is wrong, or an id is unknown; unless collected, also a box without area
            or outside its image, and an image without box.
    """
    refuse_other_kind(path, masks=False)
    table = Table(path, BOX_FIELDS)
    boxes = table.integers(*BOX_FIELDS[1:])
    rows = image_rows(table, faults.images)
    _check_boxes(table, boxes, None if sizes is None else sizes[rows], convention, rows, faults)
    grouped = BoxTable.group(rows, boxes, len(faults.images))
    check_present(grouped.counts(), path, faults, what="box")
    return grouped


def _check_boxes(
    table: Table,
    boxes: np.ndarray,
    sizes: np.ndarray | None,
    convention: str,
    rows: np.ndarray,
    faults: Faults,
) -> None:
    """Report boxes without area and boxes outside the image."""
    last = int(convention == "inclusive")
    thin = np.min(boxes[:, 2:] - boxes[:, :2], axis=1) + last < 1
    outside = boxes[:, :2].min(axis=1) < 0
    if sizes is not None:
        outside |= (boxes[:, 2:] + last > sizes[:, ::-1]).any(axis=1)
    inside = "x0,y0,x1,y1 inside the image, " + (
        "x0 <= x1 and y0 <= y1" if last else "x0 < x1 and y0 < y1"
    )
    hint = f"is the file's box_convention really {convention!r}?"

    def no_area(line: int) -> DataError:
        return DataError(
            f"box {','.join(map(str, boxes[line]))} has no area ({thin.sum()} boxes in this file)",
            at=table.at(line),
            expected=inside,
            hint=None if last else hint,
        )

    def too_far(line: int) -> DataError:
        size = "" if sizes is None else f" of {sizes[line, 1]} x {sizes[line, 0]} pixels"
        return DataError(
            f"box {','.join(map(str, boxes[line]))} lies outside the image{size}"
            f" ({outside.sum()} boxes in this file)",
            at=table.at(line),
            expected=inside,
            hint=hint if last else None,
        )

    faults.report(thin, rows, no_area)
    faults.report(outside, rows, too_far)
