"""A summary as one table to read and as one dict to store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.evaluation.chosen_thresholds import chosen_entry, chosen_lines
from wsoltool.evaluation.controls import CENTRE, CONTROLS
from wsoltool.evaluation.estimates import COMMON, HIT
from wsoltool.evaluation.histograms import Histogram
from wsoltool.evaluation.pixel_rows import PXAP
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.rows import (
    ALL,
    FIXED,
    IMAGE_ORACLE,
    ORACLE,
    PART_IOU,
    SMALL,
    SOURCES,
    V2,
    V2_COMMON_PARTS,
    Gap,
    Row,
    Summary,
)
from wsoltool.evaluation.subsets import SMALL_SHARE

EXTRACTORS_OWN = "the box extractor's"
CHOSEN_BY_IMAGE = "chosen for each image by the box extractor, without true boxes"
HEADLINE = ("Top-1 Cls", "GT-known Loc", "Top-1 Loc", "MaxBoxAccV2", "mean IoU")
"""The metrics that the printed table repeats for small objects; the dict has them all."""
DETAILS = (f"MaxBoxAcc@{HIT}", *V2_COMMON_PARTS)
"""In the dict alone; the first is MaxBoxAcc by another name."""
GAPS = ("GT-known Loc", V2)
"""The metrics whose gaps between threshold sources are printed."""
BOUNDS = ("GT-known Loc", "mean IoU")
"""The metrics whose figures under image-oracle are printed."""


def metrics_table(summary: Summary, fixed: str | None = None, notes: Sequence[str] = ()) -> Table:
    """Rows are metrics, by protocol; columns are threshold sources, then the controls.

    About 100 characters wide. The dict of :func:`report` has every figure; the table leaves out
    the details of small objects, and the controls but at their best threshold.

    Args:
        summary: All figures.
        fixed: What the caption calls the fixed threshold; by default the box extractor's, or
            chosen by it for each image.
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


def caption(summary: Summary, fixed: str | None = None) -> str:
    """What the rows and columns mean, in a few lines."""
    if fixed is None:
        fixed = EXTRACTORS_OWN if summary.chosen is None else CHOSEN_BY_IMAGE
    lines = [*_gap_lines(summary), *_bound_lines(summary), *_histogram_lines(summary)]
    if summary.chosen is not None:
        lines += chosen_lines(summary.chosen)
    lines += [f"{name}: {get_protocol(name).description}." for name in summary.protocols]
    lines += [
        f"Threshold: fixed = {fixed}; fullsup = chosen on train-fullsup; test-oracle = "
        "chosen on these images.",
        *bound_lines(summary.rows),
        "Controls: at their best share and threshold on these images; under image-oracle, on every "
        "image by itself.",
        "MaxBoxAccV2 (common): one threshold for its three IoUs.",
    ]
    if any(row.name == "Top-1 Loc" for row in summary.rows):
        lines.append("Top-1 Loc: the class is right and the box of its map fits.")
    if any(row.name == PXAP for row in summary.rows):
        lines.append(
            "PxAP, PIoU, mIoU, mLEV: of the true class's map against the masks, pixel by pixel; "
            "mLEV counts what is wrong, lower is better."
        )
    return "\n".join([*lines, *small_lines(summary.rows)])


def small_lines(rows: Iterable[Row]) -> list[str]:
    """What ``small`` means and how many images are, where a row is of them."""
    small = {row.images for row in rows if (row.name, row.subset) == ("GT-known Loc", SMALL)}
    share = f"{100 * SMALL_SHARE:.0f} %"
    return [f"small: the {count} images whose object covers less than {share}." for count in small]


def oracle_note(protocols: Sequence[str]) -> str:
    """How test-oracle is resampled, where there are protocols and with them thresholds."""
    return "; test-oracle chooses its thresholds anew in each" if protocols else ""


def error_lines(rows: Iterable[Row]) -> list[str]:
    """That less is better, where a row counts errors."""
    if not any("mLEV" in row.name for row in rows):
        return []
    return ["mLEV counts what is wrong: lower is better."]


def bound_lines(rows: Iterable[Row]) -> list[str]:
    """What image-oracle means, where a row is of it."""
    if not any(row.source == IMAGE_ORACLE for row in rows):
        return []
    return [
        f"{IMAGE_ORACLE}: the best threshold for every image by itself, chosen on its true boxes; "
        "a bound, no method."
    ]


def _gap_lines(summary: Summary) -> list[str]:
    """A line for each protocol: what choosing the threshold on the scored images adds."""
    shown = [gap for gap in summary.gaps() if gap.name in GAPS and gap.subset == ALL]
    lines = []
    for protocol in summary.protocols:
        own = {n: [g for g in shown if (g.name, g.protocol) == (n, protocol)] for n in GAPS}
        parts = [f"{name} {', '.join(map(_gap, gaps))}" for name, gaps in own.items() if gaps]
        if parts:
            lines.append(f"test-oracle gains, {protocol}: {'; '.join(parts)}.")
    return lines


def _bound_lines(summary: Summary) -> list[str]:
    """A line for each protocol: what choosing a threshold for every image can give at most."""
    shown = [
        row
        for row in summary.rows
        if row.source == IMAGE_ORACLE and row.subset == ALL and row.name in BOUNDS
    ]
    lines = []
    for protocol in summary.protocols:
        own = [row for row in shown if row.protocol == protocol]
        figures = ", ".join(f"{row.name} {_figure(row)}" for row in own)
        beside = ", ".join(f"{row.controls[CENTRE]:.1f}" for row in own if CENTRE in row.controls)
        if own:
            parts = [figures, f"{CENTRE} {beside}"] if beside else [figures]
            lines.append(f"{IMAGE_ORACLE}, {protocol}: {'; '.join(parts)}.")
    return lines


