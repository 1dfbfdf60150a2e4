"""From per-image results to metrics, each with its protocol, threshold source and interval.

Names. All values are percent; an image counts as localised at IoU >= 0.5 unless the name says
otherwise.

- ``Top-1 Cls``, ``Top-5 Cls``: the label is the highest, or among the five highest, scores. Without
  class scores these are absent, and so are Top-1 and Top-5 Loc.
- ``GT-known Loc``: the one box of the true class's map fits.
- ``Top-1 Loc``, ``Top-5 Loc``: and the class is right. Top-1 Loc is defined on the predicted
  class's map; where the class is right, that is the true class's map, so one map answers for both.
- ``mean IoU``: of that one box. ``mean IoU (part box)``: with the discriminative part instead of
  the object, at the fixed threshold; a method that finds heads scores high here.
- ``MaxBoxAcc``: GT-known Loc at the best threshold on test.
- ``MaxBoxAccV2@d``: any of the map's boxes reaches IoU d, at the best threshold on test for that d;
  ``MaxBoxAccV2`` is the mean over d = 0.3, 0.5, 0.7.
- PxAP, PIoU, mIoU, mLEV where images have masks: :mod:`wsoltool.evaluation.pixel_rows`.

Threshold sources. ``fixed``: the box extractor's own box. ``fullsup``: the threshold that does best
on the results of train-fullsup. ``test-oracle``: the one that does best on the very images that
are scored. One threshold, the best for GT-known Loc, serves Top-1 and Top-5 Loc too; mean IoU and
each part of MaxBoxAccV2 have their own. Of equally good thresholds the lowest is taken.

Intervals: 95 %, percentile bootstrap over images. Under ``test-oracle`` the threshold is chosen
anew in every resample; under ``fullsup`` it stays as chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.controls import control_curves
from wsoltool.evaluation.estimates import (
    IOUS,
    Correct,
    Estimate,
    any_box_estimates,
    mean_of,
    one_box_estimates,
)
from wsoltool.evaluation.pixel_rows import PIOU, pixel_figures
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.results import TOP, BoxCurves, LocalizationResults
from wsoltool.functional.bootstrap import Bootstrap

FIXED, FULLSUP, ORACLE = "fixed", "fullsup", "test-oracle"
ALL, SMALL = "all", "small"
SMALL_SHARE = 0.5
"""Objects whose largest box covers less than this share of the image are ``small``."""
PART_IOU = "mean IoU (part box)"
CLASS_METRICS = ("Top-1 Cls", "Top-5 Cls")
BOX_METRICS = ("GT-known Loc", "Top-1 Loc", "Top-5 Loc", "mean IoU")
"""Of the image's one box; at the fixed threshold unless the key names another."""
DEFINED_ON_TEST = ("MaxBoxAcc", "MaxBoxAccV2", *(f"MaxBoxAccV2@{iou}" for iou in IOUS), PIOU)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one table.

    Attributes:
        name: See the module's list.
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


@dataclass(slots=True)
class Summary:
    """All rows of an evaluation.

    Attributes:
        rows: One a figure.
        protocols: The first is the primary one.
        images: How many were scored.
        fixed_threshold: Of the box extractor, if it has one.
        resamples: Of the bootstrap.
    """

    rows: list[Row]
    protocols: tuple[str, ...]
    images: int
    fixed_threshold: float | None = None
    resamples: int = 0

    def metrics(self) -> dict[str, float]:
        """Percent by :attr:`Row.key`: class scores, part boxes and the primary protocol."""
        primary = (None, self.protocols[0])
        kept = [row for row in self.rows if row.protocol in primary or row.name == PART_IOU]
        return {row.key: row.estimate.value for row in kept}


@dataclass(slots=True)
class _Boxes:
    """Curves of the model or of a control, and those that its threshold is chosen on, by source."""

    curves: BoxCurves
    references: dict[str, BoxCurves]


def summarize(
    results: LocalizationResults,
    fullsup: LocalizationResults | None = None,
    fixed_threshold: float | None = None,
    resamples: int = 1000,
) -> Summary:
    """Every metric of every protocol, for all images and for those with small objects.

    Args:
        results: The scored split.
        fullsup: The results of train-fullsup, to choose thresholds on.
        fixed_threshold: The box extractor's threshold, shown in the table and used for the
            Gaussian control; None if it has none.
        resamples: Of the bootstrap; 0 for no intervals.

    Raises:
        EvaluationError: ``fullsup`` shares images with ``results`` or lacks a protocol.
    """
    if fullsup is not None:
        _check_fullsup(results, fullsup)
    subsets = {ALL: np.ones(len(results), dtype=bool)}
    small = results.area_shares() < SMALL_SHARE
    if small.any() and not small.all():
        subsets[SMALL] = small
    draws = {name: _draws(int(mask.sum()), resamples) for name, mask in subsets.items()}
    rows = [
        row
        for name, mask in subsets.items()
        for row in _class_rows(results.select(mask), draws[name], name, resamples)
    ]
    for protocol in results.curves:
        boxes = _all_boxes(protocol, results, fullsup, fixed_threshold)
        for name, mask in subsets.items():
            correct = _correct(results.select(mask))
            parts = {who: _select(box, mask) for who, box in boxes.items()}
            rows += _box_rows(protocol, parts, correct, draws[name], name, fixed_threshold)
            own = results.select(mask)
            rows += _pixel_rows(protocol, own, fullsup, draws[name], name, fixed_threshold)
    return Summary(rows, tuple(results.curves), len(results), fixed_threshold, resamples)


