"""What every table must satisfy whatever was evaluated; a violation is an error of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.chosen_thresholds import EDGES as THRESHOLD_EDGES
from wsoltool.evaluation.chosen_thresholds import ChosenThresholds
from wsoltool.evaluation.histograms import EDGES, Histogram
from wsoltool.evaluation.pixel_curves import MIOU, MIOU_BACKGROUND, PIOU
from wsoltool.evaluation.rows import (
    ALL,
    BOX_METRICS,
    FIXED,
    FULLSUP,
    IMAGE_ORACLE,
    LARGEST_PARTS,
    ORACLE,
    V2,
    V2_COMMON,
    V2_COMMON_PARTS,
    V2_PARTS,
    Row,
    Summary,
)

SLACK = 1e-6
"""Percent; the order of floating-point sums may differ between two rows."""
TOPS = ("Top-1", "Top-5")
CHOSEN_FOR_THEMSELVES = (
    "GT-known Loc",
    "mean IoU",
    "MaxBoxAcc",
    *LARGEST_PARTS,
    V2,
    *V2_PARTS,
    V2_COMMON,
)
"""Their test-oracle threshold is the best for the figure itself: no other gives more."""
PIXELS_CHOSEN = (PIOU, MIOU, MIOU_BACKGROUND)
"""Likewise, but at a fixed threshold pixels are compared in another way than in the sweep."""

Figures = dict[str, float]


def check_summary(summary: Summary) -> None:
    """Check the model's and the controls' figures against each other.

    For rows of one protocol, threshold source and subset:

    - ``cls + GT-known - 100 <= Top-k Loc <= min(cls, GT-known)``: both must be right at once;
      Top-1 never exceeds Top-5;
    - MaxBoxAccV2 is the mean of its parts, with a common threshold too;
    - box accuracy does not rise with IoU, where all IoUs have one threshold or each has the best
      on the scored images. (Thresholds chosen elsewhere may suit IoU 0.5 better than 0.3.)

    Under test-oracle:

    - one common threshold does not beat the best threshold of each IoU;
    - the largest region's box does not beat any region's;
    - a figure is not below the same at a threshold from train-fullsup; nor below the fixed one
      where the fixed boxes are among the sweep's. (They need not be: wsolevaluation scores them
      scaled into its frame, and an extractor may find boxes that no threshold gives.)

    Under image-oracle no figure is below the same at a threshold that all images share: under
    test-oracle, from train-fullsup, or fixed, where the fixed boxes are among the sweep's.

    Of chosen thresholds: there is one for each image, or no box; an image without a box is not
    localised by the fixed box; their mean lies within their bins.

    Of each histogram: its images are the table's, its bins from 0.5 up are GT-known Loc, its mean
    lies within its bins and is not above the mean IoU at the best threshold.

    Raises:
        EvaluationError: The table contradicts itself.
    """
    for where, source, figures in _tables(summary.rows):
        _check_classes(where, figures)
        _check_accuracies(where, figures, oracle=source == ORACLE)
    for where, figures, best in _pairs(summary, ORACLE, (FULLSUP,)):
        for name in (*CHOSEN_FOR_THEMSELVES, *PIXELS_CHOSEN):
            _check_not_above(where, name, figures, f"{name} under {ORACLE}", best.get(name))
    for where, figures, best in _pairs(summary, IMAGE_ORACLE, (FULLSUP, ORACLE)):
        for name in BOX_METRICS:
            _check_not_above(where, name, figures, f"{name} under {IMAGE_ORACLE}", best.get(name))
    if summary.chosen is not None:
        _check_chosen(summary.chosen, summary)
    for histogram in summary.histograms:
        _check_histogram(histogram, summary.rows)


def _tables(rows: list[Row]) -> Iterator[tuple[str, str | None, Figures]]:
    """Figures by metric for each protocol, source and subset, of the model and each control."""
    for protocol, source, subset in dict.fromkeys(map(_key, rows)):
        classes = _figures(rows, None, None, subset)
        if protocol is None:
            yield subset, source, classes
            continue
        where = f"{protocol}, {source}, {subset}"
        yield where, source, classes | _figures(rows, protocol, source, subset)
        group = [row for row in rows if _key(row) == (protocol, source, subset)]
        for control in dict.fromkeys(name for row in group for name in row.controls):
            own = {row.name: row.controls[control] for row in group if control in row.controls}
            yield f"{where}, {control}", source, classes | own


def _pairs(
    summary: Summary, oracle: str, others: Sequence[str]
) -> Iterator[tuple[str, Figures, Figures]]:
    """Figures that the oracle's, beside them, cannot be below; fixed ones where they are swept."""
    rows = summary.rows
    for protocol, subset in dict.fromkeys((row.protocol, row.subset) for row in rows):
        sources = [*others, *([FIXED] if protocol in summary.swept else [])]
        best = _figures(rows, protocol, oracle, subset)
        for source in sources if best else []:
            own = _figures(rows, protocol, source, subset)
            if source == FIXED:
                own = {name: value for name, value in own.items() if name not in PIXELS_CHOSEN}
            yield f"{protocol}, {source}, {subset}", own, best


def _figures(rows: list[Row], protocol: str | None, source: str | None, subset: str) -> Figures:
    key = (protocol, source, subset)
    return {row.name: row.estimate.value for row in rows if _key(row) == key}


def _key(row: Row) -> tuple[str | None, str | None, str]:
    return row.protocol, row.source, row.subset


