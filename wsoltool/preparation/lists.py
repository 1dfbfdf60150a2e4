"""The lists that a preparation leaves beside the index: problems, notes, near-duplicates."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wsoltool.paths import whole_file
from wsoltool.preparation.duplicates import Pair
from wsoltool.preparation.facts import REMEDIES
from wsoltool.preparation.scan import SplitScan
from wsoltool.preparation.sources import Bad

PROBLEMS, NOTES, NEAR = "problems.csv", "notes.csv", "near_duplicates.csv"


def write_lists(
    folder: Path,
    bad: Sequence[Bad],
    copies: Sequence[Pair],
    near: Sequence[Pair] | None,
    splits: Mapping[str, SplitScan],
) -> None:
    """Write all lists, with a line of column names each.

    - ``problems.csv``: split, image, kind, reason, remedy of everything that is bad; and of images
      that are the same file as one of a later split (kind ``duplicate``), which are not left out
    - ``notes.csv``: split, image, note of usable images whose files are unusual
    - ``near_duplicates.csv``: split, image, other_split, other_image, bits, similarity; only where
      ``near`` is given

    Args:
        folder: Where they go.
        bad: What keeps images from being used.
        copies: Images that are the same file as one of a later split.
        near: Near-duplicates.
        splits: Split -> what was found in it.
    """
    problems = [(b.split, b.image, b.flaw.kind, b.flaw.reason, b.flaw.remedy) for b in bad]
    problems += [_copy(pair) for pair in copies]
    _write(folder / PROBLEMS, ("split", "image", "kind", "reason", "remedy"), problems)
    notes = [(split, *note) for split, found in splits.items() for note in found.notes]
    _write(folder / NOTES, ("split", "image", "note"), notes)
    if near is not None:
        columns = ("split", "image", "other_split", "other_image", "bits", "similarity")
        rows = [
            (p.split, p.image, p.other_split, p.other_image, p.bits, f"{p.similarity:.4f}")
            for p in near
        ]
        _write(folder / NEAR, columns, rows)


def _copy(pair: Pair) -> tuple[str, str, str, str, str]:
    reason = f"the same file as {pair.other_image} of {pair.other_split}"
    return pair.split, pair.image, "duplicate", reason, REMEDIES["duplicate"]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
