"""From a data set's folder to its index: read, check all files, report, write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wsoltool.datasets.index import INDEX, Quarantined, write_index
from wsoltool.datasets.readers.base import RecordReader
from wsoltool.errors import ConfigError, DataError
from wsoltool.paths import writable_folder
from wsoltool.preparation.checking import Checker
from wsoltool.preparation.duplicates import Pair, copies_by_splits, near_duplicates, same_files
from wsoltool.preparation.facts import REMEDIES, Flaw
from wsoltool.preparation.inspection import Inspector
from wsoltool.preparation.journal import Journal
from wsoltool.preparation.lists import PROBLEMS, write_lists
from wsoltool.preparation.pair_sheet import SHEET, write_pair_sheet
from wsoltool.preparation.scan import Progress, Scan, SplitScan, scan
from wsoltool.preparation.sources import Bad, Count, Source, read_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be prepared, and how.

    Attributes:
        reader: How the data set lies on disk.
        name: The reader's name in configs.
        options: Its options, as they were given.
        root: The data set's folder; never written to.
        folder: Where the index and the lists go.
        quarantine: Go on without what cannot be used.
        subset: Not all of the published images are meant to be there: counts that differ are
            remarks, no problems.
        headers_only: Do not decode pixels where a header tells the size.
        near_bits: Search for near-duplicates whose fingerprints differ in so many bits at most;
            None: do not search.
        workers: Threads.
    """

    reader: RecordReader
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    root: Path
    folder: Path
    quarantine: bool = False
    subset: bool = False
    headers_only: bool = False
    near_bits: int | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a preparation found.

    Attributes:
        splits: Split -> what was found in it.
        counts: Of each part, against the published ones.
        bad: Everything that keeps images, or the data set as a whole, from being used.
        copies: Images that are the same file as one of a later split.
        near: Near-duplicates; None where they were not asked for.
        idle_classes: Classes without a usable image in train-weaksup.
        written: Whether the index was written.
        images: How many were checked.
        fresh: How many of these had a file looked into now; the others were remembered.
        seconds: That checking took.
    """

    splits: Mapping[str, SplitScan]
    counts: Sequence[Count]
    bad: Sequence[Bad]
    copies: Sequence[Pair]
    near: Sequence[Pair] | None
    idle_classes: Sequence[str]
    written: bool
    images: int
    fresh: int
    seconds: float

    def left_out(self, split: str) -> dict[str, str]:
        """Images that are not in a split's records -> the first reason.

        An image may have a problem and stay: where it is listed twice, one of them can be used.
        """
        reasons: dict[str, str] = {}
        for bad in self.bad:
            if bad.split == split and bad.image:
                reasons.setdefault(bad.image, bad.flaw.reason)
        if reasons:
            for image in self.splits[split].records.ids:
                reasons.pop(image, None)
        return reasons


def prepare(request: Request, progress: Progress) -> Outcome:
    """Check a data set and, where it is sound or ``quarantine`` is set, write its index.

    What was found is written beside the index in any case, see :func:`write_lists`.

    Args:
        request: What, and how.
        progress: Shows what it passes on.

    Raises:
        DataError: The data set as a whole cannot be read, or nothing of a split can be used.
        ConfigError: ``folder`` lies among the images, or pixels are needed but not decoded.
        WorkDirError: ``folder`` cannot be written.
        KeyboardInterrupt: With a message that says how far it came.
    """
    if request.headers_only and request.near_bits is not None:
        raise ConfigError("--near-duplicates needs pixels, which --headers-only does not decode")
    _check_apart_from_images(request)  # before a folder is made there
    writable_folder(request.folder, "DST")
    source = read_source(request.reader, request.root)
    started = time.perf_counter()
    scanned = _scan(request, source, progress)
    outcome = _judged(request, source, scanned, time.perf_counter() - started)
    write_lists(request.folder, outcome.bad, outcome.copies, outcome.near, scanned.splits)
    if outcome.near is not None:
        root = request.reader.image_root(source.home)
        write_pair_sheet(request.folder / SHEET, outcome.near, root, request.reader.exif)
    if outcome.bad and not request.quarantine:
        return outcome
    _write(request, source, outcome)
    return replace(outcome, written=True)


def _check_apart_from_images(request: Request) -> None:
    reader = request.reader
    images = reader.image_root(reader.home(request.root)).resolve()
    if request.folder.resolve().is_relative_to(images):
        raise ConfigError(
            "DST lies in the image folder, where readers look for images",
            at=str(request.folder),
            expected=f"a folder outside of {images}",
        )


def _scan(request: Request, source: Source, progress: Progress) -> Scan:
    reader = request.reader
    inspector = Inspector(
        reader.image_root(source.home),
        reader.mask_root(source.home),
        reader.exif,
        request.headers_only,
    )
    roots = {"images": inspector.image_root, "masks": inspector.mask_root}
    # Decoders may judge files otherwise in another version.
    depends = {name: str(root.resolve()) for name, root in roots.items()}
    journal = Journal(request.folder, {**depends, "exif": reader.exif, "opencv": cv2.__version__})
    with closing(journal), _quiet_opencv():
        return scan(source, reader, Checker(inspector, journal, request.workers), progress)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV without its own log and threads, set once: threads would undo each other's setting."""
    log, threads = cv2.utils.logging, cv2.getNumThreads()
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        log.setLogLevel(level)
        cv2.setNumThreads(threads)