def _check_classes(where: str, figures: Figures) -> None:
    for top in TOPS:
        if f"{top} Loc" in figures and f"{top} Cls" in figures:
            _check_both_right(where, top, figures)
    for what in ("Cls", "Loc"):
        _check_not_above(where, f"Top-1 {what}", figures, f"Top-5 {what}")


def _check_accuracies(where: str, figures: Figures, oracle: bool) -> None:
    for mean, parts in ((V2, V2_PARTS), (V2_COMMON, V2_COMMON_PARTS)):
        if mean in figures:
            _check_mean(where, mean, parts, figures)
    _check_falling(where, V2_COMMON_PARTS, figures)
    if oracle:
        _check_falling(where, V2_PARTS, figures)
        _check_falling(where, LARGEST_PARTS, figures)
        lower = (V2_COMMON, *V2_COMMON_PARTS, *LARGEST_PARTS)
        for name, most in zip(lower, (V2, *V2_PARTS, *V2_PARTS), strict=True):
            _check_not_above(where, name, figures, most)


def _check_both_right(where: str, top: str, figures: Figures) -> None:
    both, cls, known = figures[f"{top} Loc"], figures[f"{top} Cls"], figures["GT-known Loc"]
    if not cls + known - 100 - SLACK <= both <= min(cls, known) + SLACK:
        raise contradiction(
            f"{top} Loc {both:.3f} does not fit {top} Cls {cls:.3f} and GT-known Loc {known:.3f}",
            where,
            f"{top} Cls + GT-known Loc - 100 <= {top} Loc <= min({top} Cls, GT-known Loc)",
        )


def _check_mean(where: str, name: str, part_names: Sequence[str], figures: Figures) -> None:
    parts = [figures[part] for part in part_names]
    if abs(figures[name] - sum(parts) / len(parts)) > SLACK:
        raise contradiction(
            f"{name} {figures[name]:.3f} is not the mean of its parts ({_shown(parts)})",
            where,
            "the mean over IoU 0.3, 0.5 and 0.7",
        )


def _check_falling(where: str, names: Sequence[str], figures: Figures) -> None:
    values = [figures[name] for name in names if name in figures]
    if any(later > earlier + SLACK for earlier, later in pairwise(values)):
        raise contradiction(
            f"box accuracy rises with IoU: {names[0]} and on ({_shown(values)})",
            where,
            "accuracy at 0.3 >= at 0.5 >= at 0.7",
        )


def _check_not_above(
    where: str, name: str, figures: Figures, most: str, limit: float | None = None
) -> None:
    """``name`` may not exceed ``limit``, by default the figure called ``most``."""
    limit = figures.get(most) if limit is None else limit
    if name in figures and limit is not None and figures[name] > limit + SLACK:
        raise contradiction(
            f"{name} {figures[name]:.3f} is above {most} {limit:.3f}", where, f"{name} <= {most}"
        )


def _check_chosen(chosen: ChosenThresholds, summary: Summary) -> None:
    where = "chosen thresholds"
    if chosen.images != summary.images:
        raise contradiction(
            f"chosen thresholds of {chosen.images} images", where, f"the table's {summary.images}"
        )
    if chosen.mean is not None:
        _check_within(where, "mean threshold", 100.0 * chosen.mean, chosen.counts, THRESHOLD_EDGES)
    with_box = 100.0 * sum(chosen.counts) / chosen.images
    for protocol in summary.protocols:
        own = _figures(summary.rows, protocol, FIXED, ALL)
        _check_not_above(
            f"{protocol}, {FIXED}", "GT-known Loc", own, "the share of images with a box", with_box
        )


def _check_histogram(histogram: Histogram, rows: list[Row]) -> None:
    key = (histogram.protocol, histogram.source, histogram.subset)
    where = ", ".join((*key, "histogram"))
    figures = _figures(rows, *key)
    images = {row.images for row in rows if _key(row) == key and row.name == "GT-known Loc"}
    if images - {sum(histogram.counts)}:
        raise contradiction(
            f"a histogram of {sum(histogram.counts)} images", where, f"the table's {max(images)}"
        )
    _check_within(where, "mean IoU", histogram.mean_iou, histogram.counts, EDGES)
    reached = histogram.box_recall[0.5]
    if abs(figures.get("GT-known Loc", reached) - reached) > SLACK:
        raise contradiction(
            f"GT-known Loc {figures['GT-known Loc']:.3f} is not the histogram's {reached:.3f}",
            where,
            "the images whose box reaches IoU 0.5",
        )
    if histogram.source in (FIXED, ORACLE):
        own = {"mean IoU of the histogram": histogram.mean_iou}
        limit = figures.get("mean IoU")
        _check_not_above(where, "mean IoU of the histogram", own, "mean IoU", limit)


def _check_within(
    where: str, name: str, mean: float, counts: Sequence[int], edges: Sequence[float]
) -> None:
    """A mean, in percent, lies where the images' bins allow it."""
    exact = np.array(edges, np.float32).astype(np.float64)  # as the images were counted
    low, high = (100.0 * np.average(side, weights=counts) for side in (exact[:-1], exact[1:]))
    if not low - SLACK <= mean <= high + SLACK:
        raise contradiction(
            f"{name} {mean:.3f} lies outside its histogram's bins",
            where,
            f"from {low:.3f} to {high:.3f}",
        )


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def contradiction(what: str, where: str, expected: str) -> EvaluationError:
    """A table that contradicts itself, whoever's model it shows."""
    return EvaluationError(
        what,
        at=where,
        expected=expected,
        hint="this is an error in wsoltool, not in your model: please report it",
    )
