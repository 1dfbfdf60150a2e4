"""The files of an evaluation: every figure as JSON, the results of each image beside it.

``figures.json`` names ``figures.npz``, ``figures.fullsup.npz`` where thresholds were chosen on
train-fullsup, and ``figures.further.npz`` with further metrics' figures in every resample of the
images, by paths relative to itself: the files may be moved together. With them figures are compared
(``wsoltool compare``) without running a model again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsoltool.errors import EvaluationError, WorkDirError
from wsoltool.evaluation.data_entries import are_data_entries
from wsoltool.evaluation.further_results import FurtherResults
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.evaluation.rows import Summary
from wsoltool.evaluation.table import report
from wsoltool.paths import file_sha256, whole_file

FORMAT = "wsoltool figures 1"
RESULTS, FULLSUP, FURTHER = "results", "fullsup", "further"
EXPECTED = "a file that wsoltool test --json or wsoltool evaluate --json wrote"
AGAIN = "write it again with --json"


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation as it was written.

    Attributes:
        path: Of the JSON file.
        figures: Its content, see :func:`wsoltool.evaluation.table.report`.
        results: Of each scored image; None without a localization table.
        fullsup: Of each image of train-fullsup, where thresholds were chosen on them.
        further: Of further metrics, where there are any. There are these or ``results``, or both.
    """

    path: Path
    figures: dict[str, Any]
    results: LocalizationResults | None
    fullsup: LocalizationResults | None
    further: FurtherResults | None = None


def write_report(
    path: str | Path,
    summary: Summary | None,
    results: LocalizationResults | None,
    fullsup: LocalizationResults | None = None,
    further: Mapping[str, Any] | None = None,
    of_further: FurtherResults | None = None,
) -> None:
    """Write the figures, and what they are compared by.

    Each file gets its name once it is complete, the JSON file last.

    Args:
        path: Of the JSON file.
        summary: What was made of ``results`` and ``fullsup``; None without a localization table.
        results: Of the scored split; None with it.
        fullsup: Of train-fullsup, if thresholds were chosen on it.
        further: Plain entries to add, such as ``config``; none of the report's own.
        of_further: Figures of further metrics.

    Raises:
        WorkDirError: The files cannot be written.
    """
    path = Path(path)
    stem = path.name.removesuffix(".json")
    files: dict[str, tuple[Path, LocalizationResults | FurtherResults]] = {}
    if results is not None:
        files[RESULTS] = (path.with_name(f"{stem}.npz"), results)
    if fullsup is not None:
        files[FULLSUP] = (path.with_name(f"{stem}.fullsup.npz"), fullsup)
    if of_further is not None:
        files[FURTHER] = (path.with_name(f"{stem}.further.npz"), of_further)
    try:
        for beside, content in files.values():
            content.save(beside)
        written = {name: _entry(beside) for name, (beside, _) in files.items()}
        table = {} if summary is None else report(summary)
        figures = {"format": FORMAT, **table, "files": written, **(further or {})}
        with whole_file(path) as file:
            file.write((json.dumps(figures, indent=2) + "\n").encode())
    except OSError as error:
        raise WorkDirError(
            f"the figures cannot be written: {error.strerror or error}",
            at=str(path),
            hint="make room, or name another file with --json",
        ) from error


def read_report(path: str | Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        EvaluationError: One of the files is missing, damaged, or of another evaluation.
    """
    path = Path(path)
    figures = _read_json(path)
    if figures.get("format") != FORMAT:
        raise EvaluationError(
            f"no figures of an evaluation (format {figures.get('format')!r})",
            at=str(path),
            expected=f"{EXPECTED}, format {FORMAT!r}",
            hint=AGAIN,
        )
    files = figures.get("files")
    if not isinstance(files, dict) or not files.keys() & {RESULTS, FURTHER}:
        raise EvaluationError(
            "the figures name no results of single images",
            at=f"{path}: files.{RESULTS}",
            expected=f"{EXPECTED}, with the localization table or metrics of several classes",
            hint=AGAIN,
        )
    _check_entries(path, figures, RESULTS in files)
    beside = {name: _beside(path, name, entry) for name, entry in files.items()}
    results, fullsup = (
        LocalizationResults.load(beside[name]) if name in beside else None
        for name in (RESULTS, FULLSUP)
    )
    further = FurtherResults.load(beside[FURTHER]) if FURTHER in beside else None
    return Report(path, figures, results, fullsup, further)


def _check_entries(path: Path, figures: dict[str, Any], has_table: bool) -> None:
    """What others compute with must be there; numbers elsewhere are their business."""
    threshold = figures.get("fixed_threshold")
    rows = figures.get("rows", None if has_table else [])
    number = isinstance(threshold, int | float) and 0 <= threshold < 1
    names = {"metric", "value", "protocol", "threshold_source", "subset"}
    complete = isinstance(rows, list) and all(
        isinstance(row, dict) and names <= row.keys() and isinstance(row["value"], int | float)
        for row in rows
    )
    sound = are_data_entries(figures.get("data", {})) and _is_training(figures.get("training", {}))
    if not complete or not sound or not (threshold is None or number):
        raise EvaluationError(
            "the figures are incomplete",
            at=f"{path}: rows, fixed_threshold, data, training",
            expected=EXPECTED,
            hint=AGAIN,
        )


def _is_training(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("seed", 0)) is int
        and isinstance(entry.get("run", ""), str)
    )


def _entry(path: Path) -> dict[str, str]:
    return {"path": path.name, "sha256": file_sha256(path)}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EvaluationError(
            f"cannot read figures: {reason or error}", at=str(path), expected=EXPECTED
        ) from error
    if not isinstance(figures, dict):
        raise EvaluationError("the file holds no figures", at=str(path), expected=EXPECTED)
    return figures


def _beside(path: Path, name: str, entry: Any) -> Path:
    """The file that an entry names, if it is the one that was written."""
    where = f"{path}: files.{name}"
    try:
        beside, digest = path.parent / entry["path"], entry["sha256"]
    except (TypeError, KeyError) as error:
        raise EvaluationError(
            f"not a file's name and digest: {entry!r}", at=where, expected=EXPECTED, hint=AGAIN
        ) from error
    if not beside.is_file():
        raise EvaluationError(
            f"the results of single images are missing: {beside}",
            at=where,
            expected="the .npz files beside the .json file",
            hint="copy all files of an evaluation together, or write them again with --json",
        )
    if file_sha256(beside) != digest:
        raise EvaluationError(
            f"{beside} is not the file that the figures were written with",
            at=where,
            expected=f"SHA-256 {digest}",
            hint="keep the files of an evaluation together, or write them again with --json",
        )
    return beside
