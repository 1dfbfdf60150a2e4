"""What every table must satisfy whatever was evaluated; a violation is an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.estimates import IOUS
from wsoltool.evaluation.summary import ORACLE, Row, Summary

SLACK = 1e-6
"""Percent; the order of floating-point sums may differ between two rows."""

Figures = dict[str, float]
PARTS = tuple(f"MaxBoxAccV2@{iou}" for iou in IOUS)


def check_summary(summary: Summary) -> None:
    """Check the model's and the controls' figures against each other.

    For rows of one protocol, threshold source and subset:

    - ``cls + GT-known - 100 <= Top-k Loc <= min(cls, GT-known)``: both must be right at once;
    - MaxBoxAccV2 is the mean of its parts;
    - box accuracy does not rise with IoU, where each IoU has the best threshold on the scored
      images. (A threshold chosen elsewhere may suit IoU 0.5 better than 0.3.)

    Raises:
        EvaluationError: The table contradicts itself.
    """
    for where, source, figures in _tables(summary.rows):
        for top in ("Top-1", "Top-5"):
            if f"{top} Loc" in figures:
                _check_both_right(where, top, figures)
        if "MaxBoxAccV2" in figures:
            _check_parts(where, figures, ordered=source == ORACLE)


def _tables(rows: list[Row]) -> Iterator[tuple[str, str | None, Figures]]:
    """Figures by metric for each protocol, source and subset, of the model and each control."""
    groups = dict.fromkeys((row.protocol, row.source, row.subset) for row in rows if row.protocol)
    for protocol, source, subset in groups:
        classes = {
            row.name: row.estimate.value
            for row in rows
            if row.protocol is None and row.subset == subset
        }
        key = (protocol, source, subset)
        group = [row for row in rows if (row.protocol, row.source, row.subset) == key]
        where = f"{protocol}, {source}, {subset}"
        yield where, source, classes | {row.name: row.estimate.value for row in group}
        for control in dict.fromkeys(name for row in group for name in row.controls):
            own = {row.name: row.controls[control] for row in group if control in row.controls}
            yield f"{where}, {control}", source, classes | own


def _check_both_right(where: str, top: str, figures: Figures) -> None:
    both, cls, known = figures[f"{top} Loc"], figures[f"{top} Cls"], figures["GT-known Loc"]
    if not cls + known - 100 - SLACK <= both <= min(cls, known) + SLACK:
        raise _contradiction(
            f"{top} Loc {both:.3f} does not fit {top} Cls {cls:.3f} and GT-known Loc {known:.3f}",
            where,
            f"{top} Cls + GT-known Loc - 100 <= {top} Loc <= min({top} Cls, GT-known Loc)",
        )


def _check_parts(where: str, figures: Figures, ordered: bool) -> None:
    parts = [figures[name] for name in PARTS]
    shown = ", ".join(f"{value:.3f}" for value in parts)
    if abs(figures["MaxBoxAccV2"] - sum(parts) / len(parts)) > SLACK:
        raise _contradiction(
            f"MaxBoxAccV2 {figures['MaxBoxAccV2']:.3f} is not the mean of its parts ({shown})",
            where,
            "the mean over IoU 0.3, 0.5 and 0.7",
        )
    if ordered and any(later > earlier + SLACK for earlier, later in pairwise(parts)):
        raise _contradiction(
            f"box accuracy rises with IoU ({shown})", where, "accuracy at 0.3 >= at 0.5 >= at 0.7"
        )


def _contradiction(what: str, where: str, expected: str) -> EvaluationError:
    return EvaluationError(
        what,
        at=where,
        expected=expected,
        hint="this is an error in wsoltool, not in your model: please report it",
    )
