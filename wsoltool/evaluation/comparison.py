"""Evaluations of the same images, figure by figure: what differs, and whether that may be chance.

Both evaluations' figures are computed anew from the results of single images, over the same
resamples of these images, so that a difference has an interval of its own: images that are hard for
both count for neither. Under test-oracle each chooses its threshold anew in every resample.

Which images are right is compared too, for Top-1 Cls, GT-known Loc and Top-1 Loc of all images, by
McNemar's exact test, at each evaluation's own threshold, adjusted for the number of tests (Holm);
not under image-oracle, which is no method's answer.

Figures of further metrics, of images with several labels for example, are compared over the
resamples that were kept of them (:mod:`wsoltool.evaluation.further_results`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.alignment import Images, aligned
from wsoltool.evaluation.checks import SLACK, check_summary, contradiction
from wsoltool.evaluation.data_entries import DataEntries
from wsoltool.evaluation.report_files import Report, read_report
from wsoltool.evaluation.rows import ALL, IMAGE_ORACLE, Row, Summary
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.bootstrap import interval
from wsoltool.functional.paired import holm, mcnemar

TESTED = ("Top-1 Cls", "GT-known Loc", "Top-1 Loc")
"""Compared image by image, over all images."""
ORIGIN = ("config", "checkpoint", "cfg_options", "maps")
"""Entries of a report that say what was evaluated."""


@dataclass(frozen=True, slots=True)
class Discordance:
    """The images on which one of two evaluations is right and the other wrong.

    Attributes:
        only_a: Count of those that A alone has right.
        only_b: Likewise of B.
        p: McNemar's exact two-sided p-value.
        p_holm: Adjusted for all tests of the comparison.
    """

    only_a: int
    only_b: int
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two evaluations; A and B as :class:`Row` of the same key.

    Attributes:
        a: The first evaluation's figure.
        b: The other's.
        interval: 95 % of b minus a over the same resamples, in percent.
        images: On which one alone is right; None where the figure is not tested.
    """

    a: Row
    b: Row
    interval: tuple[float, float]
    images: Discordance | None = None

    @property
    def value(self) -> float:
        """b minus a, in percent."""
        return self.b.estimate.value - self.a.estimate.value

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every evaluation against the first.

    Attributes:
        files: The evaluations' JSON files, at least two.
        origins: What each says of itself: ``config``, ``checkpoint`` and the like.
        data: Which images each scored and was trained on, as far as it says; see
            :mod:`wsoltool.evaluation.data_entries`.
        differences: For each file but the first, the figures that it and the first have.
        protocols: In the first evaluation's order.
        images: How many were compared.
        resamples: Of the bootstrap.
        seed: Likewise.
        left_out: What was not compared, and why.
    """

    files: tuple[Path, ...]
    origins: tuple[dict[str, Any], ...]
    data: tuple[DataEntries, ...]
    differences: tuple[list[Difference], ...]
    protocols: tuple[str, ...]
    images: int
    resamples: int
    seed: int
    left_out: tuple[str, ...] = ()


def compare_reports(
    files: Sequence[str | Path], resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare each evaluation with the first.

    One evaluation's curves are in memory at a time.

    Args:
        files: JSON files of :func:`wsoltool.evaluation.report_files.write_report`, at least two.
        resamples: Of the bootstrap, at least 1.
        seed: Likewise.

    Raises:
        EvaluationError: A file is missing, damaged or not ours, its figures do not follow from its
            results, or the files are of other images, true boxes or protocols.
    """
    if len(files) < 2 or resamples < 1:
        raise EvaluationError(
            f"a comparison of {len(files)} evaluations with {resamples} resamples",
            expected="at least two evaluations, and at least one resample",
            hint="wsoltool compare A.json B.json; the intervals need resamples (default: 1000)",
        )
    base, images, figures, left_out = _first(files[0], resamples, seed)
    others = [_other(file, images, resamples, seed) for file in files[1:]]
    comparison = Comparison(
        files=tuple(Path(file) for file in files),
        origins=(origin_of(figures), *(origin_of(own) for _, own, _ in others)),
        data=(images.data, *(own.get("data", {}) for _, own, _ in others)),
        differences=_tested([_differences(base, summary) for summary, _, _ in others]),
        protocols=base.protocols,
        images=base.images,
        resamples=resamples,
        seed=seed,
        left_out=(*left_out, *(line for _, _, lines in others for line in lines)),
    )
    check_comparison(comparison)
    return comparison


def _first(
    file: str | Path, resamples: int, seed: int
) -> tuple[Summary, Images, dict[str, Any], list[str]]:
    report = read_report(file)
    summary, left_out = recomputed(report, resamples, seed), left_out_lines(report, resamples, seed)
    return summary, Images.of(report), report.figures, left_out


def _other(
    file: str | Path, images: Images, resamples: int, seed: int
) -> tuple[Summary, dict[str, Any], list[str]]:
    report = aligned(read_report(file), images)
    left_out = left_out_lines(report, resamples, seed)
    return recomputed(report, resamples, seed), report.figures, left_out


def origin_of(figures: dict[str, Any]) -> dict[str, Any]:
    """What a report says was evaluated."""
    return {name: figures[name] for name in ORIGIN if name in figures}


