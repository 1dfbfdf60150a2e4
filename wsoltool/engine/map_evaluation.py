"""Evaluating a folder of maps: what is asked is checked first, then the files are read once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2

from wsoltool.datasets.records import check_box_convention
from wsoltool.engine.maps import MapRules, MapScorer, Outcome, score_maps
from wsoltool.engine.scored_split import ScoredSplit, SplitSource, read_split
from wsoltool.errors import DataError, EvaluationError, check_choice
from wsoltool.evaluation.bad_maps import POLICIES, BadMaps
from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.folder import find_maps
from wsoltool.evaluation.protocols import get_protocols
from wsoltool.evaluation.ranking import read_ranking
from wsoltool.evaluation.report_files import Report, read_report
from wsoltool.evaluation.results import ImageResult, LocalizationResults
from wsoltool.evaluation.summary import Summary, summarize
from wsoltool.functional.map_arrays import check_interpolation

Watch = Callable[[Iterator[Outcome], int], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class MapRequest:
    """What is to be evaluated, and how.

    Attributes:
        maps: Folder of the maps, see :mod:`wsoltool.evaluation.folder`.
        metadata: One split's folder, see :class:`~wsoltool.engine.scored_split.SplitSource`.
        masks: Folder of the mask files, where ``localization.txt`` lists masks, or where these are
            no longer where an index says.
        images: Folder of the images, for their sizes where ``image_sizes.txt`` has none.
        scores: File of class rankings, see :mod:`wsoltool.evaluation.ranking`.
        fullsup: Figures of an earlier evaluation of train-fullsup, to choose thresholds on.
        box_convention: Of the annotation; None: what an index says, ``exclusive`` for text.
        rules: How maps are read and scored; their box convention is replaced by what was found.
        workers: Threads; 0: none beside the caller's.
        resamples: Of the bootstrap; 0 for no intervals.
    """

    maps: Path
    metadata: Path
    masks: Path | None = None
    images: Path | None = None
    scores: Path | None = None
    fullsup: Path | None = None
    box_convention: str | None = None
    rules: MapRules = field(default_factory=MapRules)
    workers: int = 0
    resamples: int = 1000


@dataclass(slots=True)
class MapEvaluation:
    """What an evaluation gave.

    Attributes:
        summary: All figures, checked; None where bad maps leave none.
        results: Of each image behind them; likewise.
        fullsup: The results that thresholds were chosen on, if any.
        bad: The bad maps.
        extra: Maps that belong to no image.
        box_convention: That was followed.
        data: Split -> which images were scored or chose thresholds, see
            :meth:`~wsoltool.datasets.provenance.Provenance.plain`.
        seconds: That the pass over the maps took.
    """

    summary: Summary | None
    results: LocalizationResults | None
    fullsup: LocalizationResults | None
    bad: BadMaps
    extra: Sequence[str]
    box_convention: str
    data: dict[str, dict[str, Any]]
    seconds: float = 0.0


def evaluate_maps(
    request: MapRequest, watch: Watch = lambda outcomes, total: outcomes
) -> MapEvaluation:
    """Score every map of a split.

    Args:
        request: What and how.
        watch: Shows progress: the outcomes as they come and their number, to the same outcomes.

    Raises:
        WsolError: An argument, the metadata or another file cannot be used. Bad maps are not
            raised but told in the answer.
    """
    _check_options(request)
    split = _read_split(request)
    records, rules = split.records, replace(request.rules, box_convention=split.box_convention)
    ranking = None if request.scores is None else read_ranking(request.scores, records.ids)
    report = None if request.fullsup is None else _read_fullsup(request.fullsup, rules)
    fullsup = None if report is None else report.results
    folder = find_maps(request.maps, records.ids)
    missing = folder.missing(records.ids)
    bad = BadMaps(request.maps, len(records), rules.bad_maps, missing)
    data = _data(split, report)
    evaluation = MapEvaluation(None, None, fullsup, bad, folder.extra, split.box_convention, data)
    if missing and (bad.policy == "error" or len(missing) == len(records)):
        return evaluation
    start = time.perf_counter()
    scorer = MapScorer(records, folder, rules, ranking)
    items = _pass(scorer, request, bad, watch)
    evaluation.seconds = time.perf_counter() - start
    if not (bad.maps and bad.policy == "error") and len(bad) < len(records):
        evaluation.results = _stack(items, rules)
        evaluation.summary = summarize(
            evaluation.results, fullsup, rules.threshold, request.resamples
        )
        check_summary(evaluation.summary)
    return evaluation


def _data(split: ScoredSplit, fullsup: Report | None) -> dict[str, dict[str, Any]]:
    """What the figures are about, and what their thresholds were chosen on."""
    data = {split.name: split.provenance.plain()}
    for chosen_on in ({} if fullsup is None else fullsup.figures.get("data", {})).values():
        data.setdefault("train-fullsup", chosen_on)
    return data


def _pass(scorer: MapScorer, request: MapRequest, bad: BadMaps, watch: Watch) -> list[ImageResult]:
    """The results of all images that have one; ``bad.maps`` is found anew."""
    items: list[ImageResult] = []
    bad.maps = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the workers share the cores already
    try:
        outcomes = score_maps(scorer, request.workers)
        for result, bad_map in watch(outcomes, len(scorer.records)):
            items += [] if result is None else [result]
            bad.maps += [] if bad_map is None else [bad_map]
    finally:
        cv2.setNumThreads(threads)
    return items


def _stack(items: list[ImageResult], rules: MapRules) -> LocalizationResults:
    grids = {protocol.name: protocol.thresholds for protocol in get_protocols(rules.protocols)}
    return LocalizationResults.stack(items, grids)


def default_workers() -> int:
    """One a core that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_options(request: MapRequest) -> None:
    """Raise for whatever the arguments alone tell."""
    rules = request.rules
    get_protocols(rules.protocols)
    check_interpolation(rules.interpolation)
    if request.box_convention is not None:
        check_box_convention(request.box_convention)
    check_choice(f"unknown policy {rules.bad_maps!r} for bad maps", rules.bad_maps, POLICIES)
    for option in ("maps", "metadata", "masks", "images"):
        folder = getattr(request, option)
        if folder is not None and not folder.is_dir():
            raise DataError("the folder does not exist", at=str(folder), hint=f"see --{option}")


def _read_split(request: MapRequest) -> ScoredSplit:
    squashes = all(protocol.squashes for protocol in get_protocols(request.rules.protocols))
    source = SplitSource(request.metadata, request.masks, request.images, request.box_convention)
    return read_split(source, squashes)


def _read_fullsup(path: Path, rules: MapRules) -> Report:
    """Results of train-fullsup, whose maps were treated as these are to be."""
    report = read_report(path)
    for name in ("interpolation", "normalise"):
        wanted, found = getattr(rules, name), report.figures.get(name)
        if found != wanted:
            raise EvaluationError(
                f"{name} is {wanted!r} here and {found!r} for the maps of train-fullsup",
                at=str(path),
                expected="figures that wsoltool evaluate wrote with the same options",
                hint="thresholds suit only maps that are treated in the same way",
            )
    return report
