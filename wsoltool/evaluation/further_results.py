"""What is kept of further metrics' figures, so that evaluations can be compared.

A figure of several classes or pooled pixels is no mean over images: what a resample of the images
makes of it cannot be had from its parts by a common rule. So the figure itself is kept, of every
resample. The resamples of N images are the same for whatever is scored (:class:`Bootstrap`, seed
0), so two evaluations of the same images, in the same order, are compared resample by resample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.estimates import Estimate
from wsoltool.evaluation.results import DAMAGE, read_arrays
from wsoltool.evaluation.rows import Row
from wsoltool.paths import whole_file

if TYPE_CHECKING:  # it imports torch, which comparing does without
    from wsoltool.evaluation.further import FurtherSummary

FORMAT = 1
SEED = 0
"""Of the resamples, see :meth:`wsoltool.evaluation.further.FurtherMetric.draws`."""


@dataclass(frozen=True, slots=True)
class FurtherResults:
    """The figures of an evaluation's further metrics, in percent.

    Attributes:
        image_ids: ``(N,)`` str, in the order in which they were resampled.
        truths: ``(N,)`` str, see :func:`wsoltool.evaluation.further.truth_digest`.
        values: Figure name -> the model's.
        resampled: Figure name -> ``(R,)`` float64; of those that were resampled.
    """

    image_ids: np.ndarray
    truths: np.ndarray
    values: Mapping[str, float]
    resampled: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, tables: Sequence[FurtherSummary]) -> FurtherResults | None:
        """What the metrics of one evaluation found; None where there are none."""
        tables = [table for table in tables if table.scored]
        if not tables:
            return None
        figures = [figure for table in tables for figure in table.figures]
        return cls(
            image_ids=np.array([own.image_id for own in tables[0].scored], dtype=np.str_),
            truths=np.array([own.truth for own in tables[0].scored], dtype=np.str_),
            values={figure.name: figure.value for figure in figures},
            resampled={f.name: f.resampled for f in figures if f.resampled is not None},
        )

    def rows(self, resamples: int, seed: int) -> list[Row]:
        """The figures that can be compared over these resamples, as rows without a protocol."""
        return [
            Row(name, Estimate(value, (), self.resampled[name][:resamples]), len(self.image_ids))
            for name, value in self.values.items()
            if self.hindrance(name, resamples, seed) is None
        ]

    def left_out(self, resamples: int, seed: int) -> list[str]:
        """The figures that cannot, as lines that say why."""
        names: dict[str, list[str]] = {}
        for name in self.values:
            if (reason := self.hindrance(name, resamples, seed)) is not None:
                names.setdefault(reason, []).append(name)
        return [f"{', '.join(own)}: not compared, {reason}" for reason, own in names.items()]

    def hindrance(self, name: str, resamples: int, seed: int) -> str | None:
        """Why a figure cannot be compared over these resamples; None where it can."""
        kept = self.resampled.get(name)
        if kept is None:
            return "for it was tested with resamples=0"
        if seed != SEED:
            return f"for it was resampled with seed {SEED}"
        if len(kept) < resamples:
            return f"for it was resampled {len(kept)} times, not {resamples}"
        if np.isnan(kept[:resamples]).any():
            return "for it has no value in some resamples"
        return None

    def save(self, path: str | Path) -> None:
        """Write one compressed ``.npz``, whole or not at all."""
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "image_ids": self.image_ids,
            "truths": self.truths,
            "names": np.array(list(self.values), dtype=np.str_),
            "values": np.array(list(self.values.values()), dtype=np.float64),
        }
        for index, name in enumerate(self.values):
            if name in self.resampled:
                arrays[f"resampled.{index}"] = self.resampled[name]
        with whole_file(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> FurtherResults:
        """Read what :meth:`save` wrote.

        Raises:
            EvaluationError: The file is missing, damaged or something else.
        """
        try:
            arrays = read_arrays(path, FORMAT)
            names = arrays["names"].tolist()
            kept = {name: arrays.get(f"resampled.{index}") for index, name in enumerate(names)}
            return cls(
                image_ids=arrays["image_ids"],
                truths=arrays["truths"],
                values=dict(zip(names, arrays["values"].tolist(), strict=True)),
                resampled={name: own for name, own in kept.items() if own is not None},
            )
        except (*DAMAGE, OSError) as error:
            raise EvaluationError(
                f"cannot read figures of further metrics: {error}",
                at=str(path),
                expected="an .npz file that wsoltool test --json wrote",
            ) from error
