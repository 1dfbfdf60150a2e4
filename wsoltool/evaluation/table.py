"""A summary as one table to read and as one dict to store."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from wsoltool.evaluation.controls import CONTROLS
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.summary import ALL, SMALL, SMALL_SHARE, Row, Summary

HEADLINE = ("Top-1 Cls", "GT-known Loc", "Top-1 Loc", "MaxBoxAccV2", "mean IoU")
"""The metrics that the printed table repeats for small objects; the dict has them all."""


def metrics_table(summary: Summary) -> Table:
    """Rows are metrics; columns the figure, how it was obtained, and what the controls reach.

    About 105 characters wide.
    """
    table = Table(
        title=f"Localization of {summary.images} images, percent (95 % interval)",
        caption=caption(summary),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("metric", "value", "protocol", "threshold"):
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=True)
    for control in CONTROLS:
        table.add_column(control.replace(" ", "\n"), justify="right", no_wrap=True)
    shown = [row for row in summary.rows if row.subset == ALL or row.name in HEADLINE]
    for row, following in zip(shown, [*shown[1:], None], strict=True):
        ends = following is None or _section(row) != _section(following)
        table.add_row(*_cells(row), end_section=ends)
    return table


def caption(summary: Summary) -> str:
    """What the columns mean, in a few lines."""
    lines = [f"{name}: {get_protocol(name).description}." for name in summary.protocols]
    lines += [
        "Threshold: fixed = the box extractor's; fullsup = chosen on train-fullsup; test-oracle = "
        "chosen on these images (so are the share of the centre box and the Gaussian's threshold).",
        "Top-1 Loc: the class is right and the box of its map fits.",
    ]
    small = {row.images for row in summary.rows if row.subset == SMALL and row.protocol is None}
    if small:
        share = f"{100 * SMALL_SHARE:.0f} %"
        lines.append(f"small: the {small.pop()} images whose object covers less than {share}.")
    return "\n".join(lines)


def report(summary: Summary) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: every metric of :meth:`Summary.metrics` in percent, by its name; ``images`` (count);
    ``protocol`` (the primary one, which the plain keys follow); ``protocols`` (name ->
    description); ``rows`` (every figure: ``metric``, ``value``, ``interval`` [low, high] or null,
    ``protocol``, ``threshold_source``, ``thresholds``, ``subset``, ``images``, ``controls``).
    """
    return {
        **summary.metrics(),
        "images": summary.images,
        "protocol": summary.protocols[0],
        "protocols": {name: get_protocol(name).description for name in summary.protocols},
        "rows": [_plain(row) for row in summary.rows],
    }


def _plain(row: Row) -> dict[str, Any]:
    spread = row.estimate.interval
    return {
        "metric": row.name,
        "value": row.estimate.value,
        "interval": None if spread is None else list(spread),
        "protocol": row.protocol,
        "threshold_source": row.source,
        "thresholds": list(row.estimate.thresholds),
        "subset": row.subset,
        "images": row.images,
        "controls": dict(row.controls),
    }


def _section(row: Row) -> tuple[str | None, str | None, str]:
    return row.protocol, row.source, row.subset


def _cells(row: Row) -> list[str]:
    estimate = row.estimate
    value = f"{estimate.value:.1f}"
    if estimate.interval is not None:
        value += " ({:.1f}-{:.1f})".format(*estimate.interval)
    source = row.source or ""
    if estimate.thresholds:
        source += " (" + "/".join(f"{t:.3g}" for t in estimate.thresholds) + ")"
    name = row.name if row.subset == ALL else f"{row.name} ({row.subset})"
    beside = [f"{row.controls[c]:.1f}" if c in row.controls else "" for c in CONTROLS]
    return [name, value, row.protocol or "", source, *beside]
