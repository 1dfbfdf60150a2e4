"""Methods that were trained several times, figure by figure: mean, spread, and what differs.

Every group of runs is compared with the first, on the same images. The interval of a difference is
a two-level bootstrap (:mod:`wsoltool.functional.crossed`): images are drawn, the same for all runs
of all groups, each run's figures are made of them as :mod:`wsoltool.evaluation.comparison` makes
them (under test-oracle with a threshold chosen anew), and runs are drawn. It speaks of other images
of the kind and of other seeds; not of other training sets, recipes or data.

Runs are drawn for each group by itself: other weights are trained, whatever the seed. Where the
same seed makes both draw the same batches, the interval is if anything too long. Only where two
groups are the same trainings, scored in two ways, are they drawn together, for there the weights
are shared. A group of one run has nothing to draw from: its seed's part is missing, and with
one run each the interval is that of :mod:`wsoltool.evaluation.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.checks import SLACK
from wsoltool.evaluation.comparison import is_tested, row_key
from wsoltool.evaluation.rows import Row
from wsoltool.evaluation.run_groups import RunGroup, Runs, read_groups
from wsoltool.functional.bootstrap import interval
from wsoltool.functional.crossed import draw_runs, over_runs, sign_p_value
from wsoltool.functional.paired import holm

BY_TRAINING, BY_SEED, BY_ORDER = "training", "seed", "order"


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which runs of a group belong to which of the first group.

    Attributes:
        by: :data:`BY_TRAINING` where both groups are the same trainings, :data:`BY_SEED` where
            both say their seeds and share some, :data:`BY_ORDER` where they are equally many; None
            where nothing tells.
        pairs: Index in the first group and in the other.
    """

    by: str | None
    pairs: tuple[tuple[int, int], ...]

    @property
    def drawn_together(self) -> bool:
        """Whether a resample holds the same trainings of both."""
        return self.by == BY_TRAINING


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """A figure of a group against the first one's.

    Attributes:
        value: The group's mean minus the first group's, in percent.
        interval: 95 %, two-level bootstrap.
        agreeing: Pairs of runs whose own difference has the sign of ``value``; None where that is 0
            or there are no pairs.
        p: That there is none; None where the figure is not tested.
        p_holm: Adjusted for all tests of the comparison.
    """

    value: float
    interval: tuple[float, float]
    agreeing: int | None
    p: float | None = None
    p_holm: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """One figure of all groups.

    Attributes:
        row: The first run's, which says what it is.
        values: For each group the figure of each run, in percent.
        differences: For each group but the first.
    """

    row: Row
    values: tuple[tuple[float, ...], ...]
    differences: tuple[GroupDifference, ...]

    def mean(self, group: int) -> float:
        """Over the group's runs."""
        return float(np.mean(self.values[group]))

    def deviation(self, group: int) -> float | None:
        """Standard deviation over the group's runs (n - 1); None of one run."""
        values = self.values[group]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """Every group against the first.

    Attributes:
        groups: At least two.
        pairings: For each group but the first.
        figures: That every run of every group has.
        left_out: Threshold sources and metrics that not every run has.
        protocols: In the first run's order.
        images: How many were compared.
        resamples: Of the bootstrap.
        seed: Likewise.
    """

    groups: tuple[Runs, ...]
    pairings: tuple[Pairing, ...]
    figures: tuple[GroupFigure, ...]
    left_out: tuple[str, ...]
    protocols: tuple[str, ...]
    images: int
    resamples: int
    seed: int


def compare_groups(
    groups: Sequence[RunGroup], resamples: int = 1000, seed: int = 0
) -> GroupComparison:
    """Compare each group of runs with the first.

    Args:
        groups: At least two.
        resamples: Of the bootstrap, at least 1.
        seed: Likewise.

    Raises:
        EvaluationError: See :func:`wsoltool.evaluation.run_groups.read_groups`.
    """
    if resamples < 1:
        raise EvaluationError(f"a comparison with {resamples} resamples", expected="at least one")
    read = read_groups(groups, resamples, seed)
    pairings = tuple(pair(read[0], other) for other in read[1:])
    draws = _draws(read, pairings, resamples, seed)
    rows, left_out = _common(read)
    figures = [_figure(of_groups, pairings, draws) for of_groups in rows]
    first = read[0].runs[0].summary
    return GroupComparison(
        groups=read,
        pairings=pairings,
        figures=_adjusted(figures),
        left_out=left_out,
        protocols=first.protocols,
        images=first.images,
        resamples=resamples,
        seed=seed,
    )


