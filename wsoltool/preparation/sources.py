"""What a reader says of all splits of a data set, before any image is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsoltool.datasets.readers.base import RecordReader
from wsoltool.datasets.records import Reading
from wsoltool.errors import DataError, WsolError
from wsoltool.preparation.facts import REMEDIES, Flaw


@dataclass(frozen=True, slots=True)
class Bad:
    """An image that cannot be used, or a warning about one.

    Attributes:
        split: That it is listed in.
        image: Its id; empty where a whole split or part is meant.
        flaw: Why.
    """

    split: str
    image: str
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Count:
    """How many images a part has, and should have.

    Attributes:
        part: The data set's own name for it.
        splits: That are made of it.
        found: Images that are listed, usable or not.
        published: What its authors say; None where nobody does.
    """

    part: str
    splits: tuple[str, ...]
    found: int
    published: int | None

    @property
    def wrong(self) -> bool:
        return self.published is not None and self.found != self.published

    def remark(self) -> str:
        """In words."""
        return f"part {self.part!r} lists {self.found} images, published are {self.published}"


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as its files describe it.

    Attributes:
        home: Its own folder.
        classes: Class names in the order of their labels.
        readings: Split -> what is listed.
        counts: For each part that splits are made of.
        bad: What the records alone show to be unusable.
    """

    home: Path
    classes: tuple[str, ...]
    readings: Mapping[str, Reading]
    counts: tuple[Count, ...]
    bad: tuple[Bad, ...]


def read_source(reader: RecordReader, root: Path) -> Source:
    """Read the records of every split.

    An image of two splits stays in the later one of train-weaksup, train-fullsup, test: what is
    scored is what others score, and is not trained on.

    Raises:
        DataError: A split as a whole cannot be read, or splits disagree on the classes.
    """
    home = reader.home(root)
    readings = {split: reader.read(home, split) for split in reader.splits()}
    classes = _common_classes(readings, home)
    counts = tuple(_counts(reader, readings))
    bad = [
        Bad(split, problem.image, annotation_flaw(problem.error, problem.image, home))
        for split, reading in readings.items()
        for problem in reading.problems
    ]
    readings, shared = _apart(readings)
    return Source(home, classes, readings, counts, (*bad, *shared))


def annotation_flaw(error: WsolError, image: str, home: Path) -> Flaw:
    """The flaw of a record; paths are shortened to those below the data set's folder."""
    what = error.what
    if error.at and error.at != image:
        what = f"{what} ({error.at.removeprefix(f'{home}/')})"
    expected = f"expected: {error.expected}" if error.expected else REMEDIES["annotation"]
    return Flaw("annotation", what, error.hint or expected)


def _common_classes(readings: Mapping[str, Reading], home: Path) -> tuple[str, ...]:
    """The longest list of classes, which the others begin."""
    longest = max((reading.classes for reading in readings.values()), key=len)
    for split, reading in readings.items():
        same = reading.classes == longest
        # Metadata without a class list numbers the classes that its labels reach.
        begins = reading.classes == longest[: len(reading.classes)] == _numbers(reading.classes)
        if not (same or begins):
            raise DataError(
                f"split {split} has other classes than the others",
                at=str(home),
                expected="one list of classes",
                hint="give the reader a list of classes, where it takes one",
            )
    return longest


def _numbers(classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str, range(len(classes))))


def _counts(reader: RecordReader, readings: Mapping[str, Reading]) -> Iterator[Count]:
    for part in dict.fromkeys(reader.part(split) for split in readings):
        splits = tuple(split for split in readings if reader.part(split) == part)
        images: set[str] = set()
        for split in splits:
            images.update(readings[split].records.ids)
            images.update(problem.image for problem in readings[split].problems)
        yield Count(part, splits, len(images), reader.published(part))


def _apart(readings: Mapping[str, Reading]) -> tuple[dict[str, Reading], list[Bad]]:
    """The readings without images that are in a later split too, and these images."""
    apart: dict[str, Reading] = {}
    bad: list[Bad] = []
    taken: dict[str, str] = {}
    for split, reading in reversed([*readings.items()]):
        ids = reading.records.ids
        elsewhere = np.fromiter((image in taken for image in ids), bool, len(ids))
        for row in np.flatnonzero(elsewhere).tolist():
            reason = f"the image is also in {taken[ids[row]]}, where --quarantine leaves it"
            bad.append(Bad(split, ids[row], Flaw("two splits", reason, REMEDIES["two splits"])))
        if elsewhere.any():
            rows = np.flatnonzero(~elsewhere)
            reading = replace(reading, records=reading.records.select(rows))
        apart[split] = reading
        if split != next(iter(readings)):  # nothing is compared with the first
            taken.update(dict.fromkeys(ids, split))
    return {split: apart[split] for split in readings}, bad
