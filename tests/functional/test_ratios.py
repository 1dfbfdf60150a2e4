from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.functional.ratios import Fractions, defined_mean


def random_fractions(seed, images=6, groups=4):
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 15)
    return Fractions(
        rng.integers(0, images, count),
        rng.integers(0, groups, count),
        rng.integers(0, 5, count),
        rng.integers(0, 9, count),
        groups,
    )


def slow_ratio(parts, copies, wanted):
    top = bottom = 0
    for image, group, up, down in zip(
        parts.images, parts.groups, parts.numerators, parts.denominators, strict=True
    ):
        if group in wanted:
            top += copies[image] * up
            bottom += copies[image] * down
    return top / bottom if bottom else np.nan


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ratios_of_resamples_are_those_of_repeated_images(seed):
    parts = random_fractions(seed)
    counts = np.random.default_rng(seed).multinomial(6, [1 / 6] * 6, 3).astype(np.uint16)
    expected = [[slow_ratio(parts, row, {g}) for g in range(4)] for row in counts]
    np.testing.assert_allclose(parts.resampled(counts), expected)
    ones = np.ones((1, 6), np.uint16)
    np.testing.assert_allclose(parts.resampled(ones)[0], parts.ratios())
    pooled = [[slow_ratio(parts, row, set(range(4)))] for row in counts]
    np.testing.assert_allclose(parts.pooled().resampled(counts), pooled)


def test_blocks_do_not_matter(monkeypatch):
    parts = random_fractions(5)
    counts = np.random.default_rng(0).integers(0, 4, (11, 6)).astype(np.uint16)
    whole = parts.resampled(counts)
    monkeypatch.setattr("wsoltool.functional.ratios.BLOCK", 8)
    np.testing.assert_array_equal(parts.resampled(counts), whole)


def test_shares_are_means():
    shares = Fractions.shares(
        np.arange(3), np.array([1, 1, 0]), np.array([True, False, True]), count=3
    )
    np.testing.assert_allclose(shares.ratios(), [1, 0.5, np.nan])


def test_the_mean_leaves_out_what_is_undefined():
    values = np.array([[0.0, np.nan, 1.0], [np.nan, np.nan, 0.25]])
    np.testing.assert_allclose(defined_mean(values), [0.5, 0.25])
    assert np.isnan(defined_mean(np.array([np.nan])))
    assert np.isnan(defined_mean(np.zeros(0)))
