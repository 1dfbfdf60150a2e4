"""What a data set's layout on disk has to answer: its images, and what is known of them.

A reader knows files and no pixels: :class:`~wsoltool.datasets.image_files.Images` loads what it
lists, ``wsoltool prepare`` checks it. A new data set is a dataclass with :meth:`Reader.class_names`
and :meth:`Reader.entries`; see :mod:`wsoltool.datasets.readers.cub` for a whole one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from wsoltool.datasets.readers.packing import pack
from wsoltool.datasets.records import Entry, Problem, Reading, check_box_convention
from wsoltool.datasets.splits import SPLITS, belongs, check_share
from wsoltool.errors import ConfigError, DataError, WsolError, check_choice

#: Whether an image of some id is asked for.
Keep = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Download:
    """A file of a data set that anyone may fetch.

    Attributes:
        url: Where it lies.
        md5: Its checksum, in hexadecimal digits.
        folder: Where it is unpacked, or put if it is no archive, below the data set's folder.
    """

    url: str
    md5: str
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class RecordReader(ABC):
    """What all layouts share: parts, and the splits made of them.

    ``part`` below is the data set's own name for some of its images (``train2017``); ``split`` is
    ``train-weaksup``, ``train-fullsup`` or ``test``.

    Args:
        parts: Split -> part, for the splits that the data set has; by default
            :attr:`default_parts`.
        fullsup_share: Share in [0, 1) of the part of train-weaksup that becomes train-fullsup, for
            data sets without one of their own. An image's place follows from a hash of its id
            alone, so it stays when images are added or removed.
        test_share: The same for test.
        exif: Turn images as their EXIF orientation says; most annotations refer to the file's own
            pixel order.

    Attributes:
        folders: Names that the data set's folder has inside its archives: these are looked for
            below ``data_root``, which may also be the folder itself.
        default_parts: Split -> part.
        multi_label: An image may have several classes, or none.
        box_convention: Whether x1 y1 of the files' boxes are ``exclusive`` or ``inclusive``.
        downloads: What ``wsoltool prepare --download`` fetches; empty where that is not allowed.
    """

    folders: ClassVar[Sequence[str]] = ()
    default_parts: ClassVar[Mapping[str, str]] = {"train-weaksup": "train", "test": "test"}
    downloads: ClassVar[Sequence[Download]] = ()

    parts: Mapping[str, str] = field(default_factory=dict)
    fullsup_share: float = 0.0
    test_share: float = 0.0
    exif: bool = False

    # Class attributes, or fields where a reader makes them options.
    multi_label = False
    box_convention = "exclusive"

    def __post_init__(self) -> None:
        name = type(self).__name__
        for split in self.parts:
            check_choice(f"{name}: parts has the unknown split {split!r}", split, SPLITS)
        check_share(f"{name}: fullsup_share", self.fullsup_share)
        check_share(f"{name}: test_share", self.test_share)
        check_box_convention(self.box_convention)
        if self.fullsup_share + self.test_share >= 1:
            raise ConfigError(f"{name}: the shares leave nothing to train-weaksup")
        for split, share in self._shares().items():
            if "train-weaksup" not in self._parts():
                raise ConfigError(
                    f"{name}: a share of {share:g} for {split}, but no part for train-weaksup",
                    expected="parts with train-weaksup, of whose images shares are taken",
                )
            if split in self._parts():
                raise ConfigError(
                    f"{name}: a share of {share:g} for {split}, which has a part of its own",
                    expected=f"no share, or parts without {split}",
                )

    @abstractmethod
    def read_part(self, home: Path, part: str, keep: Keep | None, with_truth: bool) -> Reading:
        """What the files say of a part.

        Args:
            home: The folder that :meth:`home` found.
            part: A value of ``parts``.
            keep: Whether an image of this id is asked for; None: all are.
            with_truth: Read boxes, masks and segments too; otherwise the records hold none.

        Raises:
            DataError: The part as a whole cannot be read.
        """

    def published(self, part: str) -> int | None:
        """How many images a part has according to its authors; None if nobody says."""
        return None

    def image_root(self, home: Path) -> Path:
        """The folder that image ids are paths below."""
        return home

    def mask_root(self, home: Path) -> Path:
        """The folder that the paths of masks and segments start from."""
        return home

    def home(self, root: Path) -> Path:
        """The data set's own folder: ``root``, or one of :attr:`folders` below it.

        Raises:
            DataError: ``root`` is no folder.
        """
        if not root.is_dir():
            raise DataError(
                f"the data set's folder {'is a file' if root.is_file() else 'does not exist'}",
                at=str(root),
                expected=f"the folder of {type(self).__name__}, as data_root",
                hint="a relative data_root lies under $WSOLTOOL_DATA, or under ./data",
            )
        return next((root / name for name in self.folders if (root / name).is_dir()), root)

    def splits(self) -> tuple[str, ...]:
        """The splits that there are."""
        present = {*self._parts(), *self._shares()}
        return tuple(split for split in SPLITS if split in present)

    def part(self, split: str) -> str:
        """The part that a split's images come from.

        Raises:
            ConfigError: The data set has no such split.
        """
        parts = self._parts()
        if split in parts:
            return parts[split]
        if split in self._shares():
            return parts["train-weaksup"]
        share = {"train-fullsup": "fullsup_share", "test": "test_share"}.get(split)
        raise ConfigError(
            f"{type(self).__name__} has no split {split}",
            known=self.splits(),
            hint=f"{share}=0.1 takes a tenth of the training images, by hashes of their ids"
            if share
            else None,
        )

    def read(self, home: Path, split: str) -> Reading:
        """What the files say of a split; of train-weaksup never a box.

        Raises:
            DataError: The split as a whole cannot be read.
            ConfigError: The data set has no such split.
        """
        part = self.part(split)
        # A split may show the training images as its own part: to score what was trained on.
        shares = self._shares() if split in ("train-weaksup", *self._shares()) else {}
        # Without shares no id is looked at: a million of them take half a second.
        keep = partial(belongs, split=split, shares=shares) if shares else None
        return self.read_part(home, part, keep, with_truth=split != "train-weaksup")

    def _parts(self) -> Mapping[str, str]:
        return self.parts or self.default_parts

    def _shares(self) -> dict[str, float]:
        shares = {"train-fullsup": self.fullsup_share, "test": self.test_share}
        return {split: share for split, share in shares.items() if share}


@dataclass(frozen=True, kw_only=True)
class Reader(RecordReader):
    """A layout that is read image by image: what a new data set subclasses.

    Attributes:
        mask_level: Grey level in [0, 255) above which a mask's pixels are the object's.
        first_pixel: What the entries' boxes call an image's first pixel: 1 where the files do, so
            that errors show the files' numbers. Records count from 0.
    """

    mask_level: ClassVar[int] = 0
    first_pixel: ClassVar[int] = 0

    @abstractmethod
    def class_names(self, home: Path) -> Sequence[str]:
        """Class names in the order of their labels.

        Args:
            home: The folder that :meth:`home` found.

        Raises:
            DataError: A file that tells them is missing or wrong.
        """

    @abstractmethod
    def entries(self, home: Path, part: str) -> Iterable[Entry | Problem]:
        """All images of a part, in a fixed order.

        What makes a single image unusable is answered as a :class:`Problem`, not raised; see
        :func:`attempt`. Ranges of labels and boxes, and doubles, are checked by who asks.

        Args:
            home: The folder that :meth:`home` found.
            part: A value of ``parts``.

        Raises:
            DataError: The part as a whole cannot be read.
        """

    def annotated(
        self, home: Path, part: str, entries: Iterable[Entry | Problem]
    ) -> Iterable[Entry | Problem]:
        """The entries with what :meth:`entries` leaves out because it takes long to read.

        Boxes of a million files, above all. Only called where they may be read, and with the
        entries that a split keeps; by default these are complete.

        Args:
            home: The folder that :meth:`home` found.
            part: A value of ``parts``.
            entries: Some of what :meth:`entries` answers.

        Raises:
            DataError: The part as a whole cannot be read.
        """
        return entries

    def read_part(self, home: Path, part: str, keep: Keep | None, with_truth: bool) -> Reading:
        entries: Iterable[Entry | Problem] = (
            entry for entry in self.entries(home, part) if keep is None or keep(entry.image)
        )
        if with_truth:
            entries = self.annotated(home, part, entries)
        return pack(
            entries,
            tuple(self.class_names(home)),
            multi_label=self.multi_label,
            box_convention=self.box_convention,
            first_pixel=self.first_pixel,
            mask_root=self.mask_root(home),
            mask_level=self.mask_level,
            with_truth=with_truth,
        )


def attempt(image: str, read: Callable[[], Entry]) -> Entry | Problem:
    """An entry, or the reason why there is none.

    Example:
        >>> def read():
        ...     raise DataError("the annotation is missing", at="1.xml")
        >>> attempt("1.jpg", read).error.at
        '1.xml'
    """
    try:
        return read()
    except WsolError as error:
        return Problem(image, error.located(image))
