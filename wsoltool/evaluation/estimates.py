"""Single figures from best-IoU curves: a value, its threshold, its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wsoltool.evaluation.results import BoxCurves
from wsoltool.functional.bootstrap import Bootstrap, interval
from wsoltool.functional.sweep import box_accuracy, reaches

IOUS = (0.3, 0.5, 0.7)
HIT = 0.5

Correct = dict[str, np.ndarray]  # "Top-1", "Top-5" -> (N,) bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure in percent, the thresholds that it was taken at, and its 95 % interval."""

    value: float
    thresholds: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None


def one_box_estimates(
    curves: BoxCurves,
    reference: BoxCurves | None,
    correct: Correct,
    draws: Bootstrap | None = None,
) -> dict[str, Estimate]:
    """GT-known Loc, Top-1 Loc, Top-5 Loc and mean IoU of each image's one box.

    Args:
        curves: Of the N images.
        reference: What the threshold is chosen on: other images, or ``curves`` itself; None for
            the fixed box, which ``curves`` must have.
        correct: Whose class is right.
        draws: Resamples of the N images, for intervals.
    """
    grid = curves.largest if reference is not None else curves.fixed[:, None]
    column = 0 if reference is None else best_column(reference.largest, HIT)
    thresholds = () if reference is None else (float(curves.thresholds[column]),)
    rechosen = draws is not None and reference is curves
    picks = draws.best(reaches(grid, HIT))[1] if rechosen else None

    def measure(values: Callable[[int], np.ndarray]) -> Estimate:
        at_column = values(column)
        resampled = None
        if draws is not None:
            resampled = draws.means(at_column) if picks is None else draws.means_at(values, picks)
        return estimate_of(at_column, resampled, thresholds)

    return {
        "GT-known Loc": measure(lambda c: reaches(grid[:, c], HIT)),
        "Top-1 Loc": measure(lambda c: reaches(grid[:, c], HIT) & correct["Top-1"]),
        "Top-5 Loc": measure(lambda c: reaches(grid[:, c], HIT) & correct["Top-5"]),
        "mean IoU": measure(lambda c: grid[:, c]),
    }


def any_box_estimates(
    curves: BoxCurves, reference: BoxCurves, draws: Bootstrap | None = None
) -> dict[str, Estimate]:
    """MaxBoxAccV2 and its parts, each IoU with its own threshold chosen on ``reference``."""
    parts, spreads = {}, []
    for iou in IOUS:
        column = best_column(reference.all, iou)
        hits = reaches(curves.all, iou)
        spread = None
        if draws is not None:
            rechosen = reference is curves
            spread = draws.best(hits)[0] if rechosen else draws.means(hits[:, column])
            spreads.append(spread)
        threshold = (float(curves.thresholds[column]),)
        parts[f"MaxBoxAccV2@{iou}"] = estimate_of(hits[:, column], spread, threshold)
    mean = Estimate(
        float(np.mean([part.value for part in parts.values()])),
        tuple(part.thresholds[0] for part in parts.values()),
        _percent(interval(np.mean(spreads, axis=0))) if spreads else None,
    )
    return {"MaxBoxAccV2": mean, **parts}


def best_column(best_iou: np.ndarray, iou: float) -> int:
    """The first of the thresholds at which most images of ``(N, T)`` reach ``iou``."""
    return int(box_accuracy(best_iou, iou).argmax())


def estimate_of(
    values: np.ndarray, resampled: np.ndarray | None, thresholds: tuple[float, ...] = ()
) -> Estimate:
    """The mean of ``(N,)`` values in percent, with the interval of its ``(R,)`` resampled means."""
    spread = None if resampled is None else _percent(interval(resampled))
    return Estimate(100.0 * float(np.mean(values, dtype=np.float64)), thresholds, spread)


def _percent(bounds: tuple[float, float]) -> tuple[float, float]:
    return 100.0 * bounds[0], 100.0 * bounds[1]
