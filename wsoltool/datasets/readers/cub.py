"""Caltech-UCSD Birds-200-2011 as its archive unpacks (Wah et al., 2011, CNS-TR-2011-001)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.base import Download, Reader, attempt
from wsoltool.datasets.readers.lines import Lines
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError, check_choice

PARTS = ("train", "test")
PUBLISHED = {"train": 5994, "test": 5794}
SEGMENTATIONS = "segmentations"


@dataclass(frozen=True, kw_only=True)
class CUB200(Reader):
    """200 bird species, one bird and one box an image.

    Reads ``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt``, ``classes.txt`` and
    ``bounding_boxes.txt``. Where ``segmentations/`` (an archive of its own) lies beside ``images/``
    or beside the data set's folder, its masks are read too: pixels that more than half of the
    annotators marked.

    Image ids are the paths of ``images.txt``, and boxes reach to x + width and y + height, both as
    in wsolevaluation's metadata.
    """

    folders: ClassVar[Sequence[str]] = ("CUB_200_2011",)
    downloads: ClassVar[Sequence[Download]] = (
        Download(
            "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
            md5="97eceeb196236b17998738112f37df78",
        ),
    )
    mask_level: ClassVar[int] = 127

    def published(self, part: str) -> int | None:
        return PUBLISHED.get(part)

    def image_root(self, home: Path) -> Path:
        return home / "images"

    def mask_root(self, home: Path) -> Path:
        return home if (home / SEGMENTATIONS).is_dir() else home.parent

    def class_names(self, home: Path) -> Sequence[str]:
        names = Lines(home / "classes.txt", "name")
        return [names.fields_of(str(label))[0] for label in range(1, len(names) + 1)]

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        check_choice(f"CUB-200-2011 has no part {part!r}", part, PARTS, error=DataError)
        has_masks = (self.mask_root(home) / SEGMENTATIONS).is_dir()
        files, wanted = _Files(home, has_masks), int(part == "train")
        for key, (image,) in files.images.items():
            if files.is_train.integer(key) == wanted:
                yield attempt(image, partial(files.entry, key, image))


class _Files:
    """The text files of the data set, joined by their first word, the image's number."""

    def __init__(self, home: Path, has_masks: bool) -> None:
        self.images = Lines(home / "images.txt", "path")
        self.is_train = Lines(home / "train_test_split.txt", "is_train")
        self.labels = Lines(home / "image_class_labels.txt", "class")
        self.boxes = Lines(home / "bounding_boxes.txt", "x", "y", "width", "height")
        self.has_masks = has_masks

    def entry(self, key: str, image: str) -> Entry:
        x, y, width, height = self.boxes.numbers(key)
        mask = f"{SEGMENTATIONS}/{Path(image).with_suffix('.png').as_posix()}"
        return Entry(
            image=image,
            labels=(self.labels.integer(key) - 1,),
            boxes=((x, y, x + width, y + height),),
            masks=(mask,) if self.has_masks else (),
            at=self.boxes.at(key),
        )
