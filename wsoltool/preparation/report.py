"""What a preparation found, as a table to read and as one dict to store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.preparation.duplicates import copies_by_splits
from wsoltool.preparation.preparation import Outcome, Request

_SHOWN = 5


def summary_table(outcome: Outcome) -> Table:
    """A row for each split: its images, those that can be used, and what is wrong with others."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("split", no_wrap=True)
    for name in ("images", "usable"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("problems", overflow="fold")
    table.add_column("notes", overflow="fold")
    for split, figures in _splits(outcome).items():
        numbers = f"{figures['images']:,}", f"{figures['usable']:,}"
        words = (_counted(figures[key]) for key in ("problems", "notes"))
        table.add_row(split, *numbers, *map(escape, words))
    return table


def problem_lines(outcome: Outcome) -> list[str]:
    """The first problems, one a line, and how many more there are."""
    lines = []
    for bad in outcome.bad[:_SHOWN]:
        name = f" {bad.image}" if bad.image else ""
        line = f"  {bad.split}{name}: {bad.flaw.reason}"
        # Bytes of file names that are no UTF-8 cannot be printed as they are.
        lines.append(line.encode("utf-8", "backslashreplace").decode())
    more = len(outcome.bad) - _SHOWN
    return [*lines, f"  and {more:,} more"] if more > 0 else lines


def warning_lines(outcome: Outcome) -> Iterator[str]:
    """What does not keep the data set from being used, but matters to what it measures."""
    for words in copies_by_splits(outcome.copies):
        yield f"{words} (problems.csv: duplicate)"
    if outcome.idle_classes:
        names = ", ".join(outcome.idle_classes[:_SHOWN])
        many = ", ..." if len(outcome.idle_classes) > _SHOWN else ""
        number = len(outcome.idle_classes)
        have = "classes have" if number > 1 else "class has"
        yield f"{number:,} {have} no image in train-weaksup: {names}{many}"


def report(request: Request, outcome: Outcome) -> dict[str, Any]:
    """All figures, with stable keys, for JSON."""
    return {
        "format": "wsoltool preparation 1",
        "reader": request.name,
        "options": dict(request.options),
        "source": str(request.root),
        "folder": str(request.folder),
        "quarantine": request.quarantine,
        "headers_only": request.headers_only,
        "index_written": outcome.written,
        "splits": _splits(outcome),
        "parts": {
            count.part: {
                "splits": list(count.splits),
                "images": count.found,
                "published": count.published,
            }
            for count in outcome.counts
        },
        "problems": len(outcome.bad),
        "duplicates": len(outcome.copies),
        "near_duplicates": None if outcome.near is None else len(outcome.near),
        "classes_without_training_images": list(outcome.idle_classes),
        "images": outcome.images,
        "images_checked_now": outcome.fresh,
        "seconds": outcome.seconds,
    }


def _splits(outcome: Outcome) -> dict[str, dict[str, Any]]:
    figures = {}
    for split, found in outcome.splits.items():
        problems = Counter(b.flaw.kind for b in outcome.bad if b.split == split and b.image)
        figures[split] = {
            "images": len(found.records) + len(outcome.left_out(split)),
            "usable": len(found.records),
            "problems": dict(problems),
            "notes": dict(Counter(note for _, note in found.notes)),
        }
    return figures


def _counted(counts: dict[str, int]) -> str:
    """``3 truncated, 1 empty``, the most frequent first.

    Example:
        >>> _counted({"empty": 1, "truncated": 3})
        '3 truncated, 1 empty'
    """
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered) or "-"