def pair(first: Runs, other: Runs) -> Pairing:
    """Which runs belong together, by the first thing that tells."""
    trainings = [[run.training for run in group.runs] for group in (first, other)]
    if set(trainings[0]) == set(trainings[1]):
        return Pairing(BY_TRAINING, _matched(*trainings))
    if first.seeds and other.seeds and (pairs := _matched(first.seeds, other.seeds)):
        return Pairing(BY_SEED, pairs)
    if len(first.runs) == len(other.runs):
        return Pairing(BY_ORDER, tuple((index, index) for index in range(len(first.runs))))
    return Pairing(None, ())


def _matched(a: Sequence[object], b: Sequence[object]) -> tuple[tuple[int, int], ...]:
    places = {name: index for index, name in enumerate(b)}
    return tuple((index, places[name]) for index, name in enumerate(a) if name in places)


def _draws(
    groups: Sequence[Runs], pairings: Sequence[Pairing], resamples: int, seed: int
) -> list[np.ndarray]:
    """For each group, how often a resample holds each of its runs.

    The generator of a group's runs is named by its place, that of the images by the seed alone.
    """
    first, *others = [
        draw_runs(len(group.runs), resamples, (seed, place))
        for place, group in enumerate(groups, start=1)
    ]
    for own, pairing in zip(others, pairings, strict=True):
        if pairing.drawn_together:
            for a, b in pairing.pairs:
                own[:, b] = first[:, a]
    return [first, *others]


def _common(groups: Sequence[Runs]) -> tuple[list[list[list[Row]]], tuple[str, ...]]:
    """Figure -> group -> run -> row, of what all have; and what none of these has any more."""
    tables = [[{row_key(r): r for r in run.summary.rows} for run in g.runs] for g in groups]
    flat = [table for group in tables for table in group]
    every = dict.fromkeys(key for table in flat for key in table)
    kept = [key for key in every if all(key in table for table in flat)]
    lost = [
        str(key[part])
        for part in (2, 1)  # threshold source, metric
        for key in every
        if key[part] is not None and key[part] not in {own[part] for own in kept}
    ]
    rows = [[[table[key] for table in group] for group in tables] for key in kept]
    return rows, tuple(dict.fromkeys(lost))


def _figure(
    rows: Sequence[Sequence[Row]],
    pairings: Sequence[Pairing],
    draws: Sequence[np.ndarray],
) -> GroupFigure:
    """Without adjusted p-values yet."""
    row = rows[0][0]
    first, *others = values = [[run.estimate.value for run in group] for group in rows]
    base, *means = [
        over_runs(_resampled(own), drawn) for own, drawn in zip(rows, draws, strict=True)
    ]
    differences = []
    for own, mean, pairing in zip(others, means, pairings, strict=True):
        value = float(np.mean(own) - np.mean(first))
        p = sign_p_value(mean - base) if is_tested(row) else None
        agreeing = _agreeing(value, [own[b] - first[a] for a, b in pairing.pairs])
        differences.append(GroupDifference(value, interval(mean - base), agreeing, p))
    return GroupFigure(row, tuple(map(tuple, values)), tuple(differences))


def _resampled(rows: Sequence[Row]) -> np.ndarray:
    """``(n, R)``."""
    figures = [row.estimate.resampled for row in rows]
    return np.stack([own for own in figures if own is not None])


def _agreeing(value: float, differences: Sequence[float]) -> int | None:
    if not differences or abs(value) <= SLACK:
        return None
    return sum(abs(own) > SLACK and (own > 0) == (value > 0) for own in differences)


def _adjusted(figures: Sequence[GroupFigure]) -> tuple[GroupFigure, ...]:
    """Holm's adjustment is over all tests of all groups."""
    p_values = [own.p for figure in figures for own in figure.differences if own.p is not None]
    adjusted = iter(holm(p_values))
    return tuple(
        replace(
            figure,
            differences=tuple(
                own if own.p is None else replace(own, p_holm=next(adjusted))
                for own in figure.differences
            ),
        )
        for figure in figures
    )
