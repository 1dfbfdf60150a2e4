"""A summary as one table to read and as one dict to store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.evaluation.controls import CONTROLS
from wsoltool.evaluation.pixel_rows import PXAP
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.summary import (
    ALL,
    FIXED,
    FULLSUP,
    ORACLE,
    PART_IOU,
    SMALL,
    SMALL_SHARE,
    Row,
    Summary,
)

EXTRACTORS_OWN = "the box extractor's"
SOURCES = (FIXED, FULLSUP, ORACLE)
HEADLINE = ("Top-1 Cls", "GT-known Loc", "Top-1 Loc", "MaxBoxAccV2", "mean IoU")
"""The metrics that the printed table repeats for small objects; the dict has them all."""


def metrics_table(
    summary: Summary, fixed: str = EXTRACTORS_OWN, notes: Sequence[str] = ()
) -> Table:
    """Rows are metrics, by protocol; columns are threshold sources, then the controls.

    About 100 characters wide. The dict of :func:`report` has every figure; the table leaves out
    the details of small objects, and the controls but at their best threshold.

    Args:
        summary: All figures.
        fixed: What the caption calls the fixed threshold.
        notes: Further lines of the caption.
    """
    table = Table(
        title=f"Localization of {summary.images} images, percent (95 % interval)",
        caption=escape("\n".join([caption(summary, fixed), *notes])),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("metric", no_wrap=True)
    for name in (*SOURCES, *CONTROLS):
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for section in _sections(summary):
        for cells in section:
            table.add_row(*cells, end_section=cells is section[-1])
    return table


def caption(summary: Summary, fixed: str = EXTRACTORS_OWN) -> str:
    """What the rows and columns mean, in a few lines."""
    lines = [f"{name}: {get_protocol(name).description}." for name in summary.protocols]
    lines += [
        f"Threshold: fixed = {fixed}; fullsup = chosen on train-fullsup; test-oracle = "
        "chosen on these images.",
        "Controls: at their best share and threshold on these images.",
    ]
    if any(row.name == "Top-1 Loc" for row in summary.rows):
        lines.append("Top-1 Loc: the class is right and the box of its map fits.")
    if any(row.name == PXAP for row in summary.rows):
        lines.append(
            "PxAP, PIoU, mIoU, mLEV: of the true class's map against the masks, pixel by pixel; "
            "mLEV counts what is wrong, lower is better."
        )
    small = {r.images for r in summary.rows if r.subset == SMALL and r.name == "GT-known Loc"}
    if small:
        share = f"{100 * SMALL_SHARE:.0f} %"
        lines.append(f"small: the {small.pop()} images whose object covers less than {share}.")
    return "\n".join(lines)


def _sections(summary: Summary) -> list[list[list[str]]]:
    """Lines of cells: class scores and part boxes, then every protocol's metrics."""
    shown = [row for row in summary.rows if row.subset == ALL or row.name in HEADLINE]
    unbound = [row for row in shown if row.protocol is None or row.name == PART_IOU]
    blank = [""] * (len(SOURCES) + len(CONTROLS) - 1)
    sections = [[[_label(row), _figure(row), *blank] for row in unbound]]
    for protocol in summary.protocols:
        own = [row for row in shown if row.protocol == protocol and row not in unbound]
        labels = dict.fromkeys(map(_label, own))
        lines = [_line(label, [row for row in own if _label(row) == label]) for label in labels]
        sections.append([_head(protocol, own), *lines])
    return [section for section in sections if section]


def _head(protocol: str, rows: list[Row]) -> list[str]:
    """The protocol's name, and the thresholds that GT-known Loc used."""
    used = {row.source: row.estimate.thresholds for row in rows if row.name == "GT-known Loc"}
    at = [f"at {used[source][0]:.3f}" if used.get(source) else "" for source in SOURCES]
    return [protocol, *at, *[""] * len(CONTROLS)]


def _line(label: str, rows: list[Row]) -> list[str]:
    by_source = {row.source: row for row in rows}
    figures = [_figure(by_source[s]) if s in by_source else "" for s in SOURCES]
    if None in by_source:
        figures[0] = _figure(by_source[None])  # PxAP needs no threshold
    best = by_source.get(ORACLE, rows[-1]).controls
    return [f"  {label}", *figures, *[f"{best[c]:.1f}" if c in best else "" for c in CONTROLS]]


def _label(row: Row) -> str:
    return row.name if row.subset == ALL else f"{row.name} ({row.subset})"


def _figure(row: Row) -> str:
    value = f"{row.estimate.value:.1f}"
    if row.estimate.interval is not None:
        value += " ({:.1f}-{:.1f})".format(*row.estimate.interval)
    return value


def report(summary: Summary) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: every metric of :meth:`Summary.metrics` in percent, by its name; ``images`` (count);
    ``protocol`` (the primary one, which the plain keys follow); ``protocols`` (name ->
    description); ``fixed_threshold`` (the box extractor's, or null); ``resamples`` (count);
    ``rows`` (every figure: ``metric``, ``value``, ``interval`` [low, high] or null,
    ``protocol``, ``threshold_source``, ``thresholds``, ``subset``, ``images``, ``controls``).
    """
    return {
        **summary.metrics(),
        "images": summary.images,
        "protocol": summary.protocols[0],
        "protocols": {name: get_protocol(name).description for name in summary.protocols},
        "fixed_threshold": summary.fixed_threshold,
        "resamples": summary.resamples,
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
