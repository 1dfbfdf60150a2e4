"""Which images a row is over: all, or those with small objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsoltool.evaluation.estimates import Correct
from wsoltool.evaluation.results import TOP, LocalizationResults
from wsoltool.evaluation.rows import ALL, SMALL
from wsoltool.functional.bootstrap import Bootstrap

SMALL_SHARE = 0.5
"""Objects whose largest box covers less than this share of the image are ``small``."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How images are drawn anew.

    Attributes:
        resamples: 0 for no intervals.
        seed: Fixes them.
    """

    resamples: int
    seed: int

    def draws(self, images: int) -> Bootstrap | None:
        """Resamples of so many images, if there are to be any."""
        return Bootstrap(images, self.resamples, self.seed) if self.resamples else None


@dataclass(frozen=True, slots=True)
class Subset:
    """Some of the N scored images, and their resamples.

    Attributes:
        name: ``all`` or ``small``.
        kept: ``(N,)`` bool, or a slice of all, which copies nothing.
        images: How many are kept.
        correct: Of the kept images.
        draws: Likewise; None for no intervals.
    """

    name: str
    kept: np.ndarray | slice
    images: int
    correct: Correct
    draws: Bootstrap | None


def subsets(results: LocalizationResults, resampling: Resampling) -> list[Subset]:
    """All images, and those with small objects if there are others too."""
    small = results.area_shares() < SMALL_SHARE
    kept: dict[str, np.ndarray | slice] = {ALL: slice(None)}
    if small.any() and not small.all():
        kept[SMALL] = small
    correct = _correct(results)
    found = []
    for name, index in kept.items():
        own = {top: right[index] for top, right in correct.items()}
        images = len(results.labels[index])
        found.append(Subset(name, index, images, own, resampling.draws(images)))
    return found


def _correct(results: LocalizationResults) -> Correct:
    """Of each image, as far as class scores tell: nothing without, Top-5 with five classes each."""
    if results.top is None:
        return {}
    right = results.top == results.labels[:, None]
    correct = {"Top-1": right[:, 0]}
    return correct | {"Top-5": right.any(axis=1)} if right.shape[1] >= TOP else correct
