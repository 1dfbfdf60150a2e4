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
- ``MaxBoxAcc@d``: the one box reaches IoU d, at the best threshold on test for that d;
  ``MaxBoxAcc`` is the one at 0.5, so GT-known Loc at the best threshold on test.
- ``MaxBoxAccV2@d``: any of the map's boxes reaches IoU d, at the best threshold on test for that d;
  ``MaxBoxAccV2`` is the mean over d = 0.3, 0.5, 0.7. ``MaxBoxAccV2 (common threshold)`` and its
  parts: at the one threshold that is best for that mean.
- PxAP, PIoU, mIoU, mLEV where images have masks: :mod:`wsoltool.evaluation.pixel_rows`.

Threshold sources. ``fixed``: the box extractor's own box. ``fullsup``: the threshold that does best
on the results of train-fullsup. ``test-oracle``: the one that does best on the very images that
are scored. One threshold, the best for GT-known Loc, serves Top-1 and Top-5 Loc too; mean IoU and
each part of MaxBoxAcc and MaxBoxAccV2 have their own. Of equally good thresholds the lowest is
taken.

Intervals: 95 %, percentile bootstrap over images. Under ``test-oracle`` the threshold is chosen
anew in every resample; under ``fullsup`` it stays as chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.controls import control_curves
from wsoltool.evaluation.estimates import (
    Correct,
    Estimate,
    any_box_estimates,
    largest_box_estimates,
    mean_of,
    one_box_estimates,
)
from wsoltool.evaluation.histograms import Histogram, histogram, one_box_iou
from wsoltool.evaluation.pixel_rows import pixel_figures
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.results import TOP, BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import ALL, FIXED, FULLSUP, ORACLE, PART_IOU, SMALL, Row, Summary
from wsoltool.functional.bootstrap import Bootstrap

SMALL_SHARE = 0.5
"""Objects whose largest box covers less than this share of the image are ``small``."""


@dataclass(slots=True)
class _Boxes:
    """Curves of the model or of a control, and those that its threshold is chosen on, by source."""

    curves: BoxCurves
    references: dict[str, BoxCurves]


@dataclass(slots=True)
class _Subset:
    """Some of the scored images, and their resamples.

    Attributes:
        name: ``all`` or ``small``.
        kept: ``(N,)`` bool, or a slice of all.
        images: How many are kept.
        correct: Of the kept images.
        draws: Likewise; None for no intervals.
    """

    name: str
    kept: np.ndarray | slice
    images: int
    correct: Correct
    draws: Bootstrap | None


@dataclass(frozen=True, slots=True)
class _Options:
    fixed_threshold: float | None
    resamples: int
    seed: int
    controls: bool

    def draws(self, images: int) -> Bootstrap | None:
        return Bootstrap(images, self.resamples, self.seed) if self.resamples else None


def summarize(
    results: LocalizationResults,
    fullsup: LocalizationResults | None = None,
    fixed_threshold: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
    controls: bool = True,
) -> Summary:
    """Every metric of every protocol, for all images and for those with small objects.

    Args:
        results: The scored split.
        fullsup: The results of train-fullsup, to choose thresholds on.
        fixed_threshold: The box extractor's threshold, shown in the table and used for the
            Gaussian control; None if it has none.
        resamples: Of the bootstrap; 0 for no intervals.
        seed: Of the bootstrap. Results of the same images in the same order have the same
            resamples.
        controls: Whether to score the answers that look at no pixel.

    Raises:
        EvaluationError: ``fullsup`` shares images with ``results`` or lacks a protocol.
    """
    if fullsup is not None:
        _check_fullsup(results, fullsup)
    options = _Options(fixed_threshold, resamples, seed, controls)
    found = Summary([], tuple(results.curves), len(results), fixed_threshold, resamples)
    subsets = _subsets(results, options)
    for subset in subsets:
        found.rows += _class_rows(results, subset, options)
    for protocol, curves in results.curves.items():
        boxes = _all_boxes(protocol, results, fullsup, options)
        for subset in subsets:
            parts = {who: _select(box, subset.kept) for who, box in boxes.items()}
            found.rows += _box_rows(protocol, parts, subset, fixed_threshold)
            found.rows += _pixel_rows(protocol, results, fullsup, subset, fixed_threshold)
            found.histograms += _histograms(protocol, parts["model"], subset.name)
        if _is_swept(curves, fixed_threshold):
            found.swept += (protocol,)
    return found


