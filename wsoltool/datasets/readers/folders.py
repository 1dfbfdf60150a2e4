"""Photos in folders named by class."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.images import EXTENSIONS
from wsoltool.datasets.readers.base import Reader, attempt
from wsoltool.datasets.readers.folder_boxes import FolderBoxes, JsonBoxes, XmlBoxes
from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError, did_you_mean

logger = logging.getLogger(__name__)

SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


@dataclass(frozen=True, kw_only=True)
class ImageFolders(Reader):
    """Images in one folder a class, sub-folders included; all of them are used.

    ``data_root/<part>/<class>/**/*.jpg``: the folder's name is the class name, classes are
    sorted by name. Hidden files and folders are ignored and links to folders inside a class are not
    followed. Other files are skipped, and reported as a warning.

    Boxes are those of objects that are called as the image's folder; of train-weaksup they are
    never looked for.

    The class folders of the first split are the classes; others may lack some of them.

    Args:
        parts: Split -> sub-folder that holds its class folders, such as ``train``; by default
            ``data_root`` itself holds those of train-weaksup, and other splits are shares of it.
        annotations: Where boxes are, below ``data_root``: ``.`` for XML files as of PASCAL VOC
            beside the images; a folder of such files, arranged as the images are below
            ``data_root``; or a COCO json file, whose ``file_name`` are paths or names of images.
            ``{part}`` stands for the part. None: there are no boxes.
        classes: Class names in the order of their labels, exactly the folders that exist.
        exif: Turn images as their EXIF orientation says, as people see them.

    Raises:
        DataError: A folder is missing, no class folder exists, or one holds no image.
    """

    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": ""}

    annotations: str | None = None
    classes: Sequence[str] | None = None
    exif: bool = True

    def class_names(self, home: Path) -> Sequence[str]:
        part = self.part(self.splits()[0])
        names = self._folders(home, part)
        if self.classes is not None:
            _check_listed(names, self.classes, home / part)
        return names if self.classes is None else self.classes

    def entries(self, home: Path, part: str) -> Iterator[Entry]:
        skipped: Counter[str] = Counter()
        yield from self._images(home, part, skipped)
        if self.annotations is not None:
            del skipped[".xml"]
        _report_unused(skipped, home / part)

    def annotated(
        self, home: Path, part: str, entries: Iterable[Entry | Problem]
    ) -> Iterator[Entry | Problem]:
        if self.annotations is None:
            yield from entries
            return
        names, boxes = self.class_names(home), self._boxes(home, part, self.annotations)
        for entry in entries:
            if isinstance(entry, Problem):
                yield entry
            else:
                name = names[entry.labels[0]]
                yield attempt(entry.image, partial(boxes.complete, entry, name))

    def _folders(self, home: Path, part: str) -> list[str]:
        """The class folders of a part: all but that of the annotations."""
        names = class_folders(home / part)
        if self.annotations is None:
            return names
        path = self._annotation_path(home, part, self.annotations)
        return [name for name in names if not path.is_relative_to(home / part / name)]

    def _annotation_path(self, home: Path, part: str, annotations: str) -> Path:
        return home / annotations.replace("{part}", part)

    def _images(self, home: Path, part: str, skipped: Counter[str]) -> Iterator[Entry]:
        names, present = self.class_names(home), self._folders(home, part)
        unknown = [name for name in present if name not in set(names)]
        if unknown:
            raise DataError(
                f"the class folder {unknown[0]!r} is in this part alone",
                at=str(home / part),
                expected=f"the class folders of {self.splits()[0]}, or some of them",
                hint=did_you_mean(unknown[0], names),
            )
        for label, name in enumerate(names):
            if name in present:
                for path in images_below(home / part / name, skipped):
                    yield Entry(image=path.relative_to(home).as_posix(), labels=(label,))

    def _boxes(self, home: Path, part: str, annotations: str) -> FolderBoxes:
        path = self._annotation_path(home, part, annotations)
        if path.suffix.lower() != ".json":
            return XmlBoxes(path)
        parts = (part,) if "{part}" in annotations else {*self._parts().values()}
        images = [e.image for other in parts for e in self._images(home, other, Counter())]
        return JsonBoxes(path, images, part)


def class_folders(root: Path) -> list[str]:
    """Names of the folders below ``root``, sorted; never those of splits."""
    if not root.is_dir():
        raise DataError(
            "the image folder does not exist",
            at=str(root),
            expected="a folder that holds one folder a class",
            known=names_near(root),
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
