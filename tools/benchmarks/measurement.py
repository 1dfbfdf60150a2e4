"""What a benchmark answers, and how two ways of doing a thing are timed beside each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import cv2
import torch

#: Units of which less is faster.
TIMES = ("s", "CPU ms")


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure of a measurement: ``of`` is ``ours`` or ``ratio``.

    Example:
        >>> str(Target("ours", below=0.5))
        'ours < 0.5'
    """

    of: str
    above: float | None = None
    below: float | None = None

    def is_met(self, figure: float) -> bool:
        """Whether the figure is at least ``above``, and less than ``below``."""
        return (self.above is None or figure >= self.above) and (
            self.below is None or figure < self.below
        )

    def __str__(self) -> str:
        return (
            f"{self.of} < {self.below:g}" if self.above is None else f"{self.of} >= {self.above:g}"
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """Ours beside a reference, from one run on one machine.

    Attributes:
        name: The benchmark's.
        ours: Median over the rounds, in ``unit``.
        reference: Likewise.
        ratio: How many times as fast ours is as the reference; median of the rounds' own ratios.
        unit: Of ``ours`` and ``reference``.
        target: What ours should reach, where something is asked of it.
    """

    name: str
    ours: float
    reference: float
    ratio: float
    unit: str
    target: Target | None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return self.target and self.target.is_met(getattr(self, self.target.of))

    def plain(self) -> dict[str, Any]:
        """For JSON: the six attributes, the target as text or None, and ``met``."""
        return {
            "name": self.name,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "unit": self.unit,
            "target": self.target and str(self.target),
            "met": self.met,
        }


def compare(
    name: str,
    unit: str,
    target: Target | None,
    ours: Sequence[float],
    reference: Sequence[float],
) -> Measurement:
    """Summarize the rounds; in units of time less is faster, in every other one more is.

    A round's two figures were taken within seconds of each other and share the machine's mood, so
    that their ratio is steadier than the ratio of two medians.
    """
    pairs = list(zip(ours, reference, strict=True))
    ratios = [theirs / own if unit in TIMES else own / theirs for own, theirs in pairs]
    return Measurement(name, median(ours), median(reference), median(ratios), unit, target)


def alternate(
    ours: Callable[[], float], reference: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Call both in turn, ``rounds`` times: their figures, by round."""
    figures = [(ours(), reference()) for _ in range(rounds)]
    own, theirs = zip(*figures, strict=True)
    return list(own), list(theirs)


def cpu_rate(work: Callable[[], Any], items: int) -> float:
    """Items done in a second that this thread has a core: other jobs hardly matter."""
    start = time.thread_time()
    work()
    return items / (time.thread_time() - start)


def clock() -> float:
    """Seconds of a core for this thread; with a GPU, which works beside it, seconds on the wall."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep OpenCV and torch to the calling thread."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
