"""Arrays with long runs of equal values, kept as the runs: lossless, and small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LONG = 2**16


@dataclass(frozen=True, slots=True)
class Runs:
    """A flat array as the values of its runs and where each begins.

    Attributes:
        values: ``(R,)`` the runs' values.
        starts: ``(R,)`` uint16, or uint32 for long arrays, rising from 0.
        length: Of the array.
    """

    values: np.ndarray
    starts: np.ndarray
    length: int

    @classmethod
    def of(cls, array: np.ndarray) -> Runs:
        """The runs of ``array``, of any shape and at least one element, in C order.

        Example:
            >>> runs = Runs.of(np.array([[7, 7], [7, 2]]))
            >>> runs.values.tolist(), runs.starts.tolist()
            ([7, 2], [0, 3])
        """
        flat = np.ravel(array)
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        kind = np.uint16 if len(flat) <= LONG else np.uint32
        starts = np.concatenate([[0], changes]).astype(kind)
        return cls(flat[starts], starts, len(flat))

    def expand(self, out: np.ndarray) -> None:
        """Write the array into ``out``, of its number of elements and in C order."""
        lengths = np.diff(np.append(self.starts.astype(np.int64), self.length))
        out.reshape(-1)[:] = np.repeat(self.values, lengths)
