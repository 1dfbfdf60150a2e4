"""A comparison as tables to read, one for each file but the first, and as one dict to store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.evaluation.comparison import Comparison, Difference
from wsoltool.evaluation.data_entries import DataEntries, data_lines, difference_lines
from wsoltool.evaluation.pixel_curves import MIOU_BACKGROUND, PIOU
from wsoltool.evaluation.pixel_rows import MLEV_BOX
from wsoltool.evaluation.rows import (
    ALL,
    IMAGE_ORACLE,
    LARGEST_PARTS,
    PART_IOU,
    V2_COMMON_PARTS,
    V2_PARTS,
    Row,
)
from wsoltool.evaluation.table import bound_lines, error_lines, label, oracle_note, small_lines
from wsoltool.evaluation.table import difference as signed

FORMAT = "wsoltool comparison 1"
SMALL_TOO = ("GT-known Loc",)
"""The metrics that the printed table repeats for small objects; the dict has them all."""
DETAILS = (
    "Top-5 Loc",
    "MaxBoxAcc",
    *LARGEST_PARTS,
    *V2_PARTS,
    *V2_COMMON_PARTS,
    PIOU,
    MIOU_BACKGROUND,
    MLEV_BOX,
)
"""In the dict alone; MaxBoxAcc is GT-known Loc under test-oracle by another name."""
SMALLEST_P = 0.001


def comparison_tables(comparison: Comparison) -> list[Table]:
    """One table for each evaluation that the first was compared with; about 100 characters wide.

    The dict of :func:`comparison_report` has every figure.
    """
    return [_table(comparison, index) for index in range(len(comparison.differences))]


def comparison_report(comparison: Comparison) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: ``images``, ``resamples`` (counts); ``seed``; ``protocols``; ``files`` (``path``, what it
    says of its origin, and ``data``, see :mod:`wsoltool.evaluation.data_entries`);
    ``left_out`` (lines: what was not compared, and why);
    ``comparisons``, one for each file but the first: ``a`` and ``b`` (paths) and ``rows``, each
    with ``metric``, ``protocol``, ``threshold_source``, ``subset``, ``images``; ``a``, ``b``,
    ``difference`` (b - a) and its ``interval`` in percent; ``excludes_zero``; ``thresholds_a``,
    ``thresholds_b``; and, where single images are compared (null elsewhere), ``only_a`` and
    ``only_b`` (counts of images that one alone has right), ``p`` (McNemar, exact) and ``p_holm``
    (adjusted for all of them in the file).
    """
    first, *others = map(str, comparison.files)
    return {
        "format": FORMAT,
        "images": comparison.images,
        "resamples": comparison.resamples,
        "seed": comparison.seed,
        "protocols": list(comparison.protocols),
        "files": [
            {"path": str(file), **origin, "data": data}
            for file, origin, data in zip(
                comparison.files, comparison.origins, comparison.data, strict=True
            )
        ],
        "left_out": list(comparison.left_out),
        "comparisons": [
            {"a": first, "b": other, "rows": [_plain(own) for own in differences]}
            for other, differences in zip(others, comparison.differences, strict=True)
        ],
    }


