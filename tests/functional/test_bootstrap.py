from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.functional.bootstrap import Bootstrap, interval


def slow_samples(draws: Bootstrap) -> list[np.ndarray]:
    """Every resample as a list of image indices."""
    return [np.repeat(np.arange(len(counts)), counts) for counts in draws.counts]


def test_every_resample_has_as_many_images():
    draws = Bootstrap(37, 250)
    assert draws.counts.shape == (250, 37)
    assert (draws.counts.sum(axis=1) == 37).all()
    # A binomial count: mean 1, variance 1 - 1/37
    assert abs(draws.counts.var() - 36 / 37) < 0.05


def test_the_seed_fixes_the_resamples():
    np.testing.assert_array_equal(Bootstrap(9, 20).counts, Bootstrap(9, 20).counts)
    assert (Bootstrap(9, 20).counts != Bootstrap(9, 20, seed=1).counts).any()


def test_means_equal_those_of_the_listed_images():
    draws = Bootstrap(11, 130)
    values = np.random.default_rng(0).random(11)
    expected = [values[sample].mean() for sample in slow_samples(draws)]
    np.testing.assert_allclose(draws.means(values), expected, rtol=1e-12)


def test_the_best_column_is_chosen_in_every_resample():
    draws = Bootstrap(13, 130)
    hits = np.random.default_rng(1).random((13, 8)) < 0.5
    hits[:, 3:6] = hits[:, 3:4]  # equal neighbours
    means, columns = draws.best(hits)
    for row, sample in enumerate(slow_samples(draws)):
        accuracy = hits[sample].mean(axis=0)
        assert means[row] == pytest.approx(accuracy.max(), abs=1e-12)
        assert columns[row] == accuracy.argmax()
    assert len(np.unique(columns)) > 2


def test_means_at_each_resamples_own_column():
    draws = Bootstrap(13, 60)
    values = np.random.default_rng(2).random((13, 4))
    columns = np.random.default_rng(3).integers(0, 4, 60)
    expected = [
        values[sample, column].mean()
        for sample, column in zip(slow_samples(draws), columns, strict=True)
    ]
    found = draws.means_at(lambda column: values[:, column], columns)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_interval_of_a_proportion_is_the_binomial_one():
    hits = np.arange(1000) < 700
    low, high = interval(Bootstrap(1000, 2000).means(hits))
    half = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert low == pytest.approx(0.7 - half, abs=0.004)
    assert high == pytest.approx(0.7 + half, abs=0.004)


@pytest.mark.parametrize(("images", "resamples"), [(0, 10), (10, 0)])
def test_nothing_to_resample(images, resamples):
    with pytest.raises(EvaluationError, match="at least one of each"):
        Bootstrap(images, resamples)
