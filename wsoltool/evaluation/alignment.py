"""Whether two evaluations are of the same images, and their results in one order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.data_entries import DataEntries, data_lines
from wsoltool.evaluation.further_results import FurtherResults
from wsoltool.evaluation.report_files import Report
from wsoltool.evaluation.results import LocalizationResults

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Images:
    """What an evaluation scored, without how it went.

    Attributes:
        path: Of its JSON file.
        protocols: That it followed.
        truth: Its results without curves, pixels and chosen thresholds; None without a
            localization table.
        further: Its further metrics' figures; None without.
        data: What it says of its images, see :mod:`wsoltool.evaluation.data_entries`.
    """

    path: str
    protocols: tuple[str, ...]
    truth: LocalizationResults | None
    further: FurtherResults | None
    data: DataEntries

    @classmethod
    def of(cls, report: Report) -> Images:
        truth, data = None, report.figures.get("data", {})
        if report.results is not None:
            truth = replace(report.results, curves={}, pixels=None, chosen_thresholds=None)
        return cls(str(report.path), _protocols(report), truth, report.further, data)


def aligned(report: Report, first: Images) -> Report:
    """The report with its images in the order of the first one's.

    Raises:
        EvaluationError: It is of other protocols, images or true boxes; or it has figures of
            further metrics, whose resamples are of another order.
    """
    _check_protocols(report, first)
    if report.further is not None and first.further is not None:
        own, other = report.further.image_ids, first.further.image_ids
        _check_ids(report, first, own, other)
        _check_further(report.further, first.further, f"{first.path} and {report.path}")
    if report.results is None or first.truth is None:
        return report
    _check_ids(report, first, report.results.image_ids, first.truth.image_ids)
    results, ids = report.results, first.truth.image_ids
    if not np.array_equal(results.image_ids, ids):
        order = np.argsort(results.image_ids)
        results = results.select(order[np.searchsorted(results.image_ids, ids, sorter=order)])
    _check_truth(results, first.truth, f"{first.path} and {report.path}")
    return replace(report, results=results)


def _protocols(report: Report) -> tuple[str, ...]:
    return () if report.results is None else tuple(report.results.curves)


def _check_protocols(report: Report, first: Images) -> None:
    own = _protocols(report)
    if set(own) != set(first.protocols):
        raise EvaluationError(
            f"the evaluations follow different protocols: {', '.join(first.protocols) or 'none'}; "
            f"{', '.join(own) or 'none'}",
            at=f"{first.path} and {report.path}",
            expected="the same protocols in both",
            hint="score both with the same evaluation.protocols",
        )


def _check_ids(report: Report, first: Images, others: np.ndarray, ids: np.ndarray) -> None:
    for path, own, other in ((first.path, ids, others), (str(report.path), others, ids)):
        alone = np.setdiff1d(own, other)
        if len(alone):
            shown = ", ".join(map(str, alone[:SHOWN])) + (", ..." if len(alone) > SHOWN else "")
            raise EvaluationError(
                f"{len(alone)} of {len(own)} images are in this evaluation alone: {shown}",
                at=path,
                expected="the same images in both, in any order",
                hint="; ".join(["score both on the same split", *_left_out(report, first)]),
            )


def _check_further(own: FurtherResults, first: FurtherResults, at: str) -> None:
    """Resamples can be compared where they hold the same images of the same truth."""
    if not np.array_equal(own.image_ids, first.image_ids):
        raise EvaluationError(
            "the evaluations' further metrics resampled the images in different orders",
            at=at,
            expected="the same data set, in the same order",
            hint="score both with the same test_dataloader.dataset",
        )
    differs = own.truths != first.truths
    if differs.any():
        raise EvaluationError(
            f"{differs.sum()} images have another label, size or other true objects, among them "
            f"{first.image_ids[differs][0]}",
            at=at,
            expected="the same truth in both",
            hint="score both with the same annotation",
        )


def _left_out(report: Report, first: Images) -> list[str]:
    """What either evaluation says of images that were left out of its data."""
    evaluations = {first.path: first.data, str(report.path): report.figures.get("data", {})}
    return [f"{path}: {line}" for path, data in evaluations.items() for line in data_lines(data)]


def _check_truth(results: LocalizationResults, first: LocalizationResults, at: str) -> None:
    """Labels, sizes and boxes decide what is right and what is small."""
    differs = (results.labels != first.labels) | (results.sizes != first.sizes).any(axis=1)
    for name in ("boxes", "annotated_boxes"):
        pairs = zip(getattr(results, name), getattr(first, name), strict=True)
        differs |= np.array([not np.array_equal(own, other) for own, other in pairs])
    with_part = [~np.isnan(each.part_iou) for each in (results, first)]
    if all(part.any() for part in with_part):
        differs |= with_part[0] != with_part[1]
    if differs.any():
        raise EvaluationError(
            f"{differs.sum()} images have other labels, sizes or true boxes, among them "
            f"{first.image_ids[differs][0]}",
            at=at,
            expected="the same truth in both",
            hint="score both with the same annotation",
        )