def _judged(request: Request, source: Source, scanned: Scan, seconds: float) -> Outcome:
    traces = {split: found.traces for split, found in scanned.splits.items()}
    root, exif = request.reader.image_root(source.home), request.reader.exif
    bits, workers = request.near_bits, request.workers
    return Outcome(
        splits=scanned.splits,
        counts=source.counts,
        bad=(
            *(() if request.subset else _wrong_counts(source.counts)),
            *source.bad,
            *(bad for found in scanned.splits.values() for bad in found.bad),
        ),
        copies=same_files(traces, root),
        near=None if bits is None else near_duplicates(traces, root, exif, bits, workers),
        idle_classes=_idle_classes(source.classes, scanned),
        written=False,
        images=scanned.images,
        fresh=scanned.fresh,
        seconds=seconds,
    )


def _wrong_counts(counts: Sequence[Count]) -> Iterator[Bad]:
    for count in counts:
        if count.wrong:
            splits = " ".join(count.splits)
            yield Bad(splits, "", Flaw("count", count.remark(), REMEDIES["count"]))


def _idle_classes(classes: Sequence[str], scanned: Scan) -> list[str]:
    if "train-weaksup" not in scanned.splits:
        return []
    labels = scanned.splits["train-weaksup"].records.labels
    present = np.flatnonzero(labels.any(axis=0)) if labels.ndim == 2 else np.unique(labels)
    seen = {*present.tolist()}
    return [name for label, name in enumerate(classes) if label not in seen]


def _write(request: Request, source: Source, outcome: Outcome) -> None:
    for split, found in outcome.splits.items():
        if not len(found.records):
            raise DataError(
                f"no image of split {split} can be used",
                at=str(request.root),
                hint=f"{request.folder / PROBLEMS} says why",
            )
    reader = request.reader
    write_index(
        request.folder,
        reader=request.name,
        options=request.options,
        image_root=reader.image_root(source.home),
        mask_root=reader.mask_root(source.home),
        box_convention=reader.box_convention,
        exif=reader.exif,
        classes=source.classes,
        splits={split: found.records for split, found in outcome.splits.items()},
        quarantined={
            split: [Quarantined(image, reason) for image, reason in outcome.left_out(split).items()]
            for split in outcome.splits
        },
        remarks=[*_remarks(outcome)],
        home=source.home,
    )


def _remarks(outcome: Outcome) -> Iterator[str]:
    """What whoever reads results should know of the data set."""
    yield from (count.remark() for count in outcome.counts if count.wrong)
    yield from copies_by_splits(outcome.copies)
    for split in outcome.splits:
        bad = {bad.image for bad in outcome.bad if bad.split == split and bad.image}
        if twice := len(bad) - len(outcome.left_out(split)):
            are = "images of {} are" if twice > 1 else "image of {} is"
            yield f"{twice:,} {are.format(split)} listed more than once: one listing is used"


def has_index(folder: Path) -> bool:
    """Whether a folder holds an index, of this run or of an earlier one."""
    return (folder / INDEX).is_file()
