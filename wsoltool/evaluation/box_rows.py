"""Figures of boxes under one protocol: the model's, and beside them the controls'."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsoltool.evaluation.controls import control_curves
from wsoltool.evaluation.estimates import (
    Correct,
    Estimate,
    any_box_estimates,
    image_oracle_estimates,
    largest_box_estimates,
    one_box_estimates,
)
from wsoltool.evaluation.histograms import Histogram, histogram, one_box_iou
from wsoltool.evaluation.protocols import get_protocol
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import FIXED, FULLSUP, IMAGE_ORACLE, ORACLE, Row
from wsoltool.evaluation.subsets import Subset
from wsoltool.functional.bootstrap import Bootstrap

Figures = dict[tuple[str, str], Estimate]  # by threshold source and name


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model or a control answers, and how it does where thresholds are chosen.

    Attributes:
        curves: Of the scored images.
        fullsup: Of train-fullsup, or None.
    """

    curves: BoxCurves
    fullsup: BoxCurves | None

    def select(self, kept: np.ndarray | slice) -> Answer:
        """The scored images at ``kept``; train-fullsup stays whole."""
        return Answer(self.curves.select(kept), self.fullsup)

    def references(self) -> dict[str, BoxCurves | None]:
        """Threshold source -> what thresholds are chosen on, None for the fixed box."""
        found: dict[str, BoxCurves | None] = {} if self.curves.fixed is None else {FIXED: None}
        if self.fullsup is not None:
            found[FULLSUP] = self.fullsup
        return {**found, ORACLE: self.curves}


def model_answer(
    protocol: str, results: LocalizationResults, fullsup: LocalizationResults | None
) -> Answer:
    """The model's own boxes."""
    chosen_on = None if fullsup is None else fullsup.curves[protocol]
    return Answer(results.curves[protocol], chosen_on)


def control_answers(
    protocol: str,
    results: LocalizationResults,
    fullsup: LocalizationResults | None,
    fixed_threshold: float | None,
) -> dict[str, Answer]:
    """Every control by its name."""
    rules = get_protocol(protocol)
    scored = control_curves(rules, results, fixed_threshold)
    chosen_on = {} if fullsup is None else control_curves(rules, fullsup, fixed_threshold)
    return {who: Answer(own, chosen_on.get(who)) for who, own in scored.items()}


def box_rows(
    protocol: str,
    model: Answer,
    controls: dict[str, Answer],
    subset: Subset,
    fixed_threshold: float | None,
) -> list[Row]:
    """Every figure of boxes of a subset; ``model`` and ``controls`` are of all images."""
    # One answer after the other: a selection of curves is a copy of them.
    beside = {
        who: _figures(own.select(subset.kept), subset.correct, None)
        for who, own in controls.items()
    }
    rows = []
    own = _figures(model.select(subset.kept), subset.correct, subset.draws)
    for key, figure in own.items():
        source, name = key
        if source == FIXED and fixed_threshold is not None:
            figure = replace(figure, thresholds=(fixed_threshold,))
        others = {who: figures[key].value for who, figures in beside.items() if key in figures}
        rows.append(Row(name, figure, subset.images, protocol, source, subset.name, others))
    return rows


def _figures(answer: Answer, correct: Correct, draws: Bootstrap | None) -> Figures:
    by_source = {
        source: _estimates(answer.curves, reference, correct, draws)
        for source, reference in answer.references().items()
    }
    by_source[IMAGE_ORACLE] = image_oracle_estimates(answer.curves, correct, draws)
    return {
        (source, name): figure
        for source, figures in by_source.items()
        for name, figure in figures.items()
    }


def _estimates(
    curves: BoxCurves, reference: BoxCurves | None, correct: Correct, draws: Bootstrap | None
) -> dict[str, Estimate]:
    figures = one_box_estimates(curves, reference, correct, draws)
    if reference is None:
        return figures
    known = figures["GT-known Loc"]
    return {
        **figures,
        **largest_box_estimates(curves, reference, known, draws),
        **any_box_estimates(curves, reference, draws),
    }


def histograms(protocol: str, model: Answer, subset: Subset) -> list[Histogram]:
    """Of the IoU of the one box, at each threshold source; ``model`` is of all images."""
    own = model.select(subset.kept)
    return [
        histogram(protocol, source, subset.name, one_box_iou(own.curves, reference))
        for source, reference in own.references().items()
    ]


def is_swept(curves: BoxCurves, fixed_threshold: float | None) -> bool:
    """Whether the fixed boxes are those of the sweep, so that they are one of its answers."""
    if curves.fixed is None or fixed_threshold is None:
        return False
    columns = np.flatnonzero(np.isclose(curves.thresholds, fixed_threshold, rtol=0, atol=1e-9))
    return any(np.array_equal(curves.fixed, curves.largest[:, column]) for column in columns)
