"""The index of a data set on disk: written once by ``wsoltool prepare``, opened in milliseconds.

``index.json`` names the files of each split's columns (see :mod:`wsoltool.datasets.index_files`),
their sizes and hashes. It is written last, so an index is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

from wsoltool.datasets.index_columns import from_columns, to_columns
from wsoltool.datasets.index_facts import Quarantined, SplitFacts
from wsoltool.datasets.index_files import (
    REMEDY,
    open_column,
    write_bytes,
    write_column,
)
from wsoltool.datasets.records import Records, check_box_convention
from wsoltool.datasets.splits import SPLITS, check_apart, ids_sha256
from wsoltool.errors import DataError, WorkDirError, check_choice
from wsoltool.paths import whole_file

INDEX = "index.json"
FORMAT = 1
WRITTEN = re.compile(r"\.?[a-z_]+-[0-9a-f]{12}\.(npy|json)(\.\d+\.part)?")


@dataclass(frozen=True, slots=True)
class Index:
    """An index that was opened.

    Attributes:
        folder: Where it lies.
        digest: sha256 of ``index.json``, which holds the hashes of all other files: splits of one
            digest were written together.
        reader: Type name of the reader that it was made with.
        options: The reader's options.
        image_root: An image's id is its path below this folder.
        mask_root: The folder that the paths of segments start from.
        box_convention: Whether the boxes' x1 y1 are ``exclusive`` or ``inclusive``.
        exif: Turn images as their EXIF orientation says.
        classes: Class names in the order of their labels.
        splits: Split -> what is known of it.
        remarks: What was odd about the data set, for people to read.
    """

    folder: Path
    digest: str
    reader: str
    options: Mapping[str, Any]
    image_root: Path
    mask_root: Path
    box_convention: str
    exif: bool
    classes: tuple[str, ...]
    splits: Mapping[str, SplitFacts]
    remarks: tuple[str, ...] = field(default=())

    def facts(self, split: str) -> SplitFacts:
        """What is known of a split.

        Raises:
            DataError: The index has no such split.
        """
        what = f"the data set's index has no split {split}"
        check_choice(what, split, self.splits, at=str(self.folder), error=DataError)
        return self.splits[split]

    def records(self, split: str) -> Records:
        """A split's records over memory maps: nothing is read before it is asked for.

        Raises:
            DataError: The index has no such split, or a file is missing or damaged.
        """
        facts = self.facts(split)
        columns = {name: open_column(self.folder, file) for name, file in facts.columns.items()}
        try:
            return from_columns(columns, facts.mask_root, facts.mask_level)
        except KeyError as error:
            raise _unusable(self.folder / INDEX, f"it names no column {error}") from error

    def quarantined(self, split: str) -> tuple[Quarantined, ...]:
        """The images that were left out of a split, and why.

        Raises:
            DataError: The index has no such split, or the file is missing or damaged.
        """
        reasons = self.facts(split).reasons
        if reasons is None:
            return ()
        text = reasons.check(self.folder, whole=True).read_text("utf-8")
        return tuple(Quarantined(**entry) for entry in json.loads(text))

    def verify(self, split: str) -> None:
        """Read all files of a split and compare them with what was written.

        Raises:
            DataError: The index has no such split, or a file is missing or damaged.
        """
        for file in self.facts(split).files():
            file.check(self.folder, whole=True)


def write_index(
    folder: Path,
    *,
    reader: str,
    options: Mapping[str, Any],
    image_root: Path,
    mask_root: Path,
    box_convention: str,
    exif: bool,
    classes: Sequence[str],
    splits: Mapping[str, Records],
    quarantined: Mapping[str, Sequence[Quarantined]],
    remarks: Sequence[str] = (),
    home: Path | None = None,
) -> None:
    """Write an index, in place of one that the folder may hold.

    Whatever interrupts this, the folder holds the old index or none, or the new one. Of
    ``train-weaksup`` nothing about boxes, masks and segments is written.

    Args:
        folder: Made if needed.
        reader: Type name of the reader that the records are from.
        options: The reader's options, as JSON has them.
        image_root: The folder that image ids are paths below.
        mask_root: The folder that the paths of segments start from.
        box_convention: ``exclusive`` or ``inclusive``.
        exif: Turn images as their EXIF orientation says.
        classes: Class names in the order of their labels.
        splits: Split -> its images.
        quarantined: Split -> the images left out of it; splits without any may be absent.
        remarks: What is odd about the data set, for people to read.
        home: The data set's folder. Where it holds the index or lies inside of its folder, the two
            may be moved together: roots are then written relative to ``folder``.

    Raises:
        DataError: An image is in two splits.
        ConfigError: A split or the box convention is unknown.
        WorkDirError: The folder cannot be written.
    """
    check_box_convention(box_convention)
    for split in splits:
        check_choice(f"unknown split {split!r}", split, SPLITS)
    for split in quarantined:
        check_choice(f"images left out of {split!r}, which is not written", split, splits)
    for first, second in combinations(splits, 2):
        check_apart(first, splits[first].ids, second, splits[second].ids)
    bases = [base.resolve() for base in (home, image_root, mask_root) if base is not None]

    def place(root: Path) -> str:
        return _place(root.resolve(), folder.resolve(), bases)

    content = {
        "format": FORMAT,
        "reader": reader,
        "options": dict(options),
        "image_root": place(image_root),
        "mask_root": place(mask_root),
        "box_convention": box_convention,
        "exif": exif,
        "classes": list(classes),
        "remarks": list(remarks),
    }
    try:
        facts = {s: _write_split(folder, s, r, quarantined.get(s, ())) for s, r in splits.items()}
        content["splits"] = {split: own.as_json(place) for split, own in facts.items()}
        with whole_file(folder / INDEX) as file:
            file.write(json.dumps(content, indent=1).encode())
        _sweep(folder, facts)
    except OSError as error:
        raise WorkDirError(
            f"the index cannot be written: {error.strerror or error}",
            at=str(folder),
            hint="make room, or name another folder",
        ) from error


def open_index(folder: Path) -> Index:
    """Open an index; its columns are opened by :meth:`Index.records`.

    Raises:
        DataError: The folder holds no index, or one of another format, or a damaged one.
    """
    folder = Path(folder).resolve()
    path = folder / INDEX
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the folder holds no index of a data set ({INDEX}: {error.strerror})",
            at=str(folder),
            expected="a folder that `wsoltool prepare` has written to its end",
            hint="`wsoltool prepare DATASET SRC DST` writes one to DST",
        ) from error
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise _unusable(path, f"it has format {content['format']!r}, not {FORMAT}")
        return _from_json(folder, content, sha256(data).hexdigest())
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(path, f"it is damaged: {error!r}") from error


def _from_json(folder: Path, content: Mapping[str, Any], digest: str) -> Index:
    return Index(
        folder=folder,
        digest=digest,
        reader=content["reader"],
        options=content["options"],
        image_root=(folder / content["image_root"]).resolve(),
        mask_root=(folder / content["mask_root"]).resolve(),
        box_convention=content["box_convention"],
        exif=content["exif"],
        classes=tuple(content["classes"]),
        splits={s: SplitFacts.of_json(facts, folder) for s, facts in content["splits"].items()},
        remarks=tuple(content["remarks"]),
    )


def _unusable(path: Path, why: str) -> DataError:
    return DataError(
        f"the data set's index cannot be used: {why}",
        at=str(path),
        expected=f"an index of format {FORMAT}",
        hint=f"{REMEDY}, with this version of wsoltool",
    )


def _write_split(
    folder: Path, split: str, records: Records, quarantined: Sequence[Quarantined]
) -> SplitFacts:
    """Write a split's files."""
    if split == "train-weaksup":
        records = replace(records, boxes=None, masks=None, segments=None)
    reasons = json.dumps([asdict(image) for image in quarantined], indent=1).encode()
    return SplitFacts(
        images=len(records),
        boxes=None if records.boxes is None else len(records.boxes.boxes),
        quarantined=len(quarantined),
        ids_sha256=ids_sha256(records.ids),
        mask_root=None if records.masks is None else records.masks.root,
        mask_level=0 if records.masks is None else records.masks.level,
        columns={
            name: write_column(folder, f"{split}/{name}", values)
            for name, values in to_columns(records).items()
        },
        reasons=write_bytes(folder, f"{split}/quarantined", ".json", reasons)
        if quarantined
        else None,
    )


def _place(root: Path, folder: Path, bases: Sequence[Path]) -> str:
    """A path as the index writes it.

    Args:
        root: The path.
        folder: Of the index.
        bases: Where one of these holds the index or lies inside of it, they may be moved together,
            with all that the outer one holds: such a path is written relative to ``folder``.
    """
    for base in bases:
        outer = min(base, folder, key=lambda path: len(path.parts))
        if all(path.is_relative_to(outer) for path in (base, folder, root)):
            return Path(os.path.relpath(root, folder)).as_posix()
    return str(root)


def _sweep(folder: Path, written: Mapping[str, SplitFacts]) -> None:
    """Remove the files of an earlier index, and what an interrupted write left."""
    kept = {file.path for facts in written.values() for file in facts.files()}
    for split in SPLITS:
        for path in (folder / split).glob("*"):
            if f"{split}/{path.name}" not in kept and WRITTEN.fullmatch(path.name):
                path.unlink()
