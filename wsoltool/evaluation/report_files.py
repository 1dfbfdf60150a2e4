"""The files of an evaluation: every figure as JSON, the results of each image beside it.

``figures.json`` names ``figures.npz``, and ``figures.fullsup.npz`` where thresholds were chosen on
train-fullsup, by paths relative to itself: the files may be moved together. With them figures are
compared image by image (``wsoltool compare``) without running a model again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsoltool.errors import EvaluationError, WorkDirError
from wsoltool.evaluation.data_entries import are_data_entries
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.evaluation.rows import Summary
from wsoltool.evaluation.table import report
from wsoltool.paths import whole_file

FORMAT = "wsoltool figures 1"
RESULTS, FULLSUP = "results", "fullsup"
EXPECTED = "a file that wsoltool test --json or wsoltool evaluate --json wrote"
AGAIN = "write it again with --json"


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation as it was written.

    Attributes:
        path: Of the JSON file.
        figures: Its content, see :func:`wsoltool.evaluation.table.report`.
        results: Of each scored image.
        fullsup: Of each image of train-fullsup, where thresholds were chosen on them.
    """

    path: Path
    figures: dict[str, Any]
    results: LocalizationResults
    fullsup: LocalizationResults | None


def write_report(
    path: str | Path,
    summary: Summary | None,
    results: LocalizationResults | None,
    fullsup: LocalizationResults | None = None,
    further: Mapping[str, Any] | None = None,
) -> None:
    """Write the figures, and the per-image results that they were made of.

    Each file gets its name once it is complete, the JSON file last.

    Args:
        path: Of the JSON file.
        summary: What was made of ``results`` and ``fullsup``; None without a localization table.
        results: Of the scored split; None with it.
        fullsup: Of train-fullsup, if thresholds were chosen on it.
        further: Plain entries to add, such as ``config``; none of the report's own.

    Raises:
        WorkDirError: The files cannot be written.
    """
    path = Path(path)
    stem = path.name.removesuffix(".json")
    files = {}
    if results is not None:
        files[RESULTS] = (path.with_name(f"{stem}.npz"), results)
    if fullsup is not None:
        files[FULLSUP] = (path.with_name(f"{stem}.fullsup.npz"), fullsup)
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
    if not isinstance(files, dict) or RESULTS not in files:
        raise EvaluationError(
            "the figures name no results of single images",
            at=f"{path}: files.{RESULTS}",
            expected=f"{EXPECTED}, with the localization table",
            hint=AGAIN,
        )
    _check_entries(path, figures)
    results = _read_beside(path, RESULTS, files[RESULTS])
    fullsup = _read_beside(path, FULLSUP, files[FULLSUP]) if FULLSUP in files else None
    return Report(path, figures, results, fullsup)


def _check_entries(path: Path, figures: dict[str, Any]) -> None:
    """What others compute with must be there; numbers elsewhere are their business."""
    threshold, rows = figures.get("fixed_threshold"), figures.get("rows")
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
    return {"path": path.name, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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


def _read_beside(path: Path, name: str, entry: Any) -> LocalizationResults:
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
    if _digest(beside) != digest:
        raise EvaluationError(
            f"{beside} is not the file that the figures were written with",
            at=where,
            expected=f"SHA-256 {digest}",
            hint="keep the files of an evaluation together, or write them again with --json",
        )
    return LocalizationResults.load(beside)
