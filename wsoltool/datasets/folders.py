"""Photos in folders named by class."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsoltool.datasets.base import Transform
from wsoltool.datasets.image_files import ImageFiles
from wsoltool.datasets.images import EXTENSIONS
from wsoltool.datasets.records import Names, Records
from wsoltool.errors import DataError, did_you_mean

logger = logging.getLogger(__name__)

SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


class ImageFolders(ImageFiles):
    """Images in one folder a class, sub-folders included; all of them are used.

    ``data_root/<folder>/<class>/**/*.jpg``: the folder's name is the class name, classes are
    sorted by name. Hidden files and folders are ignored and links to folders inside a class are not
    followed. Other files are skipped, counted in :attr:`skipped` and reported as a warning.

    The folders hold no boxes: this is for training, and for `wsoltool localize`. To score, describe
    annotated images as :class:`~wsoltool.datasets.metadata.WsolMetadata`.

    Args:
        split: ``train-weaksup``; asking another split for its truth is an error.
        data_root: The data set's folder; ids are paths below it.
        folder: Sub-folder that holds the class folders, such as ``train``; by default
            ``data_root`` itself holds them.
        classes: Class names in the order of their labels, exactly the folders that exist.
        pipeline: Transforms, see :class:`LocalizationDataset`.
        exif: Turn images as their EXIF orientation says, as people see them.

    Attributes:
        skipped: How many files of each extension were skipped (``""``: no extension).

    Raises:
        DataError: A folder is missing, no class folder exists, or one holds no image.
    """

    def __init__(
        self,
        split: str,
        data_root: str,
        folder: str = "",
        classes: Sequence[str] | None = None,
        pipeline: Sequence[Transform] = (),
        exif: bool = True,
    ) -> None:
        root = Path(data_root)
        class_root = root / folder
        names = _class_folders(class_root)
        if classes is not None:
            _check_listed(names, classes, class_root)
            names = list(classes)
        self.skipped: Counter[str] = Counter()
        found = [_images_below(class_root / name, self.skipped) for name in names]
        _report_unused(self.skipped, class_root)
        counts = [len(paths) for paths in found]
        super().__init__(
            split,
            pipeline,
            image_root=root,
            classes=names,
            records=Records(
                Names.of(path.relative_to(root).as_posix() for paths in found for path in paths),
                np.repeat(np.arange(len(names)), counts),
            ),
            box_convention="exclusive",
            exif=exif,
        )


def _class_folders(root: Path) -> list[str]:
    """Names of the folders below ``root``, sorted; never those of splits."""
    if not root.is_dir():
        raise DataError(
            "the image folder does not exist",
            at=str(root),
            expected="a folder that holds one folder a class",
        )
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name[0] != ".")
    if not names:
        raise DataError(
            "no class folders found",
            at=str(root),
            expected="a folder that holds one folder a class, each with its images",
        )
    splits = [name for name in names if name.lower() in SPLIT_NAMES]
    if len(splits) == len(names):
        raise DataError(
            f"the folders {', '.join(names)} look like splits, not like classes",
            at=str(root),
            expected="a folder that holds one folder a class",
            hint=f"choose one of them with folder={splits[0]!r}",
        )
    return names


def _check_listed(present: Sequence[str], classes: Sequence[str], root: Path) -> None:
    """Raise unless ``classes`` names every folder once and nothing else."""
    twice = [name for name, count in Counter(classes).items() if count > 1]
    missing = [name for name in classes if name not in set(present)]
    unlisted = [name for name in present if name not in set(classes)]
    for wrong, what, near in (
        (twice, "twice in the list of classes", ()),
        (missing, "a class without folder", unlisted),
        (unlisted, "a folder that the list of classes does not name", missing),
    ):
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise DataError(
                f"{wrong[0]!r} is {what}{more}",
                at=str(root),
                expected="a list of classes that names every class folder once",
                hint=did_you_mean(wrong[0], near),
            )


def _images_below(folder: Path, skipped: Counter[str]) -> list[Path]:
    """The image files below a class folder, sorted; counts the others in ``skipped``."""
    images: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in files:
            extension = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a million names
            if name[0] == ".":
                continue
            if extension in EXTENSIONS:
                images.append(Path(parent, name))
            else:
                others[extension] += 1
    if not images:
        raise DataError(
            "the class folder holds no image"
            + (f", only files of other kinds: {_listing(others)}" if others else ""),
            at=str(folder),
            expected="files ending in " + ", ".join(sorted(EXTENSIONS)),
            hint="convert its files, or remove the folder",
        )
    skipped.update(others)
    return sorted(images)


def _report_unused(skipped: Counter[str], root: Path) -> None:
    if skipped:
        count = skipped.total()
        logger.warning("%s: skipped %d files of other kinds: %s", root, count, _listing(skipped))
    stray = sum(p.suffix.lower() in EXTENSIONS and p.name[0] != "." for p in root.iterdir())
    if stray:
        logger.warning("%s: %d images lie beside the class folders and are not used", root, stray)


def _listing(extensions: Counter[str]) -> str:
    """``.txt (3), .heic (1)``."""
    return ", ".join(f"{name or 'no extension'} ({n})" for name, n in extensions.most_common())