def _subsets(results: LocalizationResults, options: _Options) -> list[_Subset]:
    """All images, and those with small objects if there are others too."""
    small = results.area_shares() < SMALL_SHARE
    kept: dict[str, np.ndarray | slice] = {ALL: slice(None)}
    if small.any() and not small.all():
        kept[SMALL] = small
    correct = _correct(results)
    subsets = []
    for name, index in kept.items():
        own = {top: right[index] for top, right in correct.items()}
        images = len(results.labels[index])
        subsets.append(_Subset(name, index, images, own, options.draws(images)))
    return subsets


def _correct(results: LocalizationResults) -> Correct:
    """Of each image, as far as class scores tell: nothing without, Top-5 with five classes each."""
    if results.top is None:
        return {}
    right = results.top == results.labels[:, None]
    correct = {"Top-1": right[:, 0]}
    return correct | {"Top-5": right.any(axis=1)} if right.shape[1] >= TOP else correct


def _class_rows(results: LocalizationResults, subset: _Subset, options: _Options) -> list[Row]:
    """Class scores, and the part boxes, which need no protocol but the boxes themselves."""
    rows = [
        Row(f"{name} Cls", mean_of(right, subset.draws), subset.images, subset=subset.name)
        for name, right in subset.correct.items()
    ]
    part_iou = results.part_iou[subset.kept]
    part_iou = part_iou[~np.isnan(part_iou)]
    if len(part_iou):
        figure = mean_of(part_iou, options.draws(len(part_iou)))
        rows.append(Row(PART_IOU, figure, len(part_iou), "tight", FIXED, subset.name))
    return rows


def _all_boxes(
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    options: _Options,
) -> dict[str, _Boxes]:
    """The model's boxes under ``model`` and every control's."""

    def curves(of: LocalizationResults) -> dict[str, BoxCurves]:
        found = {"model": of.curves[protocol]}
        if options.controls:
            found |= control_curves(get_protocol(protocol), of, options.fixed_threshold)
        return found

    scored = curves(results)
    chosen_on = curves(fullsup) if fullsup is not None else {}
    return {
        who: _Boxes(scored[who], {FULLSUP: chosen_on[who]} if chosen_on else {}) for who in scored
    }


def _select(boxes: _Boxes, kept: np.ndarray | slice) -> _Boxes:
    """The scored images at ``kept``; the oracle sees these alone, train-fullsup stays whole."""
    curves = boxes.curves.select(kept)
    return _Boxes(curves, {**boxes.references, ORACLE: curves})


def _box_rows(
    protocol: str, boxes: dict[str, _Boxes], subset: _Subset, fixed_threshold: float | None
) -> list[Row]:
    rows = []
    for source in (FIXED, *boxes["model"].references):
        figures = {
            who: _estimates(box, source, subset.correct, subset.draws if who == "model" else None)
            for who, box in boxes.items()
        }
        for name, figure in figures.pop("model").items():
            if source == FIXED and fixed_threshold is not None:
                figure = replace(figure, thresholds=(fixed_threshold,))
            beside = {who: own[name].value for who, own in figures.items() if name in own}
            rows.append(Row(name, figure, subset.images, protocol, source, subset.name, beside))
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
    known = figures["GT-known Loc"]
    return {
        **figures,
        **largest_box_estimates(boxes.curves, reference, known, draws),
        **any_box_estimates(boxes.curves, reference, draws),
    }


def _histograms(protocol: str, boxes: _Boxes, subset: str) -> list[Histogram]:
    sources: dict[str, BoxCurves | None] = dict(boxes.references)
    if boxes.curves.fixed is not None:
        sources = {FIXED: None, **sources}
    return [
        histogram(protocol, source, subset, one_box_iou(boxes.curves, reference))
        for source, reference in sources.items()
    ]


def _is_swept(curves: BoxCurves, fixed_threshold: float | None) -> bool:
    """Whether the fixed boxes are those of the sweep, so that they are one of its answers."""
    if curves.fixed is None or fixed_threshold is None:
        return False
    columns = np.flatnonzero(np.isclose(curves.thresholds, fixed_threshold, rtol=0, atol=1e-9))
    return any(np.array_equal(curves.fixed, curves.largest[:, column]) for column in columns)


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
    subset: _Subset,
    fixed_threshold: float | None,
) -> list[Row]:
    """Figures of pixels, where images have masks."""
    if results.pixels is None:
        return []
    own = results if subset.name == ALL else results.select(subset.kept)
    sources: dict[str, LocalizationResults | None] = {FIXED: None}
    if fullsup is not None:
        sources[FULLSUP] = fullsup
    sources[ORACLE] = own
    figures = pixel_figures(protocol, own, sources, fixed_threshold, subset.draws)
    return [
        Row(f.name, f.estimate, subset.images, protocol, f.source, subset.name, f.controls)
        for f in figures
    ]
