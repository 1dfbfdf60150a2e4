"""ILSVRC 2012 to 2017, CLS-LOC: 1000 classes of ImageNet (Russakovsky et al., IJCV 2015)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.base import Reader, attempt
from wsoltool.datasets.readers.class_names import distinct_names
from wsoltool.datasets.readers.ilsvrc_files import (
    TRAIN,
    VAL,
    WNID,
    Annotations,
    box_folder,
    has_class_folders,
    image_names,
    listing,
    synset_names,
)
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import ConfigError, DataError, check_choice

PUBLISHED = {TRAIN: 1281167, VAL: 50000}
IMAGES = "Data/CLS-LOC"


@dataclass(frozen=True, kw_only=True)
class ILSVRC(Reader):
    """1000 classes, one class an image, one box or more of it.

    To be had from image-net.org or from the competition "ImageNet Object Localization Challenge" of
    kaggle.com, after registration at either. ``data_root`` is ``ILSVRC`` with ``Data/CLS-LOC`` and
    ``Annotations/CLS-LOC``, the folder that holds it, or any folder with

    - ``train/<wnid>/*.JPEG``,
    - ``val/*.JPEG``, or ``val/<wnid>/*.JPEG`` as many tools want it,
    - the annotations (``ILSVRC2012_bbox_val_v3.tgz``) in one of the usual folders, see ``boxes``.

    Image ids are paths below the folder of ``train`` and ``val``, as in wsolevaluation's metadata;
    so are the boxes: the files' numbers, x1 y1 taken as exclusive. Labels follow the sorted wnids,
    the order of all published networks. Names are the first ones of ``LOC_synset_mapping.txt`` or
    ``synset_words.txt`` where one of these lies in the folder or above it, else the wnids.

    Only 544,546 training images have boxes; the others cannot be in train-fullsup. They are read
    where a split needs them; boxes of another class than the image's are left out. One training
    image is a PNG (n02105855_2933.JPEG) and 22 are CMYK; they are read like the others.

    Args:
        boxes: Part -> folder of its annotations, from ``data_root``: ``{"val": "my_xml"}``; by
            default the usual ones are tried.
        wnids: The classes in the order of their labels, to use some alone; images of others are
            left out.
    """

    folders: ClassVar[Sequence[str]] = ("ILSVRC",)
    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": TRAIN, "test": VAL}

    boxes: Mapping[str, str] = field(default_factory=dict)
    wnids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in (*self.boxes, *self._parts().values()):
            check_choice(f"ILSVRC: unknown part {part!r}", part, PUBLISHED)
        if self.wnids is not None:
            wrong = [wnid for wnid in self.wnids if not WNID.fullmatch(str(wnid))]
            if wrong or not self.wnids or len({*self.wnids}) < len(self.wnids):
                raise ConfigError(
                    f"ILSVRC: wnids is {self.wnids!r}", expected='different ones like "n01440764"'
                )

    def published(self, part: str) -> int | None:
        return PUBLISHED.get(part) if self.wnids is None else None

    def image_root(self, home: Path) -> Path:
        return home / IMAGES if (home / IMAGES).is_dir() else home

    def class_names(self, home: Path) -> Sequence[str]:
        wnids, names = self._wnids(home), synset_names(home)
        return distinct_names([names.get(wnid, wnid) for wnid in wnids], wnids)

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        wnids, folder = self._wnids(home), self.image_root(home) / part
        if _is_sorted(part, folder, wnids):
            for label, wnid in enumerate(wnids):
                for name in image_names(folder / wnid):
                    yield Entry(image=f"{part}/{wnid}/{name}", labels=(label,))
            return
        # Only the annotations tell the classes.
        annotations = self._annotations(home, part, wnids)
        for name in image_names(folder):
            image = f"{part}/{name}"
            entry = attempt(image, partial(annotations.entry, image, self.wnids is not None))
            if isinstance(entry, Problem) or entry.labels:
                yield entry

    def annotated(
        self, home: Path, part: str, entries: Iterable[Entry | Problem]
    ) -> Iterator[Entry | Problem]:
        wnids = self._wnids(home)
        if not _is_sorted(part, self.image_root(home) / part, wnids):
            yield from entries
            return
        annotations = self._annotations(home, part, wnids)
        for entry in entries:
            if isinstance(entry, Entry):
                yield attempt(entry.image, partial(annotations.complete, entry))
            else:
                yield entry

    def _annotations(self, home: Path, part: str, wnids: Sequence[str]) -> Annotations:
        images = self.image_root(home) / part
        return Annotations(box_folder(home, images, part, self.boxes.get(part)), wnids)

    def _wnids(self, home: Path) -> Sequence[str]:
        """The classes in the order of their labels."""
        if self.wnids is not None:
            return self.wnids
        folder, known = self.image_root(home) / TRAIN, sorted(synset_names(home))
        if known and not folder.is_dir():
            return known
        present = sorted(filter(WNID.fullmatch, listing(folder)))
        for wrong, what in (
            ({*known} - {*present}, "is a class without folder"),
            ({*present} - {*known} if known else (), "is a folder, but not in the synset list"),
        ):
            if wrong:
                more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
                raise DataError(
                    f"{min(wrong)} {what}{more}",
                    at=str(folder),
                    expected=f"a folder for each of {len(known)} classes, or labels would shift",
                    hint="to use some classes alone, name them with wnids=[...]",
                )
        if not present:
            raise DataError("no class folders", at=str(folder), expected="n01440764 and others")
        return present


def _is_sorted(part: str, folder: Path, wnids: Sequence[str]) -> bool:
    """Whether images lie in class folders."""
    return part == TRAIN or has_class_folders(folder, wnids)
