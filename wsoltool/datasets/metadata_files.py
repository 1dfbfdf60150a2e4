"""The text files of wsolevaluation metadata: reading and checking them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsoltool.datasets.image_sizes import header_sizes
from wsoltool.datasets.metadata_ids import check_present, duplicate, image_rows, one_row_each
from wsoltool.datasets.metadata_masks import BOX_FIELDS, read_masks, refuse_other_kind
from wsoltool.datasets.records import BoxTable, Records
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
    labels = _read_labels(folder / CLASS_LABELS, images, num_classes)
    sizes = _read_sizes(folder / IMAGE_SIZES, images)
    if sizes is None and image_root is not None:
        sizes = header_sizes(image_root, images.ids)
    boxes, masks = None, None
    if with_boxes and mask_root is not None:
        masks = read_masks(folder / LOCALIZATION, images, mask_root)
    elif with_boxes:
        boxes = read_boxes(folder / LOCALIZATION, images, sizes, box_convention)
    return Records(images.ids, labels, sizes, boxes, masks)


def _read_labels(path: Path, images: Table, num_classes: int | None) -> np.ndarray:
    table = Table(path, ("image id", "label"))
    labels = table.integers("label")[:, 0]
    _check_label_range(labels, num_classes, table)
    labels = labels[one_row_each(table, images)]
    if num_classes is None:
        _check_no_gaps(labels, path)
    return labels


def _check_label_range(labels: np.ndarray, num_classes: int | None, table: Table) -> None:
    wrong = labels < 0 if num_classes is None else (labels < 0) | (labels >= num_classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"label {labels[row]} of {table.ids[row]!r} is out of range",
            at=table.at(row),
            expected="labels from 0 on" if num_classes is None else f"0 to {num_classes - 1}",
            hint="labels count from 0; the class list has a line for every class",
        )


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


def _read_sizes(path: Path, images: Table) -> np.ndarray | None:
    """``(N, 2)`` int64 (height, width), or None where the file is absent or empty."""
    if not path.is_file():
        return None
    table = Table(path, ("image id", "width", "height"))
    if not len(table):
        return None
    sizes = table.integers("height", "width")
    if (sizes < 1).any():
        row = int(np.argmax((sizes < 1).any(axis=1)))
        raise DataError(
            f"{table.ids[row]!r} is {sizes[row, 1]} x {sizes[row, 0]} pixels",
            at=table.at(row),
            expected="a width and a height of at least 1",
        )
    return sizes[one_row_each(table, images)]


def read_boxes(path: Path, images: Table, sizes: np.ndarray | None, convention: str) -> BoxTable:
    """Read lines of ``image id,x0,y0,x1,y1``, at least one for every image.

    Args:
        path: The file.
        images: Table whose ids are the split's images.
        sizes: ``(N, 2)`` (height, width), or None: boxes are not compared with the image's size.
        convention: ``exclusive`` or ``inclusive``.

    Raises:
        DataError: A line is wrong, a box has no area or lies outside its image, an id is unknown
            or has no box.
    """
    refuse_other_kind(path, masks=False)
    table = Table(path, BOX_FIELDS)
    boxes = table.integers(*BOX_FIELDS[1:])
    rows = image_rows(table, images)
    _check_boxes(table, boxes, None if sizes is None else sizes[rows], convention)
    grouped = BoxTable.group(rows, boxes, len(images))
    check_present(grouped.counts(), path, images, what="box")
    return grouped


def _check_boxes(
    table: Table, boxes: np.ndarray, sizes: np.ndarray | None, convention: str
) -> None:
    """Refuse boxes without area and boxes outside the image."""
    last = int(convention == "inclusive")
    thin = (boxes[:, 2:] - boxes[:, :2] + last < 1).any(axis=1)
    outside = (boxes[:, :2] < 0).any(axis=1)
    if sizes is not None:
        outside |= (boxes[:, 2:] + last > sizes[:, ::-1]).any(axis=1)
    for wrong, what, other in ((thin, "has no area", 0), (outside, "lies outside the image", 1)):
        if wrong.any():
            row = int(np.argmax(wrong))
            size = "" if sizes is None else f" of {sizes[row, 1]} x {sizes[row, 0]} pixels"
            hint = f"is the file's box_convention really {convention!r}?"
            raise DataError(
                f"box {','.join(map(str, boxes[row]))} {what}{size * other}"
                f" ({wrong.sum()} boxes in this file)",
                at=table.at(row),
                expected="x0,y0,x1,y1 inside the image, x0 <= x1 and y0 <= y1"
                if last
                else "x0,y0,x1,y1 inside the image, x0 < x1 and y0 < y1",
                hint=hint if last == other else None,
            )
