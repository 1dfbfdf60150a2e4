"""Boxes for photos in class folders: XML files as of PASCAL VOC, or one COCO json file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wsoltool.datasets.readers.borders import trimmed
from wsoltool.datasets.readers.coco_file import CocoFile, CocoImage
from wsoltool.datasets.readers.voc_xml import read_voc_xml
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError, did_you_mean
from wsoltool.structures import Region, Size


class Thing(NamedTuple):
    """An annotated object.

    Attributes:
        name: Its class.
        box: xyxy, pixels of the image, x1 y1 exclusive.
        difficult: Metrics pass over it.
    """

    name: str
    box: Region
    difficult: bool


class Annotation(NamedTuple):
    """All objects of an image.

    Attributes:
        size: (height, width), where it is written.
        things: The objects in the file's order.
        at: Where this is written.
    """

    size: Size | None
    things: Sequence[Thing]
    at: str


class FolderBoxes(ABC):
    """Where the boxes of images come from."""

    @abstractmethod
    def find(self, image: str) -> Annotation:
        """What is annotated in an image of this id.

        Raises:
            DataError: There is no annotation, or it is wrong.
        """

    def complete(self, entry: Entry, name: str) -> Entry:
        """The entry with the boxes of its class: other objects of the image are not its own.

        Args:
            entry: Of the image.
            name: Its class.

        Raises:
            DataError: No object of the class is annotated.
        """
        size, things, at = self.find(entry.image)
        own = [thing for thing in things if thing.name == name]
        if not own:
            others = sorted({thing.name for thing in things})
            raise DataError(
                f"no object {name!r} is annotated" + (f", only {', '.join(others)}" * bool(others)),
                at=at,
                expected="an object called as the image's class folder",
                hint=did_you_mean(name, others),
            )
        return replace(
            entry,
            size=size,
            boxes=[thing.box for thing in own],
            difficult=[thing.difficult for thing in own],
            at=at,
        )


class XmlBoxes(FolderBoxes):
    """XML files that have the name and place of their images below a folder.

    VOC counts pixels from 1 and names a box's last ones. Tools that count from 0 are a pixel off
    to the upper left, and what leaves the image by that is cut.

    Args:
        folder: The folder of ``<image id with the ending .xml>``.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(
                "the folder of the annotations does not exist",
                at=str(folder),
                expected="a folder of XML files, named and arranged as the images; or a .json file",
            )
        self.folder = folder

    def find(self, image: str) -> Annotation:
        path = self.folder / PurePosixPath(image).with_suffix(".xml")
        annotation = read_voc_xml(path)
        things = []
        for thing in annotation.objects:
            x0, y0, x1, y1 = thing.box
            box = trimmed((x0 - 1, y0 - 1, x1, y1), annotation.size)
            things.append(Thing(thing.name, box, thing.difficult))
        return Annotation(annotation.size, things, str(path))


class JsonBoxes(FolderBoxes):
    """One COCO file. Its ``file_name`` is the image's path, with or without the part's folder.

    A name without folder is enough where it belongs to one image alone.

    Args:
        path: The file.
        images: Ids of all images that it may be about.
        part: The folder that ids of this part begin with, or an empty name.
    """

    def __init__(self, path: Path, images: Iterable[str], part: str) -> None:
        file = CocoFile(path)
        self.path, self.part, self.names = path, part, file.categories.names
        self._by_name: Mapping[str, list[CocoImage | Problem]] = defaultdict(list)
        for image in file.images():
            name = image.image if isinstance(image, Problem) else image.name
            self._by_name[name].append(image)
        self._namesakes = Counter(PurePosixPath(image).name for image in images)

    def find(self, image: str) -> Annotation:
        found = self._named(image)
        if isinstance(found, Problem):
            raise found.error
        things = [Thing(self.names[box.label], box.xyxy, box.crowd) for box in found.boxes]
        return Annotation(found.size, things, found.at)

    def _named(self, image: str) -> CocoImage | Problem:
        base = PurePosixPath(image).name
        names = [image, image.removeprefix(f"{self.part}/"), base]
        name = next((name for name in names if self._by_name.get(name)), None)
        if name is None:
            raise DataError(
                f"no image of the file has the file_name {names[1]!r}",
                at=str(self.path),
                expected="an annotation of every image that is to be scored",
            )
        count = max(len(self._by_name[name]), self._namesakes[base] if name == base != image else 1)
        if count > 1:
            raise DataError(
                f"file_name {name!r} belongs to {count} images",
                at=str(self.path),
                expected="every image once, by its path below data_root",
            )
        return self._by_name[name][0]