def _gap(gap: Gap) -> str:
    return f"{difference(gap.value, gap.interval)} over {gap.source}"


def difference(value: float, interval: tuple[float, float] | None) -> str:
    """A signed difference of percents, with its interval if it has one.

    Example:
        >>> difference(1.25, (-0.5, 3)), difference(-0.0, None)
        ('+1.2 (-0.5 to +3.0)', '0.0')
    """
    text = _signed(value)
    return text if interval is None else "{} ({} to {})".format(text, *map(_signed, interval))


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text


def _histogram_lines(summary: Summary) -> list[str]:
    shown = [h for h in summary.histograms if h.subset == ALL]
    if not shown:
        return []
    title = "IoU of the one box, percent of images from 0 to .1, .1 to .2, ... .9 to 1:"
    return [title, *[_bins(histogram) for histogram in shown]]


def _bins(histogram: Histogram) -> str:
    bins = " ".join(f"{percent:4.1f}" for percent in histogram.percents)
    return f"  {bins}  {histogram.protocol}, {histogram.source}"


def _sections(summary: Summary) -> list[list[list[str]]]:
    """Lines of cells: class scores and part boxes, then every protocol's metrics."""
    shown = [
        row
        for row in summary.rows
        if row.source != IMAGE_ORACLE
        and (row.name in HEADLINE or (row.subset == ALL and row.name not in DETAILS))
    ]
    unbound = [row for row in shown if row.protocol is None or row.name == PART_IOU]
    blank = [""] * (len(SOURCES) + len(CONTROLS) - 1)
    sections = [[[label(row), _figure(row), *blank] for row in unbound]]
    for protocol in summary.protocols:
        own = [row for row in shown if row.protocol == protocol and row not in unbound]
        labels = dict.fromkeys(map(label, own))
        lines = [_line(name, [row for row in own if label(row) == name]) for name in labels]
        sections.append([_head(protocol, own, summary.chosen is not None), *lines])
    return [section for section in sections if section]


def _head(protocol: str, rows: list[Row], chosen: bool) -> list[str]:
    """The protocol's name, and the thresholds that GT-known Loc used."""
    used = {row.source: row.estimate.thresholds for row in rows if row.name == "GT-known Loc"}
    at = {source: f"at {thresholds[0]:.3f}" for source, thresholds in used.items() if thresholds}
    if chosen:
        at[FIXED] = "by image"
    return [protocol, *(at.get(source, "") for source in SOURCES), *[""] * len(CONTROLS)]


def _line(name: str, rows: list[Row]) -> list[str]:
    by_source = {row.source: row for row in rows}
    figures = [_figure(by_source[s]) if s in by_source else "" for s in SOURCES]
    if None in by_source:
        figures[0] = _figure(by_source[None])  # PxAP needs no threshold
    best = by_source.get(ORACLE, rows[-1]).controls
    return [f"  {name}", *figures, *[f"{best[c]:.1f}" if c in best else "" for c in CONTROLS]]


def label(row: Row) -> str:
    """What a table calls the row's metric: short, and with its subset."""
    name = row.name.replace(COMMON, "(common)")
    return name if row.subset == ALL else f"{name} ({row.subset})"


def _figure(row: Row) -> str:
    value = f"{row.estimate.value:.1f}"
    if row.estimate.interval is not None:
        value += " ({:.1f}-{:.1f})".format(*row.estimate.interval)
    return value


def report(summary: Summary) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: every metric of :meth:`Summary.metrics` in percent, by its name; ``images`` (count);
    ``protocol`` (the primary one, which the plain keys follow); ``protocols`` (name ->
    description); ``fixed_threshold`` (the box extractor's, or null); ``chosen_thresholds`` (that
    the extractor chose for each image, else null: ``edges`` and ``counts`` of images in twenty bins
    of 0.05, ``none`` for the count of images without a box, ``mean`` and ``median`` of the others
    or null); ``resamples`` (count); ``rows`` (every figure: ``metric``, ``value``, ``interval``
    [low, high] or null, ``protocol``, ``threshold_source``, ``thresholds``, ``subset``, ``images``,
    ``controls``); ``gaps`` (test-oracle minus another threshold source: ``metric``, ``protocol``,
    ``subset``, ``threshold_source``, ``value``, ``interval``); ``iou_histograms`` (of the one box
    at GT-known Loc's threshold: ``protocol``, ``threshold_source``, ``subset``, ``counts`` of
    images in ten bins of 0.1, ``mean_iou``, ``box_recall`` as percent of images by IoU).
    """
    return {
        **summary.metrics(),
        "images": summary.images,
        "protocol": summary.protocols[0],
        "protocols": {name: get_protocol(name).description for name in summary.protocols},
        "fixed_threshold": summary.fixed_threshold,
        "chosen_thresholds": None if summary.chosen is None else chosen_entry(summary.chosen),
        "resamples": summary.resamples,
        "rows": [_plain(row) for row in summary.rows],
        "gaps": [_plain_gap(gap) for gap in summary.gaps()],
        "iou_histograms": [_plain_histogram(histogram) for histogram in summary.histograms],
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


def _plain_gap(gap: Gap) -> dict[str, Any]:
    return {
        "metric": gap.name,
        "protocol": gap.protocol,
        "subset": gap.subset,
        "threshold_source": gap.source,
        "value": gap.value,
        "interval": None if gap.interval is None else list(gap.interval),
    }


def _plain_histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "protocol": histogram.protocol,
        "threshold_source": histogram.source,
        "subset": histogram.subset,
        "counts": list(histogram.counts),
        "mean_iou": histogram.mean_iou,
        "box_recall": {str(iou): share for iou, share in histogram.box_recall.items()},
    }
