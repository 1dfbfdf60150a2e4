"""OpenImages30k, the masks of the standard benchmark (Choe et al., CVPR 2020, arXiv:2001.07437)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.base import Reader
from wsoltool.datasets.readers.folders import class_folders
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError

PUBLISHED = {"train": 29_819, "val": 2_500, "test": 5_000}
IMAGE, MASK, IGNORED = ".jpg", ".png", "_ignore.png"
#: ``<image>_m<class>_<8 hexadecimal digits of the box>.png``
MASK_NAME = re.compile(r"(?P<image>[^_]+)_m(?P<of>.+)_[0-9a-f]{8}\.png")


@dataclass(frozen=True, kw_only=True)
class OpenImages30k(Reader):
    """100 classes, a mask for each object of the image's class, and what is not to be scored.

    Reads ``<train|val|test>/<class>/<image>.jpg`` and, below the folder of the masks,
    ``<val|test>/<class>/<image>_m<class>_<box>.png`` and ``<image>_ignore.png``. Labels follow the
    sorted names of the class folders, which are Open Images' ids without ``/m/``. An image without
    ignore file ignores nothing; one without mask cannot be scored.

    Args:
        masks: Folder of the masks' tree below the data set's folder; the published archives are
            unpacked into one.

    Raises:
        DataError: A class folder is missing or holds no image.
    """

    folders: ClassVar[Sequence[str]] = ("OpenImages",)
    default_parts: ClassVar[Mapping[str, str]] = {
        "train-weaksup": "train",
        "train-fullsup": "val",
        "test": "test",
    }

    masks: str = ""

    def published(self, part: str) -> int | None:
        return PUBLISHED.get(part)

    def mask_root(self, home: Path) -> Path:
        return home / self.masks

    def class_names(self, home: Path) -> Sequence[str]:
        return class_folders(home / self.part(self.splits()[0]))

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        names = self.class_names(home)
        _check_classes(home / part, names)
        for label, name in enumerate(names):
            folder = f"{part}/{name}"
            masks = _Masks(self.mask_root(home) / folder, name)
            images = _files(home / folder, IMAGE)
            if not images:
                raise DataError(
                    "the class folder holds no image",
                    at=str(home / folder),
                    expected=f"files ending in {IMAGE}",
                )
            for image in images:
                yield _entry(folder, image, label, masks)
            yield from masks.left_over(folder, images)


@dataclass(frozen=True)
class _Masks:
    """The mask files of a class folder, by the stem of their image.

    Attributes:
        folder: The folder, which may be missing.
        name: Its class.
    """

    folder: Path
    name: str
    instances: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ignored: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for file in _files(self.folder, MASK):
            match = MASK_NAME.fullmatch(file)
            if match and match["of"] == self.name:
                self.instances[match["image"]].append(file)
            elif file.endswith(IGNORED):
                self.ignored[file.removesuffix(IGNORED)] = file
            else:
                self.unknown.append(file)

    def left_over(self, folder: str, images: Sequence[str]) -> Iterator[Problem]:
        """Files that are nobody's mask: something is missing, or was renamed."""
        stems = {Path(image).stem for image in images}
        for file in self.unknown:
            what = f"the file's name is not that of a mask of class {self.name}"
            expected = f"<image>_m{self.name}_<8 hexadecimal digits>.png, or <image>_ignore.png"
            error = DataError(what, at=str(self.folder / file), expected=expected)
            yield Problem(f"{folder}/{file}", error)
        for stem in sorted({*self.instances, *self.ignored} - stems):
            error = DataError(
                "there are masks of an image that is missing",
                at=str(self.folder),
                expected=f"the image {stem}{IMAGE}",
            )
            yield Problem(f"{folder}/{stem}{IMAGE}", error)


def _entry(folder: str, image: str, label: int, masks: _Masks) -> Entry:
    stem = Path(image).stem
    ignored = masks.ignored.get(stem)
    return Entry(
        image=f"{folder}/{image}",
        labels=(label,),
        masks=[f"{folder}/{file}" for file in masks.instances.get(stem, ())],
        ignored=f"{folder}/{ignored}" if ignored else "",
        at=str(masks.folder / f"{stem}_m{masks.name}_*{MASK}"),
    )


def _files(folder: Path, ending: str) -> list[str]:
    """Names of a folder's files of one kind, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.name.endswith(ending) and p.name[0] != ".")


def _check_classes(folder: Path, names: Sequence[str]) -> None:
    present = class_folders(folder)
    wrong = sorted({*names} ^ {*present})
    if wrong:
        missing = wrong[0] in names
        raise DataError(
            f"the class folder {wrong[0]!r} is {'missing' if missing else 'in this part alone'}",
            at=str(folder),
            expected="the same class folders in all parts",
        )
