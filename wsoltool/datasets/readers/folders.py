"""Photos in folders named by class."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.images import EXTENSIONS
from wsoltool.datasets.readers.base import Reader
from wsoltool.datasets.records import Entry
from wsoltool.errors import DataError, did_you_mean

logger = logging.getLogger(__name__)

SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


@dataclass(frozen=True, kw_only=True)
class ImageFolders(Reader):
    """Images in one folder a class, sub-folders included; all of them are used.

    ``data_root/<part>/<class>/**/*.jpg``: the folder's name is the class name, classes are
    sorted by name. Hidden files and folders are ignored and links to folders inside a class are not
    followed. Other files are skipped, and reported as a warning.

    Args:
        parts: Split -> sub-folder that holds its class folders, such as ``train``; by default
            ``data_root`` itself holds those of train-weaksup, and there are no other splits.
        classes: Class names in the order of their labels, exactly the folders that exist.
        exif: Turn images as their EXIF orientation says, as people see them.

    Raises:
        DataError: A folder is missing, no class folder exists, or one holds no image.
    """

    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": ""}

    classes: Sequence[str] | None = None
    exif: bool = True

    def class_names(self, home: Path) -> Sequence[str]:
        folder = home / self.part("train-weaksup")
        names = class_folders(folder)
        if self.classes is not None:
            _check_listed(names, self.classes, folder)
        return names if self.classes is None else self.classes

    def entries(self, home: Path, part: str) -> Iterator[Entry]:
        skipped: Counter[str] = Counter()
        for label, name in enumerate(self.class_names(home)):
            for path in images_below(home / part / name, skipped):
                yield Entry(image=path.relative_to(home).as_posix(), labels=(label,))
        _report_unused(skipped, home / part)


def class_folders(root: Path) -> list[str]:
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
            hint=f"choose one of them with parts={{'train-weaksup': {splits[0]!r}}}",
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


def images_below(folder: Path, skipped: Counter[str]) -> list[Path]:
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
