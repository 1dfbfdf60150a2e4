"""A comparison of groups of runs as tables to read, to paste, and as one dict to store."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from wsoltool.evaluation.comparison_table import (
    add_sections,
    empty_table,
    is_shown,
    p_value,
)
from wsoltool.evaluation.group_comparison import GroupComparison, GroupDifference, GroupFigure
from wsoltool.evaluation.group_notes import counted, difference_notes, mean_notes, sources
from wsoltool.evaluation.run_groups import Run, Runs
from wsoltool.evaluation.table import HEADLINE
from wsoltool.evaluation.table import difference as signed

FORMAT = "wsoltool group comparison 1"


def group_tables(comparison: GroupComparison) -> list[Table]:
    """Means and spreads of all groups; then for each group but the first how it differs.

    The dict of :func:`group_report` has every figure.
    """
    names = [group.name for group in comparison.groups]
    means = empty_table(f"{comparison.images} images, percent; mean ± standard deviation over runs")
    for group in comparison.groups:
        means.add_column(_head(group), justify="right", no_wrap=True)
    shown = _shown(comparison)
    of_all = [(own.row, [_mean(own, i) for i in range(len(names))]) for own in shown]
    add_sections(means, comparison.protocols, of_all)
    means.caption = escape("\n".join([*sources(comparison), *mean_notes(comparison)]))
    tables = [means]
    for index, name in enumerate(names[1:]):
        table = empty_table(f"{name} - {names[0]}, percent; with its 95 % interval")
        for column in ("difference", "same sign", "p"):
            table.add_column(column, justify="right", no_wrap=True)
        lines = [(own.row, _difference(comparison, own, index)) for own in shown]
        add_sections(table, comparison.protocols, lines)
        table.caption = escape("\n".join(difference_notes(comparison, [index])))
        tables.append(table)
    return tables


def pasted_table(comparison: GroupComparison) -> tuple[Table, list[str]]:
    """Everything of :func:`group_tables` in one wide table without title, and the notes below."""
    names = [group.name for group in comparison.groups]
    table = empty_table(None)
    table.add_column(_head(comparison.groups[0]), justify="right")
    for group in comparison.groups[1:]:
        for head in (_head(group), f"{group.name} - {names[0]}", "same sign", "p"):
            table.add_column(head, justify="right")

    def cells(own: GroupFigure) -> list[str]:
        line = [_mean(own, 0)]
        for index in range(len(own.differences)):
            line += [_mean(own, index + 1), *_difference(comparison, own, index)]
        return line

    lines = [(own.row, cells(own)) for own in _shown(comparison)]
    add_sections(table, comparison.protocols, lines)
    what = f"{comparison.images} images, percent; mean ± standard deviation over runs."
    every = range(len(comparison.pairings))
    return table, [what, *mean_notes(comparison), *difference_notes(comparison, every)]


def group_report(comparison: GroupComparison) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: ``images``, ``resamples`` (counts); ``seed``; ``protocols``; ``left_out`` (threshold
    sources and metrics that not every run has); ``groups``: ``name`` and ``runs``, each with
    ``path``, ``seed`` (of its training, or null), what it says of its origin, and ``data``;
    ``figures``, each with ``metric``, ``protocol``, ``threshold_source``, ``subset``, ``images``
    and ``groups``: ``name``, ``mean``, ``sd`` (n - 1; null of one run) and ``values``, in percent,
    in the order of the runs; ``comparisons``, one for each group but the first: ``a`` and ``b``
    (names), ``paired_by`` (``training``, ``seed``, ``order`` or null), ``pairs`` (places in the
    groups' runs), ``drawn_together``, and ``rows`` in the order of ``figures``: the same five keys,
    ``difference`` (b - a) and its ``interval`` in percent, ``excludes_zero``, ``agreeing`` (pairs
    whose own difference has its sign, or null), ``p`` and ``p_holm`` (adjusted for all of them in
    the file; null where not tested).
    """
    names = [group.name for group in comparison.groups]
    return {
        "format": FORMAT,
        "images": comparison.images,
        "resamples": comparison.resamples,
        "seed": comparison.seed,
        "protocols": list(comparison.protocols),
        "left_out": list(comparison.left_out),
        "groups": [
            {"name": group.name, "runs": [_plain_run(run) for run in group.runs]}
            for group in comparison.groups
        ],
        "figures": [
            {**_plain_key(own), "groups": [_plain_mean(own, i, n) for i, n in enumerate(names)]}
            for own in comparison.figures
        ],
        "comparisons": [
            {
                "a": names[0],
                "b": name,
                "paired_by": pairing.by,
                "pairs": [list(pair) for pair in pairing.pairs],
                "drawn_together": pairing.drawn_together,
                "rows": [
                    {**_plain_key(own), **_plain_difference(own.differences[index])}
                    for own in comparison.figures
                ],
            }
            for index, (name, pairing) in enumerate(
                zip(names[1:], comparison.pairings, strict=True)
            )
        ],
    }


def _shown(comparison: GroupComparison) -> list[GroupFigure]:
    return [own for own in comparison.figures if is_shown(own.row, HEADLINE)]


def _head(group: Runs) -> str:
    return f"{group.name}\n{counted(len(group.runs), 'run')}"


def _mean(figure: GroupFigure, group: int) -> str:
    deviation = figure.deviation(group)
    mean = f"{figure.mean(group):.1f}"
    return mean if deviation is None else f"{mean} ± {deviation:.1f}"


def _difference(comparison: GroupComparison, figure: GroupFigure, index: int) -> list[str]:
    own, pairs = figure.differences[index], comparison.pairings[index].pairs
    mark = " *" if own.excludes_zero else "  "
    agreeing = "" if own.agreeing is None else f"{own.agreeing} of {len(pairs)}"
    p = "" if own.p_holm is None else p_value(own.p_holm)
    return [signed(own.value, own.interval) + mark, agreeing, p]


def _plain_run(run: Run) -> dict[str, Any]:
    return {"path": str(run.path), "seed": run.seed, **run.origin, "data": run.data}


def _plain_key(figure: GroupFigure) -> dict[str, Any]:
    row = figure.row
    return {
        "metric": row.name,
        "protocol": row.protocol,
        "threshold_source": row.source,
        "subset": row.subset,
        "images": row.images,
    }


def _plain_mean(figure: GroupFigure, group: int, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "mean": figure.mean(group),
        "sd": figure.deviation(group),
        "values": list(figure.values[group]),
    }


def _plain_difference(own: GroupDifference) -> dict[str, Any]:
    return {
        "difference": own.value,
        "interval": list(own.interval),
        "excludes_zero": own.excludes_zero,
        "agreeing": own.agreeing,
        "p": own.p,
        "p_holm": own.p_holm,
    }
