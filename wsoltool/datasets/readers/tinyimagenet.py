"""Tiny-ImageNet-200 as its zip file unpacks (Stanford, CS231n)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.base import Download, Reader, attempt
from wsoltool.datasets.readers.class_names import distinct_names
from wsoltool.datasets.readers.lines import Lines
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import DataError

PUBLISHED = {"train": 100_000, "val": 10_000}
SIZE = (64, 64)
BOX = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True, kw_only=True)
class TinyImageNet(Reader):
    """200 classes of ImageNet at 64 x 64 pixels, one box an image.

    Parts are ``train`` and ``val``; the labels of ``test`` were never published. Images are those
    that ``train/<wnid>/<wnid>_boxes.txt`` and ``val/val_annotations.txt`` list; boxes name their
    last pixels. Labels follow the sorted wnids, as in ImageNet and in torchvision's ImageFolder,
    not the order of ``wnids.txt``; a class is called by the first word of its line in
    ``words.txt``.
    """

    folders: ClassVar[Sequence[str]] = ("tiny-imagenet-200",)
    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": "train", "test": "val"}
    downloads: ClassVar[Sequence[Download]] = (
        Download(
            "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            md5="90528d7ca1a48142e341f4ef8d21d0de",
        ),
    )
    box_convention = "inclusive"

    def published(self, part: str) -> int | None:
        return PUBLISHED.get(part)

    def class_names(self, home: Path) -> Sequence[str]:
        words = Lines(home / "words.txt", "words", separator="\t")
        wnids = _wnids(home)
        return distinct_names([words.fields_of(wnid)[0].split(",")[0] for wnid in wnids], wnids)

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        wnids = _wnids(home)
        if part == "train":
            for label, wnid in enumerate(wnids):
                boxes = Lines(home / f"train/{wnid}/{wnid}_boxes.txt", *BOX)
                for file in boxes:
                    image = f"train/{wnid}/images/{file}"
                    yield attempt(image, partial(_entry, image, label, boxes, file))
        elif part == "val":
            labels = {wnid: label for label, wnid in enumerate(wnids)}
            boxes = Lines(home / "val/val_annotations.txt", "wnid", *BOX)
            for file, (wnid, *_) in boxes.items():
                image = f"val/images/{file}"
                yield attempt(image, partial(_val_entry, image, labels, wnid, boxes, file))
        else:
            raise DataError(
                f"Tiny-ImageNet-200 has no annotated part {part!r}",
                at=str(home),
                known=PUBLISHED,
                hint="the labels of test were never published" if part == "test" else None,
            )


def _wnids(home: Path) -> list[str]:
    return sorted(Lines(home / "wnids.txt"))


def _val_entry(image: str, labels: Mapping[str, int], wnid: str, boxes: Lines, file: str) -> Entry:
    if wnid not in labels:
        raise DataError(
            f"{wnid!r} is none of the classes", at=boxes.at(file), expected="a line of wnids.txt"
        )
    return _entry(image, labels[wnid], boxes, file)


def _entry(image: str, label: int, boxes: Lines, file: str) -> Entry:
    box = boxes.numbers(file, start=len(boxes.fields) - len(BOX))
    return Entry(image=image, labels=(label,), size=SIZE, boxes=(box,), at=boxes.at(file))
