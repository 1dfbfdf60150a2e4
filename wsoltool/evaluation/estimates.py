"""Single figures from best-IoU curves: a value, its threshold, its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from wsoltool.evaluation.results import BoxCurves
from wsoltool.functional.bootstrap import Bootstrap, interval
from wsoltool.functional.sweep import reaches

IOUS = (0.3, 0.5, 0.7)
"""Rising."""
HIT = 0.5
V2 = "MaxBoxAccV2"
COMMON = "(common threshold)"
"""Of MaxBoxAccV2 and its parts where one threshold serves all three IoUs."""

Correct = dict[str, np.ndarray]  # "Top-1", "Top-5" -> (N,) bool, as far as they are known


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and what the bootstrap made of it.

    Attributes:
        value: Percent.
        thresholds: That it was taken at; several where it is a mean of several figures.
        resampled: ``(R,)`` float64, the figure in every resample, in percent; None without
            bootstrap. Two figures over the same resamples are compared by subtracting these.
        right: ``(N,)`` bool, the images that the figure counts; None where it counts none.
    """

    value: float
    thresholds: tuple[float, ...] = ()
    resampled: np.ndarray | None = field(default=None, compare=False, repr=False)
    right: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % percentile interval, in percent."""
        return None if self.resampled is None else interval(self.resampled)


def mean_of(values: np.ndarray, draws: Bootstrap | None) -> Estimate:
    """The mean of ``(N,)`` values, in percent, where nothing is chosen."""
    resampled = None if draws is None else 100.0 * draws.means(values)
    right = values.copy() if values.dtype == bool else None
    return Estimate(100.0 * float(np.mean(values, dtype=np.float64)), (), resampled, right)


def mean_estimate(parts: Sequence[Estimate]) -> Estimate:
    """The mean of figures over the same images and resamples, with the thresholds of all."""
    resampled = [part.resampled for part in parts if part.resampled is not None]
    return Estimate(
        float(np.mean([part.value for part in parts])),
        tuple(threshold for part in parts for threshold in part.thresholds),
        np.mean(resampled, axis=0) if len(resampled) == len(parts) else None,
    )


def one_box_estimates(
    curves: BoxCurves,
    reference: BoxCurves | None,
    correct: Correct,
    draws: Bootstrap | None = None,
) -> dict[str, Estimate]:
    """GT-known Loc, Top-k Loc and mean IoU of each image's one box.

    Args:
        curves: Of the N images.
        reference: What the thresholds are chosen on: other images, or ``curves`` itself; None for
            the fixed box, which ``curves`` must have.
        correct: Whose class is right, for each Top-k Loc that there is to be.
        draws: Resamples of the N images, for intervals.
    """
    if reference is None:
        assert curves.fixed is not None
        return _estimates_of(curves.fixed, correct, draws)
    hits = reaches(curves.largest, HIT)
    rechoose = reference is curves
    wanted = hits if rechoose else reaches(reference.largest, HIT)
    chosen = _Choice(curves.thresholds, wanted, draws, rechoose)
    widest = _Choice(curves.thresholds, reference.largest, draws, rechoose)
    both = {
        f"{top} Loc": chosen.estimate(partial(_both, hits, own)) for top, own in correct.items()
    }
    return {
        "GT-known Loc": chosen.estimate(partial(_column, hits)),
        **both,
        "mean IoU": widest.estimate(partial(_column, curves.largest)),
    }


def image_oracle_estimates(
    curves: BoxCurves, correct: Correct, draws: Bootstrap | None = None
) -> dict[str, Estimate]:
    """GT-known Loc, Top-k Loc and mean IoU of each image's best one box of the sweep.

    The threshold is chosen for every image by itself, on its own true boxes.

    Args:
        curves: Of the N images.
        correct: As of :func:`one_box_estimates`.
        draws: Resamples of the N images, for intervals.
    """
    return _estimates_of(curves.largest.max(axis=1), correct, draws)


def _estimates_of(
    best_iou: np.ndarray, correct: Correct, draws: Bootstrap | None
) -> dict[str, Estimate]:
    """Of one box an image, ``(N,)`` its best IoU."""
    hits = reaches(best_iou, HIT)
    both = {f"{top} Loc": hits & own for top, own in correct.items()}
    values = {"GT-known Loc": hits, **both, "mean IoU": best_iou}
    return {name: mean_of(value, draws) for name, value in values.items()}


def largest_box_estimates(
    curves: BoxCurves, reference: BoxCurves, known: Estimate, draws: Bootstrap | None = None
) -> dict[str, Estimate]:
    """MaxBoxAcc, which is the one at 0.5, and MaxBoxAcc@d, each d with its own threshold.

    Args:
        curves: Of the N images.
        reference: What the thresholds are chosen on.
        known: GT-known Loc at the threshold chosen there, which is MaxBoxAcc by another name.
        draws: Resamples of the N images, for intervals.
    """
    figures = {"MaxBoxAcc": known}
    for iou in IOUS:
        hits = reaches(curves.largest, iou)
        wanted = None if reference is curves else reaches(reference.largest, iou)
        own = known if iou == HIT else _own_threshold(curves.thresholds, hits, wanted, draws)
        figures[f"MaxBoxAcc@{iou}"] = own
    return figures


def any_box_estimates(
    curves: BoxCurves, reference: BoxCurves, draws: Bootstrap | None = None
) -> dict[str, Estimate]:
    """MaxBoxAccV2 and its parts, thresholds chosen on ``reference``.

    Twice: each IoU with its own threshold, as the benchmark defines it, and all three with the one
    that is best for their mean, since a user of the boxes has to choose one.
    """
    reached = _reached(curves.all)
    wanted = reached if reference is curves else _reached(reference.all)
    choice = _Choice(curves.thresholds, wanted, draws, rechoose=reference is curves)
    own, common = {}, {}
    for rank, iou in enumerate(IOUS):
        hits, name = reached > rank, f"{V2}@{iou}"
        chosen_on = None if reference is curves else wanted > rank
        own[name] = _own_threshold(curves.thresholds, hits, chosen_on, draws)
        common[f"{name} {COMMON}"] = choice.estimate(partial(_column, hits))
    mean = replace(mean_estimate(list(common.values())), thresholds=(choice.threshold,))
    return {V2: mean_estimate(list(own.values())), **own, f"{V2} {COMMON}": mean, **common}


def _reached(best_iou: np.ndarray) -> np.ndarray:
    """``(N, T)`` uint8: how many of the IoUs are reached; a quarter of the memory."""
    reached = np.zeros(best_iou.shape, dtype=np.uint8)
    for iou in IOUS:
        reached += reaches(best_iou, iou)
    return reached


def _own_threshold(
    thresholds: np.ndarray, hits: np.ndarray, wanted: np.ndarray | None, draws: Bootstrap | None
) -> Estimate:
    """Accuracy of ``(N, T)`` hits at the best threshold of ``wanted``; None: of themselves."""
    choice = _Choice(thresholds, hits if wanted is None else wanted, draws, wanted is None)
    return choice.estimate(partial(_column, hits))


class _Choice:
    """A threshold, chosen once for the figure and once for each resample.

    Args:
        thresholds: ``(T,)``.
        wanted: ``(M, T)`` bool or numbers: the column with the highest mean is taken, the first of
            several.
        draws: Resamples of the scored images, or None.
        rechoose: ``wanted`` is of the scored images: each resample chooses for itself.
    """

    def __init__(
        self, thresholds: np.ndarray, wanted: np.ndarray, draws: Bootstrap | None, rechoose: bool
    ) -> None:
        self.column = int(wanted.mean(axis=0, dtype=np.float64).argmax())
        self.threshold = float(thresholds[self.column])
        self.draws = draws
        self.columns = draws.best(wanted)[1] if draws is not None and rechoose else None

    def estimate(self, values: Callable[[int], np.ndarray]) -> Estimate:
        """The mean of ``values(column)`` ``(N,)`` in percent."""
        chosen = values(self.column)
        figure = mean_of(chosen, None if self.columns is not None else self.draws)
        if self.draws is not None and self.columns is not None:
            figure = replace(figure, resampled=100.0 * self.draws.means_at(values, self.columns))
        return replace(figure, thresholds=(self.threshold,))


def _column(values: np.ndarray, column: int) -> np.ndarray:
    return values[:, column]


def _both(hits: np.ndarray, right: np.ndarray, column: int) -> np.ndarray:
    return hits[:, column] & right
