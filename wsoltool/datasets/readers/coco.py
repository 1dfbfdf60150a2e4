"""COCO (Lin et al., ECCV 2014, arXiv:1405.0312) and everything that is exported in its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from wsoltool.datasets.readers.base import Download, Reader
from wsoltool.datasets.readers.coco_file import CocoFile, CocoImage
from wsoltool.datasets.readers.coco_lists import read_categories
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError

PUBLISHED = {"train2017": 118287, "val2017": 5000, "train2014": 82783, "val2014": 40504}
SITE = "http://images.cocodataset.org"
ANNOTATIONS = Download(
    f"{SITE}/annotations/annotations_trainval2017.zip", md5="f4bbac642086de4f52a3fdda2de5fa2c"
)
IMAGES = {
    "train2017": Download(f"{SITE}/zips/train2017.zip", md5="cced6f7f71b7629ddf16f17bbcfab6b2"),
    "val2017": Download(f"{SITE}/zips/val2017.zip", md5="442b8da7639aecaf257c1dceb8ba8c80"),
}


@dataclass(frozen=True, kw_only=True)
class CocoJson(Reader):
    """Images with COCO annotations: many classes an image, many boxes a class.

    An image has the classes that are annotated in it, crowds included, and may have none. Regions
    of crowds are difficult boxes, which metrics neither demand nor punish. Boxes that reach at most
    one pixel beyond their image are cut at its border: COCO rounds some there. Two images of
    train2017 have a box without height and cannot be scored; to train they can be used.
    Segmentations are not read: maps of these images are scored by boxes.

    Image ids are ``<images>/<file_name>``. train2017 takes half a minute and 2 GB to parse;
    `wsoltool prepare` does it once.

    Args:
        annotations: Annotation file below the data set's folder; ``{part}`` stands for the part.
        images: Folder of the images below the data set's folder, in the same way.
        multi_label: Whether images may have several classes, or none; else every image has one.

    Raises:
        DataError: A file is missing, is no COCO json, or has other categories than the first part.
    """

    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": "train2017", "test": "val2017"}

    annotations: str = "annotations/instances_{part}.json"
    images: str = "{part}"
    multi_label: bool = True

    @property
    def downloads(self) -> Sequence[Download]:  # type: ignore[override]
        """The archives of the parts in use, where these are COCO's of 2017."""
        parts = sorted({*self._parts().values()})
        return [ANNOTATIONS, *(IMAGES[p] for p in parts)] if {*parts} <= {*IMAGES} else ()

    def published(self, part: str) -> int | None:
        return PUBLISHED.get(part)

    def class_names(self, home: Path) -> Sequence[str]:
        return read_categories(self._file(home, self.part(self.splits()[0]))).names

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        path = self._file(home, part)
        file = CocoFile(path)
        self._check_categories(file, home)
        folder = PurePosixPath(self.images.replace("{part}", part)).as_posix()
        for image in file.images():
            name = _name(image) if folder == "." else f"{folder}/{_name(image)}"
            if isinstance(image, Problem):
                yield Problem(name, image.error)
            else:
                yield entry_of(image, name, self.multi_label)

    def _file(self, home: Path, part: str) -> Path:
        return home / self.annotations.replace("{part}", part)

    def _check_categories(self, file: CocoFile, home: Path) -> None:
        """Labels mean the same in all parts, or nothing that was learnt can be scored."""
        first = self._file(home, self.part(self.splits()[0]))
        # train2017's file has half a gigabyte: its own categories are not read again.
        expected = file.categories if file.path == first else read_categories(first)
        if file.categories != expected:
            raise DataError(
                f"the categories are not those of {first.name}",
                at=str(file.path),
                expected=f"{len(expected.names)} categories with the same ids and names",
            )


def entry_of(image: CocoImage, name: str, multi_label: bool) -> Entry:
    """The entry of an image whose id is ``name``."""
    labels = [box.label for box in image.boxes]
    return Entry(
        image=name,
        labels=tuple(sorted(set(labels))),
        size=image.size,
        boxes=tuple(box.xyxy for box in image.boxes),
        box_labels=labels if multi_label else (),
        difficult=tuple(box.crowd for box in image.boxes),
        at=image.at,
    )


def _name(image: CocoImage | Problem) -> str:
    return image.image if isinstance(image, Problem) else image.name
