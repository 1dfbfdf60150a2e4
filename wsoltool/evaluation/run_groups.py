"""Groups of evaluations, each of one method that was trained several times, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.alignment import Images, aligned
from wsoltool.evaluation.comparison import left_out_lines, origin_of, recomputed
from wsoltool.evaluation.data_entries import DataEntries
from wsoltool.evaluation.report_files import FURTHER, RESULTS, Report, read_report
from wsoltool.evaluation.rows import Summary

USAGE = "wsoltool compare cam=cam_s0.json,cam_s1.json fam=fam_s0.json,fam_s1.json"


@dataclass(frozen=True, slots=True)
class RunGroup:
    """What is to be read.

    Attributes:
        name: Of the method.
        files: JSON files of its runs.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One training, evaluated.

    Attributes:
        path: Of the JSON file.
        seed: Of the training; None where the file does not say.
        training: Tells trainings apart: what the file calls its training, else its results' digest.
        origin: What the file says of itself: ``config``, ``checkpoint`` and the like.
        data: Which images, see :mod:`wsoltool.evaluation.data_entries`.
        summary: Its figures, each with its resamples of the images.
        left_out: What cannot be compared, and why.
    """

    path: Path
    seed: int | None
    training: str
    origin: dict[str, Any]
    data: DataEntries
    summary: Summary = field(repr=False)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Runs:
    """A group that was read.

    Attributes:
        name: Of the method.
        runs: By seed; in the order of the files where one of them does not say its seed.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...] | None:
        """Of the runs in their order; None where one is not known."""
        seeds = tuple(run.seed for run in self.runs if run.seed is not None)
        return seeds if len(seeds) == len(self.runs) else None


def read_groups(groups: Sequence[RunGroup], resamples: int, seed: int) -> tuple[Runs, ...]:
    """Read every run of every group; one run's curves are in memory at a time.

    Raises:
        EvaluationError: There are fewer than two groups, one is empty or named like another, a file
            is in two places, is damaged or of other images, true boxes or protocols than the first,
            or the runs of a group are of one training, one seed or several fixed thresholds.
    """
    _check_names(groups)
    _check_files(groups)
    images: Images | None = None
    found = []
    for group in groups:
        runs: list[Run] = []
        for file in group.files:
            run, images = _read(file, images, resamples, seed)
            _check_run(group.name, runs, run)
            runs.append(run)
        found.append(Runs(group.name, _in_order(runs)))
    return tuple(found)


def _read(file: Path, images: Images | None, resamples: int, seed: int) -> tuple[Run, Images]:
    """A run, and the images that all must be of, by default its own.

    A function of its own, so that its curves are gone before the next file is read.
    """
    report = read_report(file)
    images = images or Images.of(report)
    return _run(aligned(report, images), resamples, seed), images


def _run(report: Report, resamples: int, seed: int) -> Run:
    figures = report.figures
    training, files = figures.get("training", {}), figures["files"]
    return Run(
        path=report.path,
        seed=training.get("seed"),
        training=training.get("run") or files.get(RESULTS, files.get(FURTHER))["sha256"],
        origin=origin_of(figures),
        data=figures.get("data", {}),
        summary=recomputed(report, resamples, seed),
        left_out=tuple(left_out_lines(report, resamples, seed)),
    )


def _in_order(runs: list[Run]) -> tuple[Run, ...]:
    if any(run.seed is None for run in runs):
        return tuple(runs)
    return tuple(sorted(runs, key=lambda run: run.seed or 0))


def _check_names(groups: Sequence[RunGroup]) -> None:
    names = [group.name for group in groups]
    if len(groups) < 2:
        raise EvaluationError(
            f"too few groups of runs to compare: {len(groups)}",
            expected="a baseline and at least one more",
            hint=USAGE,
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise EvaluationError(
            f"two groups of runs are called {twice[0]!r}",
            expected="a group's files in one argument, commas between them",
            hint=f"{USAGE}; a pattern in quotes, 'cam=cam_s*.json', finds them too",
        )


def _check_files(groups: Sequence[RunGroup]) -> None:
    places: dict[Path, str] = {}
    for group in groups:
        if not group.files:
            raise EvaluationError(f"the group {group.name!r} has no files", hint=USAGE)
        for file in group.files:
            if before := places.get(file.resolve()):
                where = "twice in" if before == group.name else f"in {before!r} and in"
                raise EvaluationError(
                    f"a file is {where} {group.name!r}",
                    at=str(file),
                    expected="every run once",
                    hint="runs that are counted twice make intervals too short",
                )
            places[file.resolve()] = group.name


def _check_run(group: str, runs: Sequence[Run], run: Run) -> None:
    """A group's runs are trainings of one method, each with a seed of its own."""
    for before in runs:
        for what, hint in _conflicts(before, run):
            raise EvaluationError(
                f"two runs of {group!r} {what}",
                at=f"{before.path} and {run.path}",
                expected="one method, trained anew for every run, each with a seed of its own",
                hint=hint,
            )


def _conflicts(a: Run, b: Run) -> Iterator[tuple[str, str]]:
    if a.training == b.training:
        yield "are one training or copies of it", "wsoltool train --seed N trains anew"
    if a.seed is not None and a.seed == b.seed:
        yield f"have the seed {a.seed}", "wsoltool train --seed N trains with another"
    fixed = [_fixed_threshold(run.summary) for run in (a, b)]
    if fixed[0] != fixed[1]:
        yield f"have other fixed thresholds: {fixed[0]} and {fixed[1]}", "test both with the same"


def _fixed_threshold(summary: Summary) -> str:
    return str(summary.fixed_threshold) if summary.chosen is None else "one chosen for each image"
