"""The files of ILSVRC's CLS-LOC: images in class folders, annotations, names of the classes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wsoltool.datasets.images import EXTENSIONS
from wsoltool.datasets.readers.lines import Lines
from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.datasets.readers.voc_xml import VocAnnotation, read_voc_xml
from wsoltool.datasets.records import Entry
from wsoltool.errors import DataError

logger = logging.getLogger(__name__)

TRAIN, VAL = "train", "val"
WNID = re.compile(r"n\d{8}")
SYNSETS = ("LOC_synset_mapping.txt", "synset_words.txt")
#: Where annotations of a part lie, from the data set's folder.
BOXES = (
    *("Annotations/CLS-LOC/{part}", "../../Annotations/CLS-LOC/{part}", "Annotations/{part}"),
    *("ILSVRC2012_bbox_{part}_v3/{part}", "ILSVRC2012_bbox_{part}_v2/{part}"),
    *("ILSVRC2012_bbox_{part}_v3", "ILSVRC2012_bbox_{part}_v2"),
    *("bbox_{part}", "bbox/{part}", "{part}_bbox", "{part}_xml", "xml/{part}"),
)


class Annotations:
    """The annotation files of a part.

    Args:
        folder: It holds them, or a folder of them a class.
        wnids: The classes in the order of their labels.
    """

    def __init__(self, folder: Path, wnids: Sequence[str]) -> None:
        self.folder, self.by_class = folder, has_class_folders(folder, wnids)
        self.labels = {wnid: label for label, wnid in enumerate(wnids)}

    def entry(self, image: str, others_allowed: bool) -> Entry:
        """An image whose class only its annotation tells; no labels if that is an allowed other."""
        path = self.folder / f"{PurePosixPath(image).stem}.xml"
        annotation = read_voc_xml(path)
        wnid = _only_class(annotation, path)
        if wnid in self.labels:
            return _with_boxes(Entry(image=image, labels=(self.labels[wnid],)), annotation, path)
        if others_allowed:
            return Entry(image=image, labels=())
        raise DataError(
            f"unknown class {wnid!r}",
            at=str(path),
            expected=f"one of the {len(self.labels)} classes of the class folders",
            hint="wnids=[...] names the classes to use; images of others are then left out",
        )

    def complete(self, entry: Entry) -> Entry:
        """An image in a class folder of its part, with its boxes."""
        part, wnid, name = entry.image.split("/")
        folder = self.folder / wnid if self.by_class else self.folder
        path = folder / f"{PurePosixPath(name).stem}.xml"
        annotation = read_voc_xml(path)
        if part == TRAIN:
            # Some objects are of another class, some have a name such as Scottish_deerhound.
            own = (o for o in annotation.objects if o.name == wnid or not WNID.fullmatch(o.name))
            annotation = replace(annotation, objects=tuple(own))
        elif (found := _only_class(annotation, path)) != wnid:
            raise DataError(
                f"the image lies in the folder of {wnid}, its annotation says {found}",
                at=str(path),
                expected="one class",
            )
        return _with_boxes(entry, annotation, path)


def _with_boxes(entry: Entry, annotation: VocAnnotation, path: Path) -> Entry:
    boxes = [thing.box for thing in annotation.objects]
    return replace(entry, size=annotation.size, boxes=boxes, at=str(path))


def _only_class(annotation: VocAnnotation, path: Path) -> str:
    wnids = sorted({thing.name for thing in annotation.objects})
    if len(wnids) != 1:
        what = f"objects of {', '.join(wnids)}" if wnids else "no object"
        raise DataError(f"the annotation has {what}", at=str(path), expected="one class an image")
    return wnids[0]


def box_folder(home: Path, images: Path, part: str, named: str | None) -> Path:
    """Where the annotations of a part lie.

    Args:
        home: The data set's folder.
        images: The folder of the part's images, where annotations may lie beside them.
        part: ``train`` or ``val``.
        named: The folder if it is known, from ``home``.

    Raises:
        DataError: No such folder exists.
    """
    names = [name.format(part=part) for name in BOXES] if named is None else [named]
    for folder in (home / name for name in names):
        if folder.is_dir():
            return folder
    if named is None and any(name.endswith(".xml") for name in listing(images)):
        return images
    raise DataError(
        f"the annotations of {part} are in none of the usual folders"
        if named is None
        else "the folder of annotations does not exist",
        at=str(home),
        expected=", ".join(names),
        hint=f"boxes={{{part!r}: 'folder'}} names another; image-net.org has the archive",
    )


def image_names(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted; no file is opened or asked for its kind.

    Raises:
        DataError: The folder is missing, or holds no image.
    """
    names = [name for name in listing(folder) if name[0] != "."]
    images = sorted(filter(_is_image, names))
    others = sum(not name.endswith(".xml") for name in names) - len(images)
    if not images:
        raise DataError(
            "the folder holds no image",
            at=str(folder),
            expected="images, *.JPEG",
            hint="was the archive of this folder unpacked?",
        )
    if others:
        logger.warning("%s: %d files or folders are no images and not used", folder, others)
    return images


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - a million names


def listing(folder: Path) -> list[str]:
    """Names of all that lies in a folder.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return os.listdir(folder)  # noqa: PTH208 - a million names
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror}",
            at=str(folder),
            expected="train/<wnid>/*.JPEG and val/*.JPEG, or ILSVRC/Data/CLS-LOC with these",
            known=names_near(folder),
        ) from error


def has_class_folders(folder: Path, wnids: Iterable[str]) -> bool:
    """Whether any class has a folder of its own in a folder."""
    return any((folder / wnid).is_dir() for wnid in wnids)


def synset_names(home: Path) -> dict[str, str]:
    """wnid -> the first of its names; empty where no list lies in the folder or above it."""
    for folder in (home, *home.absolute().parents[:3]):
        for path in (folder / name for name in SYNSETS):
            if path.is_file():
                lines = Lines(path, "names")
                return {wnid: names.split(",")[0].strip() for wnid, (names,) in lines.items()}
    return {}
