"""PASCAL VOC as its archives unpack (Everingham et al., IJCV 2010 and 2015)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from wsoltool.datasets.readers.base import Download, Reader, attempt
from wsoltool.datasets.readers.lines import read_text
from wsoltool.datasets.readers.surroundings import names_near
from wsoltool.datasets.readers.voc_xml import read_voc_xml
from wsoltool.datasets.records import Entry, Problem
from wsoltool.errors import ConfigError, DataError, check_choice, did_you_mean

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
YEARS = ("2007", "2008", "2009", "2010", "2011", "2012")
IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets"
SEGMENTS = "SegmentationClass"
#: Year -> part -> number of images. ``trainaug`` is VOC's own Segmentation/train with the images
#: of Hariharan et al., ICCV 2011, that are not in Segmentation/val.
PUBLISHED = {
    "2007": {
        **{"Main/train": 2501, "Main/val": 2510, "Main/trainval": 5011, "Main/test": 4952},
        **{"Segmentation/train": 209, "Segmentation/val": 213},
        **{"Segmentation/trainval": 422, "Segmentation/test": 210},
    },
    "2012": {
        **{"Main/train": 5717, "Main/val": 5823, "Main/trainval": 11540},
        **{"Segmentation/train": 1464, "Segmentation/val": 1449, "Segmentation/trainval": 2913},
        **{"Segmentation/trainaug": 10582, "Segmentation/train_aug": 10582},
        **{"SegmentationAug/trainaug": 10582, "SegmentationAug/train_aug": 10582},
    },
}
HOST = "https://thor.robots.ox.ac.uk/pascal/VOC"
ARCHIVES = {
    "2007": {
        "VOCtrainval_06-Nov-2007.tar": "c52e279531787c972589f7e41ab4ae64",
        "VOCtest_06-Nov-2007.tar": "b6e924de25625d8de591ea690078ad9f",
    },
    "2008": {"VOCtrainval_14-Jul-2008.tar": "2629fa636546599198acfcfbfcf1904a"},
    "2009": {"VOCtrainval_11-May-2009.tar": "a3e00b113cfcfebf17e343f59da3caa1"},
    "2010": {"VOCtrainval_03-May-2010.tar": "da459979d0c395079b5c75ee67908abb"},
    "2012": {"VOCtrainval_11-May-2012.tar": "6cd6e144f989b92b3379bac3b3de84fd"},
}


@dataclass(frozen=True, kw_only=True)
class PascalVOC(Reader):
    """20 classes, several objects an image, some of them marked as difficult.

    ``data_root`` is ``VOCdevkit``, the folder that holds it, or one that holds ``VOC2007``,
    ``VOC2012`` ...; image ids are ``VOC2007/JPEGImages/000001.jpg``.

    A part is a list below ``ImageSets``, such as ``Main/trainval`` or ``Segmentation/val``; with a
    year before it, ``2007/Main/test``, it is of that year alone. Lists have an image's name a line,
    or two files, ``/JPEGImages/x.jpg /SegmentationClassAug/x.png``, as the lists of 10,582 images
    ("trainaug") mostly do; the second file then is the image's segmentation.

    The files count pixels from 1 and give a box's last pixels: the boxes here count from 0
    (``annotated_boxes`` are still inclusive, so VOC's IoU can be computed from them).

    Args:
        years: The years whose images are joined. Only 2007 has annotations of its test images.
        segments: Folder of the images' segmentations, for the images that have one in it.
        difficult_labels: An image has a class also where all its objects are marked as difficult.
            VOC's own lists of a class mark such images with 0 and leave them out of classification
            scores; here they have not the class. Weakly supervised segmentation mostly counts
            them.
        without: Part -> another part whose images are left out of it. Main/trainval and
            Segmentation/val of 2012 share images: training on the first and scoring on the second
            needs ``{"Main/trainval": "Segmentation/val"}``.
    """

    folders: ClassVar[Sequence[str]] = ("VOCdevkit",)
    default_parts: ClassVar[Mapping[str, str]] = {
        "train-weaksup": "Main/trainval",
        "test": "Main/test",
    }
    multi_label = True
    box_convention = "inclusive"
    first_pixel: ClassVar[int] = 1

    years: Sequence[str | int] = ("2007",)
    segments: str = SEGMENTS
    difficult_labels: bool = False
    without: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.years, str | int) or not self.years:
            raise ConfigError(f"PascalVOC: years is {self.years!r}", expected='such as ("2007",)')
        for year in self.years:
            check_choice(f"PascalVOC: unknown year {year!r}", str(year), YEARS)
        if len({*map(str, self.years)}) < len(self.years):
            raise ConfigError(f"PascalVOC: years is {self.years!r}", expected="every year once")

    @property
    def downloads(self) -> Sequence[Download]:  # type: ignore[override]
        """The archives of the years, but not VOC2011's, which unpacks into another folder."""
        return [
            Download(f"{HOST}/voc{year}/{name}", md5)
            for year in map(str, self.years)
            for name, md5 in ARCHIVES.get(year, {}).items()
        ]

    def home(self, root: Path) -> Path:
        """The folder that holds VOC2007 and the others, also if ``root`` is one of these."""
        home = super().home(root)
        is_year = home.name in {f"VOC{year}" for year in YEARS} and (home / LISTS).is_dir()
        return home.parent if is_year else home

    def published(self, part: str) -> int | None:
        if part in self.without:
            return None
        counts = [PUBLISHED.get(year, {}).get(name) for year, name in self._lists(part)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def class_names(self, home: Path) -> Sequence[str]:
        return CLASSES

    def entries(self, home: Path, part: str) -> Iterator[Entry | Problem]:
        for year, name in self._lists(part):
            files = _Year(home, year, self.segments, self.difficult_labels)
            unwanted = self._left_out(part, files)
            for image, segments in files.listed(name):
                if image not in unwanted:
                    yield files.entry(image, segments)

    def _left_out(self, part: str, files: _Year) -> set[str]:
        """The images of a year that are not to be in a part."""
        for key in self.without:
            for name in self._names(key, files.year):
                files.list_path(name)  # Of a misspelled part nothing would be left out.
        others = self._names(self.without[part], files.year) if part in self.without else ()
        return {image for name in others for image, _ in files.listed(name)}

    def _names(self, part: str, year: str) -> list[str]:
        """The lists of a part that are of a year."""
        return [name for of, name in self._lists(part) if of == year]

    def _lists(self, part: str) -> list[tuple[str, str]]:
        """The years that a part is of, each with its list."""
        year, _, name = part.partition("/")
        if year in YEARS:
            return [(year, name)]
        return [(str(year), part) for year in self.years]


class _Year:
    """The files of one year."""

    def __init__(self, home: Path, year: str, segments: str, difficult_labels: bool) -> None:
        self.folder, self.year = home / f"VOC{year}", year
        if not (self.folder / LISTS).is_dir():
            raise DataError(
                f"the folder of VOC{year} does not exist, or holds no {LISTS}",
                at=str(self.folder),
                expected=f"VOC{year} with {IMAGES}, {ANNOTATIONS} and {LISTS}",
                known=names_near(self.folder),
                hint="data_root is VOCdevkit, or the folder that the archives were unpacked in",
            )
        self.segments, self.difficult_labels = segments, difficult_labels
        self.segmented = _names_in(self.folder / segments, optional=segments == SEGMENTS)

    def listed(self, part: str) -> Iterator[tuple[str, str]]:
        """Image and segmentation of each line; an empty name where the line has no second."""
        path = self.list_path(part)
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            words = [word.lstrip("/") for word in line.split()]
            if not words:
                continue
            if len(words) > (2 if "/" in words[0] else 1):
                raise DataError(
                    f"the line has {len(words)} words: {line.strip()!r}",
                    at=f"{path}:{number}",
                    expected=f"an image's name, or /{IMAGES}/x.jpg /{SEGMENTS}Aug/x.png",
                    hint="lists of one class, such as Main/dog_train, are not read",
                )
            image = words[0] if "/" in words[0] else f"{IMAGES}/{words[0]}.jpg"
            yield image, words[1] if len(words) > 1 else ""

    def list_path(self, part: str) -> Path:
        """The file of a part, which exists."""
        path = self.folder / LISTS / f"{part}.txt"
        if self.year != "2007" and part.rpartition("/")[2] == "test":
            raise DataError(
                f"VOC{self.year} has no annotations of its test images",
                at=str(path),
                expected="another part: only VOC2007 publishes those of test",
                hint="parts={'train-weaksup': 'Main/train', 'test': 'Main/val'}",
            )
        if not path.is_file():
            known = sorted(_lists_of_images(self.folder / LISTS))
            raise DataError(
                f"VOC{self.year} has no list {part}",
                at=str(path),
                known=known,
                hint=did_you_mean(part, known) or "the option parts names the lists",
            )
        return path

    def entry(self, image: str, segments: str) -> Entry | Problem:
        name = f"{self.folder.name}/{image}"
        return attempt(name, partial(self._read, name, PurePosixPath(image).stem, segments))

    def _read(self, image: str, name: str, segments: str) -> Entry:
        path = self.folder / ANNOTATIONS / f"{name}.xml"
        annotation = read_voc_xml(path)
        for thing in annotation.objects:
            check_choice(
                f"unknown class {thing.name!r}", thing.name, CLASSES, at=str(path), error=DataError
            )
        objects, labels = annotation.objects, [CLASSES.index(o.name) for o in annotation.objects]
        counted = [self.difficult_labels or not thing.difficult for thing in objects]
        if not segments and f"{name}.png" in self.segmented:
            segments = f"{self.segments}/{name}.png"
        return Entry(
            image=image,
            labels=sorted({label for label, counts in zip(labels, counted, strict=True) if counts}),
            size=annotation.size,
            boxes=[thing.box for thing in objects],
            box_labels=labels,
            difficult=[thing.difficult for thing in objects],
            segments=f"{self.folder.name}/{segments}" if segments else "",
            at=str(path),
        )


def _names_in(folder: Path, optional: bool) -> frozenset[str]:
    if not folder.is_dir() and not optional:
        raise DataError("the folder of the segmentations does not exist", at=str(folder))
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _lists_of_images(folder: Path) -> Iterable[str]:
    """Main/train and the like; not the lists of one class."""
    for path in folder.glob("*/*.txt"):
        if path.stem.rpartition("_")[0] not in CLASSES:
            yield f"{path.parent.name}/{path.stem}"
