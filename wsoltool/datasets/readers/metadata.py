"""The text metadata of wsolevaluation (Choe et al., CVPR 2020, arXiv:2001.07437).

A folder a split, with comma separated files without header; an image id is the image's path below
the image root:

- ``image_ids.txt``: id
- ``class_labels.txt``: id, label counted from 0
- ``image_sizes.txt``: id, width, height; optional, and may be empty
- ``localization.txt``: id, x0, y0, x1, y1, a line a box, in pixels of the original image; or id,
  mask file, ignore file, a line an instance, the ignore file in an image's first line only
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from wsoltool.datasets.metadata_files import read_metadata
from wsoltool.datasets.readers.base import Keep, RecordReader
from wsoltool.datasets.readers.class_names import distinct_names
from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.datasets.records import Problem, Reading
from wsoltool.datasets.splits import SPLITS
from wsoltool.datasets.tables import Table
from wsoltool.errors import DataError

CLASSES = "classes.txt"


@dataclass(frozen=True, kw_only=True)
class WsolMetadata(RecordReader):
    """A data set described by wsolevaluation text metadata.

    Boxes follow the file: ``truth.annotated_boxes`` are its numbers, ``truth.boxes`` the same
    boxes with x1 y1 exclusive. Masks are read when an image is; its boxes are then those of its
    instances, see :class:`~wsoltool.datasets.mask_files.MaskFiles`. ``localization.txt`` is never
    opened for ``train-weaksup``.

    Args:
        images: Image root, relative to ``data_root`` as are ``metadata`` and ``classes``.
        metadata: Folder with a metadata folder for each part; the parts are called as the splits
            unless ``parts`` says otherwise.
        box_convention: ``exclusive``: the file's x1 y1 are the first pixels outside the box (or
            x0 + width); ``inclusive``: they are its last pixels.
        classes: Class list, lines of ``label,wnid,name``; by default ``classes.txt`` where that
            exists, else the classes are named by their numbers.
        masks: The folder, relative to ``data_root``, that the mask files of ``localization.txt``
            lie in; None where it lists boxes.

    Raises:
        DataError: A file is missing or one of its lines is wrong; the message names the line.
    """

    default_parts: ClassVar[Mapping[str, str]] = {split: split for split in SPLITS}

    images: str = "images"
    metadata: str = "metadata"
    box_convention: str = "exclusive"
    classes: str | None = None
    masks: str | None = None

    def image_root(self, home: Path) -> Path:
        return home / self.images

    def read_part(self, home: Path, part: str, keep: Keep | None, with_truth: bool) -> Reading:
        folder = home / self.metadata / part
        mask_root = None if self.masks is None or not with_truth else home / self.masks
        _check_folders(self.image_root(home), folder, mask_root)
        names = _class_names(home, self.classes)
        problems: list[Problem] = []
        records = read_metadata(
            folder,
            with_boxes=with_truth,
            box_convention=self.box_convention,
            num_classes=None if names is None else len(names),
            mask_root=mask_root,
            problems=problems,
        )
        if names is None:
            names = tuple(map(str, range(int(records.labels.max(initial=-1)) + 1)))
        if keep is not None:
            kept = np.fromiter(map(keep, records.ids), bool, len(records))
            records = records.select(np.flatnonzero(kept))
            problems = [problem for problem in problems if keep(problem.image)]
        return Reading(names, records, tuple(problems))


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names in the order of their labels; equal names get their wnid appended.

    Raises:
        DataError: A line is wrong, or the labels are not 0, 1, 2, ... each once.
    """
    table = Table(path, ("label", "wnid", "name"))
    labels = table.integers("label")[:, 0]
    wrong = np.flatnonzero(np.sort(labels) != np.arange(len(labels)))
    if not len(labels) or len(wrong):
        raise DataError(
            "the class list's labels are not 0, 1, 2, ... each once"
            if len(labels)
            else "the class list is empty",
            at=str(path),
            expected="a line label,wnid,name for every class",
        )
    wnids, names = table.names("wnid"), table.names("name")
    unique = distinct_names(names, wnids)
    return tuple(unique[row] for row in np.argsort(labels))


def _check_folders(images: Path, metadata: Path, masks: Path | None) -> None:
    wanted = {"image folder": images, "metadata folder": metadata}
    if masks is not None:
        wanted["mask folder"] = masks
    for what, path in wanted.items():
        if not path.is_dir():
            raise DataError(
                f"the {what} does not exist",
                at=str(path),
                expected="data_root with an image folder and a metadata folder for each split",
                known=names_near(path),
            )


def _class_names(root: Path, classes: str | None) -> tuple[str, ...] | None:
    if classes is not None:
        return read_classes(root / classes)
    return read_classes(root / CLASSES) if (root / CLASSES).is_file() else None
