"""What stands below the tables of groups of runs: what they are made of, and how to read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from wsoltool.evaluation.data_entries import data_lines, difference_lines
from wsoltool.evaluation.group_comparison import BY_ORDER, BY_SEED, GroupComparison, Pairing
from wsoltool.evaluation.run_groups import Run, Runs
from wsoltool.evaluation.table import bound_lines, error_lines, oracle_note, small_lines
from wsoltool.functional.crossed import sign_p_value

FEW = 5
"""Runs up to which it is said what so few can tell."""


def sources(comparison: GroupComparison) -> list[str]:
    """Which files each group is made of."""
    lines = []
    for group in comparison.groups:
        seeds = group.seeds
        said = "" if seeds is None else f" (seed {', '.join(map(str, seeds))})"
        lines.append(f"{group.name}{said}: {', '.join(str(run.path) for run in group.runs)}")
        # Each work directory has a copy of its config.
        said_configs = (run.origin.get("config") for run in group.runs)
        configs = dict.fromkeys(Path(str(config)).name for config in said_configs if config)
        if len(configs) > 1:
            lines.append(f"{group.name}: its runs are of several configs: {', '.join(configs)}.")
    return lines


def mean_notes(comparison: GroupComparison) -> list[str]:
    """What the figures are about."""
    runs = [run for group in comparison.groups for run in group.runs]
    lines = _data_lines(runs)
    if comparison.left_out:
        lines.append(f"left out, for not every run has it: {', '.join(comparison.left_out)}.")
    lines += [line for run in runs for line in run.left_out]
    rows = [figure.row for figure in comparison.figures]
    return [*lines, *bound_lines(rows), *small_lines(rows), *error_lines(rows)]


def _data_lines(runs: Sequence[Run]) -> list[str]:
    """What was left out of the images, once where all say it, and what runs differ in."""
    said = {run.path: data_lines(run.data) for run in runs}
    every = dict.fromkeys(line for lines in said.values() for line in lines)
    found = []
    for line in every:
        of = [str(path) for path, lines in said.items() if line in lines]
        found.append(f"{line}." if len(of) == len(runs) else f"{', '.join(of)}: {line}.")
    first = runs[0]
    for run in runs[1:]:
        found += difference_lines(first.data, run.data, (str(first.path), str(run.path)))
    return found


def difference_notes(comparison: GroupComparison, indices: Sequence[int]) -> list[str]:
    """How to read the differences of the groups behind the first at ``indices``."""
    first = comparison.groups[0]
    others = [comparison.groups[index + 1] for index in indices]
    groups = [first, *others]
    lines = [_interval_note(comparison, groups)]
    for index, other in zip(indices, others, strict=True):
        lines += _pairing_notes(comparison.pairings[index], first, other)
    together = {comparison.pairings[index].drawn_together for index in indices}
    tests = _test_notes(comparison)
    return [*lines, *_few_notes(groups, together, bool(tests)), *tests]


def _test_notes(comparison: GroupComparison) -> list[str]:
    """The fewest resamples on the other side of 0 are none: that limits p, the more so of many."""
    tests = sum(d.p is not None for own in comparison.figures for d in own.differences)
    if not tests:
        return []
    least = min(1.0, tests * sign_p_value(np.ones(comparison.resamples)))
    return [
        "p: twice the share of resamples on the other side of 0, adjusted for "
        f"{counted(tests, 'test')} (Holm); {counted(comparison.resamples, 'resample')} can tell "
        f"none below {least:.2g}."
    ]


def _interval_note(comparison: GroupComparison, groups: Sequence[Runs]) -> str:
    levels = "over images and over each group's runs, two-level"
    if all(len(group.runs) == 1 for group in groups):
        levels = "over images alone, for there is one run of each"
    return (
        f"*: the interval excludes 0 (bootstrap {levels}; the same {comparison.images} images for "
        f"all runs; {comparison.resamples} resamples{oracle_note(comparison.protocols)})."
    )


def _pairing_notes(pairing: Pairing, first: Runs, other: Runs) -> list[str]:
    names, pairs = f"{other.name} and {first.name}", len(pairing.pairs)
    if pairing.drawn_together:
        return [
            f"{names}: the same trainings scored in two ways, so runs are drawn together.",
            f"same sign: in how many of these {pairs} the difference has this sign.",
        ]
    if pairing.by == BY_SEED:
        shared = f"the {pairs} seeds that both have" if pairs > 1 else "the one seed of both"
        return [f"same sign, {names}: of {shared}, in how many the difference has this sign."]
    if pairing.by == BY_ORDER:
        why = "have no seed in common" if first.seeds and other.seeds else "do not say their seeds"
        return [f"same sign, {names}: of pairs by the files' order, for the runs {why}."]
    return [f"{names}: {len(other.runs)} and {len(first.runs)} runs, which nothing pairs."]


def _few_notes(groups: Sequence[Runs], together: Collection[bool], tested: bool) -> list[str]:
    """``together``: whether runs are drawn together, in some of the differences or in all."""
    counts = {group.name: len(group.runs) for group in groups}
    single = [name for name, runs in counts.items() if runs == 1]
    lines = [f"{', '.join(single)}: one run, so no interval has its seed's part."] if single else []
    if any(1 < runs <= FEW for runs in counts.values()):
        covers = {
            False: "67 % with 2 runs of each, 87 % with 3, 90 % with 5",
            True: "50 % with 2 runs drawn together, 75 % with 3, 87 % with 5",
        }
        lines.append(
            "So few runs tell little of how far seeds move a figure: where that outweighs the "
            f"images, the 95 % are rather {'; '.join(covers[own] for own in sorted(together))}"
            + ("; and p is too small." if tested else ".")
        )
    return lines


def counted(number: int, what: str) -> str:
    """A number and what it counts.

    Example:
        >>> counted(1, "run"), counted(3, "run")
        ('1 run', '3 runs')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
