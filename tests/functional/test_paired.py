from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError
from wsoltool.functional.paired import holm, mcnemar


def slow_mcnemar(only_a: int, only_b: int) -> float:
    """Every outcome of n coins, counted where it is at least as uneven."""
    uneven = abs(only_a - only_b)
    outcomes = list(product((1, -1), repeat=only_a + only_b))
    return sum(abs(sum(outcome)) >= uneven for outcome in outcomes) / len(outcomes)


@pytest.mark.parametrize(("a", "b"), list(product(range(6), repeat=2)))
def test_mcnemar_counts_the_outcomes_of_coins(a, b):
    assert mcnemar(a, b) == slow_mcnemar(a, b)


def test_mcnemar_of_many_images():
    # Normal approximation with continuity correction: z = (|12100 - 11900| - 1) / sqrt(24000)
    assert mcnemar(12100, 11900) == pytest.approx(0.19889, abs=1e-4)
    assert mcnemar(0, 900) == 2.0**-899
    assert mcnemar(0, 5000) == 0.0


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_knows_no_order_and_stays_a_probability(a, b):
    assert mcnemar(a, b) == mcnemar(b, a)
    assert 0 < mcnemar(a, b) <= 1
    tail = sum(comb(a + b, k) for k in range(min(a, b) + 1))
    assert mcnemar(a, b) == min(1.0, 2 * tail / 2 ** (a + b))


def test_counts_below_zero():
    with pytest.raises(EvaluationError, match="-1 and 3 images"):
        mcnemar(-1, 3)


def test_holm_by_hand():
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_rejects_what_holms_steps_reject(values):
    adjusted = holm(values)
    assert all(p <= a <= 1 for p, a in zip(values, adjusted, strict=True))
    by_p = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in by_p] == sorted(adjusted)
    rejected = 0
    for left, p in zip(range(len(values), 0, -1), sorted(values), strict=True):
        if p * left > 0.05:
            break
        rejected += 1
    assert rejected == sum(a <= 0.05 for a in adjusted)