def recomputed(report: Report, resamples: int, seed: int) -> Summary:
    """The figures that a report's results give, with their resamples.

    Those of further metrics are rows without a protocol.

    Raises:
        EvaluationError: They are not the figures that the report names, or there are none.
    """
    found = _localization(report, resamples, seed)
    if report.further is not None:
        found.rows += report.further.rows(resamples, seed)
    if not found.rows:
        raise EvaluationError(
            "the evaluation has no figure that can be compared",
            at=str(report.path),
            expected="figures with as many resamples as are compared",
            hint="; ".join(left_out_lines(report, resamples, seed))
            + "; wsoltool test --json stores a metric's `resamples` of them",
        )
    _check_figures(report, found)
    return found


def left_out_lines(report: Report, resamples: int, seed: int) -> list[str]:
    """The further metrics' figures that cannot be compared over these resamples, and why."""
    if report.further is not None:
        return [f"{report.path}: {line}." for line in report.further.left_out(resamples, seed)]
    if report.figures.get("further"):
        names = ", ".join(report.figures["further"])
        return [f"{report.path}: {names}: not compared, for their resamples were not stored."]
    return []


def _localization(report: Report, resamples: int, seed: int) -> Summary:
    """Without rows where there is no localization table."""
    if report.results is None:
        assert report.further is not None, "a report has one of them"
        return Summary([], (), len(report.further.image_ids), resamples=resamples)
    summary = summarize(
        report.results,
        report.fullsup,
        report.figures["fixed_threshold"],
        resamples,
        seed=seed,
        controls=False,
    )
    check_summary(summary)
    return summary


def _check_figures(report: Report, summary: Summary) -> None:
    """The written figures must be those that the written results give."""
    own = {row_key(row): row.estimate.value for row in summary.rows}
    rows = [
        ((row["protocol"], row["metric"], row["threshold_source"], row["subset"]), row["value"])
        for row in report.figures.get("rows", ())
    ]
    rows += [
        ((None, name, None, ALL), value)
        for name, value in report.figures.get("further", {}).items()
    ]
    for key, value in rows:
        if abs(own.get(key, value) - value) > SLACK:
            raise EvaluationError(
                f"{key[1]} is {value:.4f} in the file, but its results of single images give "
                f"{own[key]:.4f}",
                at=f"{report.path}: {', '.join(str(part) for part in key)}",
                expected="the same figure from both",
                hint="the file was edited, or another version of wsoltool wrote it: score again",
            )


def row_key(row: Row) -> tuple[str | None, str, str | None, str]:
    """What makes a row the same figure in two evaluations."""
    return row.protocol, row.name, row.source, row.subset


def _differences(base: Summary, other: Summary) -> list[Difference]:
    """Without tests yet."""
    others = {row_key(row): row for row in other.rows}
    differences = []
    for a in base.rows:
        if (b := others.get(row_key(a))) is None:
            continue
        assert a.images == b.images, "the truth is the same, and with it every subset"
        assert a.estimate.resampled is not None
        assert b.estimate.resampled is not None
        spread = interval(b.estimate.resampled - a.estimate.resampled)
        differences.append(Difference(a, b, spread))
    return differences


def _tested(pairs: Sequence[list[Difference]]) -> tuple[list[Difference], ...]:
    """Add McNemar's test where it applies; Holm's adjustment is over all of them."""
    tested = [own for differences in pairs for own in differences if is_tested(own.a)]
    counts = [_discordant(own) for own in tested]
    p_values = [mcnemar(*each) for each in counts]
    found = {
        id(own): replace(own, images=Discordance(*each, p, adjusted))
        for own, each, p, adjusted in zip(tested, counts, p_values, holm(p_values), strict=True)
    }
    return tuple([found.get(id(own), own) for own in differences] for differences in pairs)


def is_tested(row: Row) -> bool:
    """Whether the figure is one of those whose p-values are adjusted together."""
    return row.name in TESTED and row.subset == ALL and row.source != IMAGE_ORACLE


def _discordant(difference: Difference) -> tuple[int, int]:
    a, b = difference.a.estimate.right, difference.b.estimate.right
    assert a is not None
    assert b is not None
    return int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))


def check_comparison(comparison: Comparison) -> None:
    """Raise when a table of differences contradicts itself: the images that one alone has right
    must make up the difference, and no adjusted p-value may be smaller than its own.

    Raises:
        EvaluationError: It does.
    """
    for difference in (own for pair in comparison.differences for own in pair):
        counts = difference.images
        if counts is None:
            continue
        where = ", ".join(str(part) for part in row_key(difference.a) if part is not None)
        implied = 100.0 * (counts.only_b - counts.only_a) / difference.a.images
        if abs(implied - difference.value) > SLACK:
            raise contradiction(
                f"a difference of {difference.value:.4f}, but {counts.only_a} and "
                f"{counts.only_b} images on which one alone is right",
                where,
                f"a difference of {implied:.4f}",
            )
        if not 0 <= counts.p <= counts.p_holm <= 1:
            raise contradiction(
                f"a p-value of {counts.p:g} that is adjusted to {counts.p_holm:g}",
                where,
                "0 <= p <= adjusted p <= 1",
            )
