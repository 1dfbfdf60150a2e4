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

Threshold sources. ``fixed``: the box extractor's own box, cut at its one threshold, or at one that
it chose for the image without true boxes. ``fullsup``: the threshold that does best on the results
of train-fullsup. ``test-oracle``: the one that does best on the very images that are scored. One
threshold, the best for GT-known Loc, serves Top-1 and Top-5 Loc too; mean IoU and each part of
MaxBoxAcc and MaxBoxAccV2 have their own. Of equally good thresholds the lowest is taken.

``image-oracle``, of the one box alone (GT-known Loc, Top-1 and Top-5 Loc, mean IoU): for every
image the threshold that does best on it, chosen on its own true boxes. No rule that chooses a
threshold for each image can exceed it, whatever it looks at, as long as its boxes are the sweep's;
a box of another kind can. It is a bound, no method. Beside it stand the controls, chosen likewise.

Intervals: 95 %, percentile bootstrap over images. Under ``test-oracle`` the threshold is chosen
anew in every resample; under ``fullsup`` it stays as chosen.
"""

from __future__ import annotations

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.box_rows import (
    box_rows,
    control_answers,
    histograms,
    is_swept,
    model_answer,
)
from wsoltool.evaluation.chosen_thresholds import chosen_thresholds
from wsoltool.evaluation.estimates import mean_of
from wsoltool.evaluation.pixel_rows import pixel_figures
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.evaluation.rows import ALL, FIXED, FULLSUP, ORACLE, PART_IOU, Row, Summary
from wsoltool.evaluation.subsets import Resampling, Subset, subsets


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
    found = Summary([], tuple(results.curves), len(results), fixed_threshold, resamples)
    if results.chosen_thresholds is not None:
        found.chosen = chosen_thresholds(results.chosen_thresholds)
    resampling = Resampling(resamples, seed)
    parts = subsets(results, resampling)
    for subset in parts:
        found.rows += _class_rows(results, subset, resampling)
    for protocol in results.curves:
        _add_protocol(found, protocol, results, fullsup, parts, controls)
    return found


def _add_protocol(
    found: Summary,
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    parts: list[Subset],
    controls: bool,
) -> None:
    threshold = found.fixed_threshold
    model = model_answer(protocol, results, fullsup)
    others = control_answers(protocol, results, fullsup, threshold) if controls else {}
    for subset in parts:
        found.rows += box_rows(protocol, model, others, subset, threshold)
        found.rows += _pixel_rows(protocol, results, fullsup, subset, threshold)
        found.histograms += histograms(protocol, model, subset)
    if is_swept(model.curves, threshold):
        found.swept += (protocol,)


def _class_rows(results: LocalizationResults, subset: Subset, resampling: Resampling) -> list[Row]:
    """Class scores, and the part boxes, which need no protocol but the boxes themselves."""
    rows = [
        Row(f"{name} Cls", mean_of(right, subset.draws), subset.images, subset=subset.name)
        for name, right in subset.correct.items()
    ]
    part_iou = results.part_iou[subset.kept]
    part_iou = part_iou[~np.isnan(part_iou)]
    if len(part_iou):
        figure = mean_of(part_iou, resampling.draws(len(part_iou)))
        rows.append(Row(PART_IOU, figure, len(part_iou), "tight", FIXED, subset.name))
    return rows


def _pixel_rows(
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    subset: Subset,
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