def _draws(images: int, resamples: int) -> Bootstrap | None:
    return Bootstrap(images, resamples) if resamples else None


def _correct(results: LocalizationResults) -> Correct:
    """Of each image, as far as class scores tell: nothing without, Top-5 with five classes each."""
    if results.top is None:
        return {}
    right = results.top == results.labels[:, None]
    correct = {"Top-1": right[:, 0]}
    return correct | {"Top-5": right.any(axis=1)} if right.shape[1] >= TOP else correct


def _class_rows(
    results: LocalizationResults, draws: Bootstrap | None, subset: str, resamples: int
) -> list[Row]:
    """Class scores, and the part boxes, which need no protocol but the boxes themselves."""
    rows = [
        Row(
            f"{name} Cls",
            mean_of(right, draws),
            len(right),
            subset=subset,
        )
        for name, right in _correct(results).items()
    ]
    part_iou = results.part_iou[~np.isnan(results.part_iou)]
    if len(part_iou):
        figure = mean_of(part_iou, _draws(len(part_iou), resamples))
        rows.append(Row(PART_IOU, figure, len(part_iou), "tight", FIXED, subset))
    return rows


def _all_boxes(
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    fixed_threshold: float | None,
) -> dict[str, _Boxes]:
    """The model's boxes under ``model`` and every control's."""

    def curves(of: LocalizationResults) -> dict[str, BoxCurves]:
        controls = control_curves(get_protocol(protocol), of, fixed_threshold)
        return {"model": of.curves[protocol], **controls}

    scored = curves(results)
    chosen_on = curves(fullsup) if fullsup is not None else {}
    return {
        who: _Boxes(scored[who], {FULLSUP: chosen_on[who]} if chosen_on else {}) for who in scored
    }


def _select(boxes: _Boxes, mask: np.ndarray) -> _Boxes:
    """The scored images at ``mask``; the oracle sees these alone, train-fullsup stays whole."""
    curves = boxes.curves.select(mask)
    return _Boxes(curves, {**boxes.references, ORACLE: curves})


def _box_rows(
    protocol: str,
    boxes: dict[str, _Boxes],
    correct: Correct,
    draws: Bootstrap | None,
    subset: str,
    fixed_threshold: float | None,
) -> list[Row]:
    rows = []
    for source in (FIXED, *boxes["model"].references):
        figures = {
            who: _estimates(box, source, correct, draws if who == "model" else None)
            for who, box in boxes.items()
        }
        for name, figure in figures.pop("model").items():
            if source == FIXED and fixed_threshold is not None:
                figure = replace(figure, thresholds=(fixed_threshold,))
            beside = {who: own[name].value for who, own in figures.items() if name in own}
            images = len(boxes["model"].curves.largest)
            rows.append(Row(name, figure, images, protocol, source, subset, beside))
    return rows


def _estimates(
    boxes: _Boxes, source: str, correct: Correct, draws: Bootstrap | None
) -> dict[str, Estimate]:
    if source == FIXED:
        if boxes.curves.fixed is None:
            return {}
        return one_box_estimates(boxes.curves, None, correct, draws)
    reference = boxes.references[source]
    figures = one_box_estimates(boxes.curves, reference, correct, draws)
    if source == ORACLE:
        figures["MaxBoxAcc"] = figures["GT-known Loc"]
    return {**figures, **any_box_estimates(boxes.curves, reference, draws)}


def _check_fullsup(results: LocalizationResults, fullsup: LocalizationResults) -> None:
    shared = np.intersect1d(results.image_ids, fullsup.image_ids)
    if len(shared):
        raise EvaluationError(
            f"{len(shared)} images are in the scored split and in train-fullsup",
            at=str(shared[0]),
            expected="thresholds chosen on images that are not scored",
            hint="results of the test split were given as fullsup",
        )
    for name, curves in results.curves.items():
        other = fullsup.curves.get(name)
        if other is None or not np.array_equal(other.thresholds, curves.thresholds):
            raise EvaluationError(
                f"the train-fullsup results have no sweep for protocol {name!r}",
                expected="the same protocols and thresholds as the scored split",
                known=fullsup.curves,
                hint="evaluate train-fullsup again with the same metric settings",
            )


def _pixel_rows(
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    draws: Bootstrap | None,
    subset: str,
    fixed_threshold: float | None,
) -> list[Row]:
    """Figures of pixels, where images have masks; ``results`` are those of the subset."""
    sources: dict[str, LocalizationResults | None] = {FIXED: None}
    if fullsup is not None:
        sources[FULLSUP] = fullsup
    figures = pixel_figures(protocol, results, {**sources, ORACLE: results}, fixed_threshold, draws)
    return [
        Row(f.name, f.estimate, len(results), protocol, f.source, subset, f.controls)
        for f in figures
    ]
