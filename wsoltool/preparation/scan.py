"""Checking all splits of a data set: which images can be used, and what is unusual about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from wsoltool.datasets.readers.base import RecordReader
from wsoltool.datasets.records import Records
from wsoltool.preparation.checking import Checked, Checker
from wsoltool.preparation.duplicates import Traces
from wsoltool.preparation.sources import Bad, Source
from wsoltool.preparation.verdicts import Judge

#: Passes on what was checked, of so many images in all, and shows it.
Progress = Callable[[Iterator[Checked], int], Iterator[Checked]]


@dataclass(frozen=True, slots=True)
class SplitScan:
    """What was found in a split.

    Attributes:
        records: The images that can be used, with the sizes of their files.
        bad: The others.
        notes: Images, and what is unusual about the files of those that can be used.
        traces: What tells the usable images from each other.
    """

    records: Records
    bad: tuple[Bad, ...]
    notes: tuple[tuple[str, str], ...]
    traces: Traces


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a data set.

    Attributes:
        splits: Split -> what was found in it.
        images: How many there are.
        fresh: How many of them had a file looked into now; the others were remembered.
    """

    splits: Mapping[str, SplitScan]
    images: int
    fresh: int


def scan(source: Source, reader: RecordReader, checker: Checker, progress: Progress) -> Scan:
    """Check every image of every split.

    Raises:
        KeyboardInterrupt: With a message that says how far it came.
    """
    judges = {
        split: Judge(
            reading.records,
            len(source.classes),
            reader.mask_root(source.home),
            reader.box_convention,
        )
        for split, reading in source.readings.items()
    }
    total = sum(len(judge.records) for judge in judges.values())
    images = (judge.files(row) for judge in judges.values() for row in range(len(judge.records)))
    splits: dict[str, SplitScan] = {}
    counter = _Counter()
    with closing(checker.check(images)) as checked:
        results = counter.counted(progress(checked, total))
        try:
            for split, judge in judges.items():
                splits[split] = _scan_split(split, judge, results)
        except KeyboardInterrupt as stop:
            how_far = f"stopped after {counter.images} of {total} images"
            raise KeyboardInterrupt(f"{how_far}; run the same command to go on") from stop
    return Scan(splits, total, counter.fresh)


class _Counter:
    """Counts images on their way, and those that were looked into now."""

    def __init__(self) -> None:
        self.images = self.fresh = 0

    def counted(self, results: Iterator[Checked]) -> Iterator[Checked]:
        for checked in results:
            self.images += 1
            self.fresh += checked.fresh
            yield checked


def _scan_split(split: str, judge: Judge, results: Iterator[Checked]) -> SplitScan:
    """Take the results of as many images as the split has."""
    records = judge.records
    count = len(records)
    sizes = np.zeros((count, 2), np.int64)
    digests = np.zeros(count, np.uint64)
    fingerprints = np.zeros((count, 2), np.uint64)
    with_fingerprint = np.zeros(count, bool)
    usable = np.ones(count, bool)
    bad: list[Bad] = []
    notes: list[tuple[str, str]] = []
    for row, checked in zip(range(count), results, strict=False):
        own = checked.facts[0]
        flaw = judge.flaw(row, checked.files, checked.facts)
        if flaw is not None:
            usable[row] = False
            bad.append(Bad(split, records.ids[row], flaw))
            continue
        sizes[row], digests[row] = own.size or 0, own.digest
        if own.fingerprint is not None:
            fingerprints[row], with_fingerprint[row] = own.fingerprint, True
        notes += [(records.ids[row], note) for note in own.notes]
    records = replace(records, sizes=sizes)
    rows = np.flatnonzero(usable)
    if len(rows) < count:
        records = records.select(rows)
    complete = bool(with_fingerprint[rows].all())
    traces = Traces(records.ids, digests[rows], fingerprints[rows] if complete else None)
    return SplitScan(records, tuple(bad), tuple(notes), traces)
