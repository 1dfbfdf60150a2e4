"""Bootstrap over two crossed factors: a method's runs, and the images that all are scored on.

A method that was trained several times has a figure for each run and each resample of the images.
Drawing runs too makes an interval that speaks of other images and of other seeds at once. Every run
is scored on the same images, so both are drawn by themselves and crossed (the pigeonhole bootstrap:
Owen, Annals of Applied Statistics 2007; for trained networks: Sellam et al., The MultiBERTs, ICLR
2022).

Of n runs n - 1 are drawn: as many as n would make the variance of their mean (n - 1) / n of what it
is, a third less for three runs (McCarthy and Snowden 1985; Rao and Wu, JASA 1988).

What it covers. Where chance in single images makes the difference, 95 %. Where runs disagree about
single images, more: that counts three times (Owen), so intervals are up to 1.7 times as long as
they need be. Where runs differ far more than images explain, few of them cannot tell by how much,
and 95 % intervals of the difference of two methods hold it less often: about 67 % with 2 runs of
each, 87 % with 3, 90 % with 5, 93 % with 8; of two ways to score the same runs about 50 %, 75 %,
87 % and 91 % (simulated with normal figures).
"""

from __future__ import annotations

import numpy as np

from wsoltool.errors import EvaluationError


def draw_runs(runs: int, resamples: int, seed: int | tuple[int, ...] = 0) -> np.ndarray:
    """How often each resample holds each run: n - 1 of n with replacement, or the only one.

    Args:
        runs: n, at least 1.
        resamples: R, at least 1.
        seed: Fixes the resamples.

    Returns:
        ``(R, n)`` int64.

    Raises:
        EvaluationError: There are no runs or no resamples.

    Example:
        >>> draw_runs(1, 2).tolist(), draw_runs(3, 2).sum(axis=1).tolist()
        ([[1], [1]], [2, 2])
    """
    if runs < 1 or resamples < 1:
        raise EvaluationError(
            f"bootstrap of {runs} runs with {resamples} resamples", expected="at least one of each"
        )
    drawn = np.random.default_rng(seed).integers(0, runs, (resamples, max(runs - 1, 1)))
    return (drawn[:, :, None] == np.arange(runs)).sum(axis=1)


def over_runs(resampled: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean over each resample's runs, on that resample's images.

    Args:
        resampled: ``(n, R)`` float64, each run's figure in every resample of the images.
        counts: ``(R, n)`` of :func:`draw_runs`.

    Returns:
        ``(R,)`` float64.
    """
    return (counts.T * resampled).sum(axis=0) / counts.sum(axis=1)


def sign_p_value(resampled: np.ndarray) -> float:
    """Two-sided p-value of a difference of 0: twice the share of resamples on its far side.

    The least level at which the percentile interval holds 0; one resample more on the far side
    keeps it from 0 (Davison and Hinkley, Bootstrap Methods and their Application, 1997): it is at
    least 2 / (R + 1).

    Args:
        resampled: ``(R,)`` differences.

    Example:
        >>> sign_p_value(np.array([1.0, 2.0, 3.0, -1.0, 2.0, 1.0, 4.0]))
        0.5
    """
    beyond = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    return min(1.0, 2.0 * (int(beyond) + 1) / (len(resampled) + 1))