def _table(comparison: Comparison, index: int) -> Table:
    table = empty_table(f"{comparison.images} images, percent; B - A with its 95 % interval")
    table.caption = escape(_caption(comparison, index))
    for name in ("A", "B", "B - A", "only A", "only B", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = [own for own in comparison.differences[index] if is_shown(own.a)]
    add_sections(table, comparison.protocols, [(own.a, _cells(own)) for own in shown])
    return table


def empty_table(title: str | None) -> Table:
    """With the columns ``metric`` and ``threshold``; the caller adds those of figures."""
    table = Table(title=title, caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    table.add_column("threshold", no_wrap=True)
    return table


def add_sections(
    table: Table, protocols: Sequence[str], lines: Sequence[tuple[Row, list[str]]]
) -> None:
    """Add a section of what follows no protocol, then one for each.

    Args:
        table: Of :func:`empty_table`.
        protocols: In the order of their sections.
        lines: What each line is of, and its cells behind metric and threshold.
    """
    sections: dict[str | None, list[list[str]]] = {
        None: [],
        **{name: [[name]] for name in protocols},
    }
    for row, cells in lines:
        protocol = None if row.name == PART_IOU else row.protocol
        indent = "" if protocol is None else "  "
        sections[protocol].append([indent + label(row), row.source or "", *cells])
    for section in sections.values():
        for line in section:
            table.add_row(*line, end_section=line is section[-1])


def is_shown(row: Row, small_too: Sequence[str] = SMALL_TOO) -> bool:
    """Whether the printed table has the row; for small objects only metrics of ``small_too``, and
    no bounds."""
    if row.subset == ALL:
        return row.name not in DETAILS
    return row.name in small_too and row.source != IMAGE_ORACLE


def _cells(difference: Difference) -> list[str]:
    a, b = difference.a, difference.b
    change = signed(difference.value, difference.interval)
    mark = " *" if difference.excludes_zero else "  "
    figures = [f"{a.estimate.value:.1f}", f"{b.estimate.value:.1f}", change + mark]
    counts = difference.images
    tested = (
        [] if counts is None else [str(counts.only_a), str(counts.only_b), p_value(counts.p_holm)]
    )
    return [*figures, *tested]


def p_value(value: float) -> str:
    """A p-value to three digits."""
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.3f}"


def _caption(comparison: Comparison, index: int) -> str:
    tests = sum(own.images is not None for pair in comparison.differences for own in pair)
    lines = [
        f"A: {_name(comparison, 0)}",
        f"B: {_name(comparison, index + 1)}",
        *_data_lines(comparison.data[0], comparison.data[index + 1]),
        f"*: the interval excludes 0 (paired bootstrap over images, {comparison.resamples} "
        f"resamples{oracle_note(comparison.protocols)}).",
    ]
    if tests:
        lines.append(
            "only A, only B: images that one alone has right; p: McNemar's exact test, "
            f"adjusted for {tests} tests (Holm)."
        )
    rows = [own.a for own in comparison.differences[index]]
    notes = [*bound_lines(rows), *small_lines(rows), *error_lines(rows)]
    return "\n".join([*lines, *notes, *comparison.left_out])


def _data_lines(a: DataEntries, b: DataEntries) -> list[str]:
    """What was left out of the images, once where it is the same, and how they differ."""
    of_a, of_b = data_lines(a), data_lines(b)
    both = [f"{line}." for line in of_a if line in of_b]
    only_a = [f"A, {line}." for line in of_a if line not in of_b]
    only_b = [f"B, {line}." for line in of_b if line not in of_a]
    return [*both, *only_a, *only_b, *difference_lines(a, b)]


def _name(comparison: Comparison, index: int) -> str:
    path: Path = comparison.files[index]
    origin = comparison.origins[index].values()
    said = [" ".join(text) if isinstance(text, list) else str(text) for text in origin]
    return f"{path} ({', '.join(filter(None, said))})" if any(said) else str(path)


def _plain(difference: Difference) -> dict[str, Any]:
    a, b, counts = difference.a, difference.b, difference.images
    return {
        "metric": a.name,
        "protocol": a.protocol,
        "threshold_source": a.source,
        "subset": a.subset,
        "images": a.images,
        "a": a.estimate.value,
        "b": b.estimate.value,
        "difference": difference.value,
        "interval": list(difference.interval),
        "excludes_zero": difference.excludes_zero,
        "thresholds_a": list(a.estimate.thresholds),
        "thresholds_b": list(b.estimate.thresholds),
        "only_a": None if counts is None else counts.only_a,
        "only_b": None if counts is None else counts.only_b,
        "p": None if counts is None else counts.p,
        "p_holm": None if counts is None else counts.p_holm,
    }
