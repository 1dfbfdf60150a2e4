"""The figures of all splits as one table to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.datasets.split_statistics import BoxStatistics, Range, SplitStatistics
from wsoltool.datasets.statistics import AREA_EDGES, RATIO_EDGES, Spread, low_mid_high

NAMED = 3
BAR = 24
WITHHELD = "boxes of train-weaksup are never read: it has image labels alone"
Cell = Callable[[SplitStatistics], str]


def statistics_table(splits: Sequence[SplitStatistics], notes: Sequence[str] = ()) -> Table:
    """A column for each split; about 100 characters wide for three.

    Args:
        splits: Their figures.
        notes: Further lines of the caption.
    """
    table = Table(
        caption=escape("\n".join([*_notes(splits), *notes])),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    for found in splits:
        table.add_column(found.loader, overflow="fold")
    for rows in (_image_rows(splits), _box_rows(splits)):
        for name, cell in rows:
            table.add_row(name, *(escape(cell(found)) for found in splits))
        table.add_section()
    return table


def _image_rows(splits: Sequence[SplitStatistics]) -> Iterator[tuple[str, Cell]]:
    yield "split", lambda s: s.split
    yield "images", lambda s: f"{s.images:,}"
    yield "classes", lambda s: f"{len(s.balance.names):,}"
    yield "images a class", lambda s: _range(low_mid_high(s.balance.images))
    if any(np.ptp(s.balance.images) for s in splits):
        yield "  fewest", lambda s: _named(s.balance.rarest(NAMED))
        yield "  most", lambda s: _named(s.balance.most_frequent(NAMED))
    if any(s.balance.missing for s in splits):
        yield "  none", _missing
    if any(s.multi_label for s in splits):
        yield "labels an image", lambda s: f"mean {s.labels_mean:.2f}, most {s.labels_most}"
    if any(s.without_label for s in splits):
        yield "  images without", lambda s: f"{s.without_label:,}"
    yield "width, pixels", lambda s: _range(s.widths)
    yield "height, pixels", lambda s: _range(s.heights)
    yield "network sees", _inputs


def _box_rows(splits: Sequence[SplitStatistics]) -> Iterator[tuple[str, Cell]]:
    def boxes(name: str, cell: Callable[[BoxStatistics], str]) -> tuple[str, Cell]:
        return name, lambda s: "-" if s.boxes is None else cell(s.boxes)

    known = [s.boxes for s in splits if s.boxes is not None]
    yield boxes("boxes", lambda b: f"{b.count:,}")
    yield boxes("boxes an image", lambda b: f"mean {b.mean:.2f}, most {b.most:,}")
    yield boxes("  images without", lambda b: f"{b.images_without:,}")
    if any(b.difficult for b in known):
        yield boxes("  difficult", lambda b: f"{b.difficult:,}")
    if any(s.masks for s in splits):
        yield "masks", lambda s: "-" if s.boxes_withheld else _percent(s.masks)
    if any(s.segments for s in splits):
        yield "segments", lambda s: "-" if s.boxes_withheld else _percent(s.segments)
    if not any(b.count for b in known):
        return
    yield boxes("box area", lambda b: _percentiles(b.areas, lambda v: f"{100 * v:.3g} %"))
    for place, name in enumerate(_bins(AREA_EDGES, lambda v: f"{100 * v:g}", " %")):
        yield boxes(f"  {name}", partial(_area_bar, place))
    yield boxes("width / height", lambda b: _percentiles(b.ratios, lambda v: f"{v:.2f}"))
    for place, name in enumerate(_bins(RATIO_EDGES, lambda v: f"{v:g}", "")):
        yield boxes(f"  {name}", partial(_ratio_bar, place))


def _notes(splits: Sequence[SplitStatistics]) -> Iterator[str]:
    for found in splits:
        if found.boxes_withheld:
            yield f"{found.loader}: {WITHHELD}."
        elif found.boxes is None:
            yield f"{found.loader}: the data set has no boxes in this split."
        for what, count in _samples(found).items():
            yield f"{found.loader}: {what}: of a random sample of {count:,} images."
    yield "Ranges: smallest, median, largest; of boxes the 5th, 50th and 95th percentile."


def _samples(found: SplitStatistics) -> dict[str, int]:
    """What was not looked up for all images, and for how many it was."""
    looked_at = {"classes, labels": found.labelled, "sizes": found.sized}
    if found.boxes is not None:
        looked_at |= {
            "numbers of boxes": found.boxes.counted,
            "box areas and shapes": found.boxes.measured,
        }
    parts: dict[int, list[str]] = {}
    for what, count in looked_at.items():
        if count != found.images:
            parts.setdefault(count, []).append(what)
    return {", ".join(names): count for count, names in parts.items()}


def _range(values: Range) -> str:
    if values[0] != values[0]:
        return "-"
    low, middle, high = (f"{value:,.10g}" for value in values)
    return low if low == high else f"{low} .. {middle} .. {high}"


def _named(classes: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in classes)


def _missing(found: SplitStatistics) -> str:
    names = found.balance.missing
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,}: {', '.join(names[:NAMED])}{more}" if names else "0"


def _inputs(found: SplitStatistics) -> str:
    """Sizes that the pipeline makes, width x height."""
    sides = [f"{width} x {height}" for height, width in (found.inputs[:1] + found.inputs[-1:])]
    if not sides:
        return "-"
    if len(found.inputs) == 1:
        return sides[0]
    return f"{len(found.inputs)} sizes, {sides[0]} .. {sides[1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} % of the images"


def _percentiles(values: Spread, text: Callable[[float], str]) -> str:
    return (
        " .. ".join(text(values.percentiles[p]) for p in (5, 50, 95)) if values.percentiles else "-"
    )


def _bins(edges: Sequence[float], text: Callable[[float], str], unit: str) -> list[str]:
    inner = [f"{text(low)} - {text(high)}{unit}" for low, high in pairwise(edges)]
    return [f"below {text(edges[0])}{unit}", *inner, f"from {text(edges[-1])}{unit}"]


def _area_bar(place: int, boxes: BoxStatistics) -> str:
    return _bar(boxes.areas.shares[place])


def _ratio_bar(place: int, boxes: BoxStatistics) -> str:
    return _bar(boxes.ratios.shares[place])


def _bar(share: float) -> str:
    return f"{100 * share:5.1f} % {'█' * round(BAR * share)}".rstrip()
