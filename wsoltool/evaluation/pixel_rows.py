"""Figures of pixels, for data with masks: how much of the object a map covers, and how much else.

All are percent, of the true class's map. At a threshold chosen from the protocol's list a pixel is
found if its score is at least that; at the fixed threshold if it is strictly above, as for boxes.

- ``PxAP``: area under precision and recall of all images' pixels (Choe et al., CVPR 2020). It has
  no threshold.
- ``PIoU``: intersection over union of all images' pixels. Defined at its best threshold on test.
- ``mIoU``: the same of each class's images, mean over the classes that there are;
  ``mIoU (with background)``: the background of all images is one class more.
- ``mLEV``, the localization error, lower is better: the share of what is found that lies beside
  the object, FP / (TP + FP), mean over images. An image in which nothing is found counts as 100.
  Huang et al. 2020 do not define it; their mIoU and mLEV add up to 91-93, which fits this reading.
- ``mLEV (box)``, the other reading: share of images whose one box has IoU < 0.5, which is
  100 - GT-known Loc at that threshold (where its controls stand too).

Threshold sources as in :mod:`wsoltool.evaluation.summary`. PIoU and both mIoU have their
own best threshold each; mLEV and mLEV (box) are taken at that of mIoU.

Controls: the whole image, and the centre Gaussian swept like a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from wsoltool.evaluation import controls
from wsoltool.evaluation.estimates import HIT, Estimate
from wsoltool.evaluation.pixel_counts import GAUSSIAN, MODEL, PixelCounts
from wsoltool.evaluation.pixel_curves import MIOU, MIOU_BACKGROUND, MLEV, PIOU, PixelCurves
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.sweep import reaches

PXAP, MLEV_BOX = "PxAP", "mLEV (box)"
PIXEL_METRICS = (PXAP, PIOU, MIOU, MIOU_BACKGROUND, MLEV, MLEV_BOX)


class PixelFigure(NamedTuple):
    """One row to be.

    Attributes:
        name: One of :data:`PIXEL_METRICS`.
        source: Threshold source; None for PxAP.
        estimate: The model's figure.
        controls: Control name -> its figure in percent.
    """

    name: str
    source: str | None
    estimate: Estimate
    controls: dict[str, float]


def pixel_figures(
    protocol: str,
    results: LocalizationResults,
    references: Mapping[str, LocalizationResults | None],
    fixed_threshold: float | None = None,
    draws: Bootstrap | None = None,
) -> list[PixelFigure]:
    """Every figure of pixels under a protocol.

    Args:
        protocol: Its name.
        results: The scored images; no figure where they have no masks.
        references: Threshold source -> the images that thresholds are chosen on, ``results``
            itself for an oracle; None for the fixed threshold. A source without what it takes
            (images without masks, no fixed threshold) gives no figures.
        fixed_threshold: To be named with the figures.
        draws: Resamples of the scored images, for intervals.
    """
    if results.pixels is None:
        return []
    answers = _answers(results, protocol)
    swept = _curves(answers, results, draws)
    figures = [_figure(PXAP, None, {who: own.average_precision() for who, own in swept.items()})]
    boxes = results.curves[protocol]
    for source, reference in references.items():
        if reference is None:
            if answers[MODEL].fixed is None:
                continue
            at_fixed = {who: counts.at_fixed() for who, counts in answers.items()}
            own = _fixed_estimates(_curves(at_fixed, results, draws), boxes, fixed_threshold)
        elif reference.pixels is None:
            continue
        else:
            same = reference is results
            chosen_on = swept if same else _curves(_answers(reference, protocol), reference)
            own = _chosen_estimates(swept, chosen_on, boxes)
        for name in PIXEL_METRICS[1:]:
            beside = {who: estimates[name] for who, estimates in own.items() if name in estimates}
            figures.append(_figure(name, source, beside))
    return figures


def _answers(results: LocalizationResults, protocol: str) -> dict[str, PixelCounts]:
    """The model's pixels, and the controls' under their names."""
    assert results.pixels is not None
    counted = results.pixels[protocol]
    return {
        MODEL: counted[MODEL],
        controls.WHOLE: counted[MODEL].whole(),
        controls.GAUSSIAN: counted[GAUSSIAN],
    }


def _curves(
    answers: Mapping[str, PixelCounts], results: LocalizationResults, draws: Bootstrap | None = None
) -> dict[str, PixelCurves]:
    """Controls get no intervals."""
    return {
        who: PixelCurves(counts, results.labels, draws if who == MODEL else None)
        for who, counts in answers.items()
    }


def _figure(name: str, source: str | None, estimates: dict[str, Estimate]) -> PixelFigure:
    beside = {who: own.value for who, own in estimates.items() if who != MODEL}
    return PixelFigure(name, source, estimates[MODEL], beside)


def _fixed_estimates(
    at_fixed: Mapping[str, PixelCurves], boxes: BoxCurves, threshold: float | None
) -> dict[str, dict[str, Estimate]]:
    """Figures by name of everyone who answers, at the fixed threshold."""
    figures = {who: own.estimates(own) for who, own in at_fixed.items()}
    if boxes.fixed is not None:
        misses = ~reaches(boxes.fixed, HIT)
        model = at_fixed[MODEL]
        figures[MODEL][MLEV_BOX] = model.mean_at(model, lambda _: misses)
    at = () if threshold is None else (threshold,)
    return {
        who: {name: replace(estimate, thresholds=at) for name, estimate in own.items()}
        for who, own in figures.items()
    }


def _chosen_estimates(
    swept: Mapping[str, PixelCurves], chosen_on: Mapping[str, PixelCurves], boxes: BoxCurves
) -> dict[str, dict[str, Estimate]]:
    """Figures by name of everyone who answers, at thresholds chosen on ``chosen_on``."""
    figures = {who: own.estimates(chosen_on[who]) for who, own in swept.items()}
    figures[MODEL][MLEV_BOX] = swept[MODEL].mean_at(
        chosen_on[MODEL], lambda column: ~reaches(boxes.largest[:, column], HIT)
    )
    return figures
