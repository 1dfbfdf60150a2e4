"""What an evaluation found: figures by metric, protocol, threshold source and subset."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsoltool.evaluation.chosen_thresholds import ChosenThresholds
from wsoltool.evaluation.estimates import COMMON, IOUS, V2, Estimate
from wsoltool.evaluation.histograms import Histogram
from wsoltool.evaluation.pixel_curves import PIOU
from wsoltool.functional.bootstrap import interval

FIXED, FULLSUP, ORACLE = "fixed", "fullsup", "test-oracle"
SOURCES = (FIXED, FULLSUP, ORACLE)
"""Of thresholds that a method may have, or one for all images: columns of the table."""
IMAGE_ORACLE = "image-oracle"
"""The best threshold for every image by itself, chosen on its true boxes: a bound, no method."""
ALL, SMALL = "all", "small"
PART_IOU = "mean IoU (part box)"
CLASS_METRICS = ("Top-1 Cls", "Top-5 Cls")
BOX_METRICS = ("GT-known Loc", "Top-1 Loc", "Top-5 Loc", "mean IoU")
"""Of the image's one box; at the fixed threshold unless the key names another."""
LARGEST_PARTS = tuple(f"MaxBoxAcc@{iou}" for iou in IOUS)
V2_PARTS = tuple(f"{V2}@{iou}" for iou in IOUS)
V2_COMMON = f"{V2} {COMMON}"
V2_COMMON_PARTS = tuple(f"{part} {COMMON}" for part in V2_PARTS)
DEFINED_ON_TEST = (
    "MaxBoxAcc",
    *LARGEST_PARTS,
    V2,
    *V2_PARTS,
    V2_COMMON,
    *V2_COMMON_PARTS,
    PIOU,
)
"""Under test-oracle unless the key names another source."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one table.

    Attributes:
        name: See the list of :mod:`wsoltool.evaluation.summary`.
        estimate: The model's figure.
        images: How many it was taken over.
        protocol: None for class scores.
        source: Threshold source; None for class scores and PxAP.
        subset: ``all`` or ``small``.
        controls: Control name -> its figure in percent, where it has one.
    """

    name: str
    estimate: Estimate
    images: int
    protocol: str | None = None
    source: str | None = None
    subset: str = ALL
    controls: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name, with the threshold source where it is not the usual one, and the subset."""
        usual = ORACLE if self.name in DEFINED_ON_TEST else FIXED
        notes = [self.source] if self.source not in (None, usual) else []
        notes += [self.subset] if self.subset != ALL else []
        return f"{self.name} ({', '.join(notes)})" if notes else self.name


@dataclass(frozen=True, slots=True)
class Gap:
    """What choosing the threshold on the scored images themselves adds to a figure.

    Attributes:
        name: The metric.
        protocol: Of both figures.
        source: Of the figure that test-oracle is compared with.
        subset: ``all`` or ``small``.
        value: The test-oracle figure minus the other, in percent.
        interval: 95 %, over the same resamples of the images; None without bootstrap.
    """

    name: str
    protocol: str
    source: str
    subset: str
    value: float
    interval: tuple[float, float] | None


@dataclass(slots=True)
class Summary:
    """All that an evaluation found.

    Attributes:
        rows: One a figure.
        protocols: The first is the primary one.
        images: How many were scored.
        fixed_threshold: Of the box extractor, if it has one.
        resamples: Of the bootstrap.
        histograms: Of the one box's IoU, one for each protocol, source and subset.
        swept: Protocols under which the fixed boxes are those of the sweep at
            ``fixed_threshold``, image by image: there the best threshold cannot do worse.
        chosen: Thresholds that the box extractor chose for each image; None if it chooses none.
    """

    rows: list[Row]
    protocols: tuple[str, ...]
    images: int
    fixed_threshold: float | None = None
    resamples: int = 0
    histograms: list[Histogram] = field(default_factory=list)
    swept: tuple[str, ...] = ()
    chosen: ChosenThresholds | None = None

    def metrics(self) -> dict[str, float]:
        """Percent by :attr:`Row.key`: class scores, part boxes and the primary protocol."""
        primary = (None, self.protocols[0])
        kept = [row for row in self.rows if row.protocol in primary or row.name == PART_IOU]
        return {row.key: row.estimate.value for row in kept}

    def gaps(self) -> list[Gap]:
        """test-oracle minus each other of :data:`SOURCES`, for every metric that has both."""
        best = {(r.name, r.protocol, r.subset): r for r in self.rows if r.source == ORACLE}
        found = []
        for row in self.rows:
            oracle = best.get((row.name, row.protocol, row.subset))
            if oracle is not None and row.source in (FIXED, FULLSUP):
                found.append(_gap(oracle, row))
        return found


def _gap(oracle: Row, row: Row) -> Gap:
    best, own = oracle.estimate, row.estimate
    paired = None
    if best.resampled is not None and own.resampled is not None:
        paired = interval(best.resampled - own.resampled)
    return Gap(
        name=row.name,
        protocol=str(row.protocol),
        source=str(row.source),
        subset=row.subset,
        value=best.value - own.value,
        interval=paired,
    )
