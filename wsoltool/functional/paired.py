"""Tests of two answers to the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsoltool.errors import EvaluationError


def mcnemar(only_a: int, only_b: int) -> float:
    r"""Exact two-sided p-value that A and B are right equally often.

    McNemar, Psychometrika 1947: only the images count on which one is right and the other wrong.
    If neither is better, each of these n is A's with probability 1/2:

    .. math:: p = \min(1, 2 \sum_{k=0}^{\min(a, b)} \binom{n}{k} 2^{-n})

    Whole numbers are added and divided once, so that the value is exact at any n.

    Args:
        only_a: Images on which A alone is right.
        only_b: Images on which B alone is right.

    Raises:
        EvaluationError: A count is negative.

    Example:
        >>> mcnemar(1, 5), mcnemar(3, 3), mcnemar(0, 0)
        (0.21875, 1.0, 1.0)
    """
    if min(only_a, only_b) < 0:
        raise EvaluationError(f"{only_a} and {only_b} images", expected="counts from 0")
    images = only_a + only_b
    term = total = 1  # binomials
    for k in range(min(only_a, only_b)):
        term = term * (images - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**images)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given.

    Holm, Scandinavian Journal of Statistics 1979: the smallest of m is multiplied by m, the next by
    m - 1 and so on, none becomes smaller than the one before it or larger than 1. Calling those
    below .05 significant errs in any of them with a probability below .05.

    Example:
        >>> holm([0.25, 0.125, 0.5])
        [0.5, 0.375, 0.5]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()
