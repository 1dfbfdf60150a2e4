from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.functional.bootstrap import Bootstrap, interval
from wsoltool.functional.crossed import draw_runs, over_runs, sign_p_value


def test_one_run_less_than_there_are_is_drawn():
    for runs in (2, 3, 7):
        counts = draw_runs(runs, 50)
        assert counts.shape == (50, runs)
        assert (counts.sum(axis=1) == runs - 1).all()
    np.testing.assert_array_equal(draw_runs(1, 5), np.ones((5, 1)))


def test_every_run_is_drawn_equally_often():
    counts = draw_runs(4, 4000)
    np.testing.assert_allclose(counts.mean(axis=0), 0.75, atol=0.04)


def test_the_seed_fixes_the_draws():
    np.testing.assert_array_equal(draw_runs(3, 20, (5, 1)), draw_runs(3, 20, (5, 1)))
    assert (draw_runs(3, 20, (5, 1)) != draw_runs(3, 20, (5, 2))).any()


@pytest.mark.parametrize(("runs", "resamples"), [(0, 5), (5, 0)])
def test_nothing_to_draw(runs, resamples):
    with pytest.raises(EvaluationError, match="at least one of each"):
        draw_runs(runs, resamples)


def test_the_mean_over_the_drawn_runs():
    resampled = np.array([[1.0, 2.0], [3.0, 5.0], [8.0, 11.0]])
    counts = np.array([[2, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(over_runs(resampled, counts), [1, 8])


def test_the_variance_of_the_mean_is_that_of_its_runs():
    values = np.random.default_rng(3).normal(size=3)
    counts = draw_runs(3, 40_000)
    means = over_runs(np.repeat(values[:, None], 40_000, axis=1), counts)
    assert means.var() == pytest.approx(values.var(ddof=1) / 3, rel=0.03)


def test_p_values_by_hand():
    assert sign_p_value(np.arange(1, 100)) == pytest.approx(2 / 100)
    assert sign_p_value(-np.arange(1, 100)) == pytest.approx(2 / 100)
    assert sign_p_value(np.zeros(9)) == 1
    assert sign_p_value(np.array([-2, -1, 1, 2, 3, 4, 5])) == pytest.approx(6 / 8)


def covered(runs: int, of_runs: float, of_images: float, simulations: int) -> float:
    """How often the interval of B - A holds the true 0; the spreads of runs and images as given."""
    random, images, resamples = np.random.default_rng(0), 60, 200 if of_images else 1000
    held = 0
    for simulation in range(simulations):
        hard = random.normal(size=images)  # for both methods
        draws = Bootstrap(images, resamples, simulation) if of_images else None
        moved = []
        for group in (1, 2):
            own = hard + of_images * random.normal(size=images)
            resampled = np.full(resamples, own.mean())
            if draws:
                resampled = draws.means(own)
            offsets = of_runs * random.normal(size=runs)
            counts = draw_runs(runs, resamples, (simulation, group))
            moved.append(over_runs(resampled - hard.mean() + offsets[:, None], counts))
        low, high = interval(moved[1] - moved[0])
        held += low <= 0 <= high
    return held / simulations


@pytest.mark.parametrize(("runs", "expected"), [(2, 2 / 3), (3, 0.87), (5, 0.90), (8, 0.93)])
def test_coverage_where_runs_are_all_that_varies(runs, expected):
    # 2: both runs of one are above both of the other in 1 of 3. Standard error up to 0.019
    assert covered(runs, 1.0, 0.0, 600) == pytest.approx(expected, abs=0.045)


@pytest.mark.parametrize(("runs", "expected"), [(2, 0.5), (3, 0.75), (5, 0.87), (8, 0.91)])
def test_coverage_where_both_methods_share_their_runs(runs, expected):
    # 2 and 3: all differences are above 0 or all below in 2 of 4 and 2 of 8. Error up to 0.020
    random, held = np.random.default_rng(0), 0
    for simulation in range(600):
        differences = np.repeat(random.normal(size=(runs, 1)), 1000, axis=1)
        low, high = interval(over_runs(differences, draw_runs(runs, 1000, simulation)))
        held += low <= 0 <= high
    assert held / 600 == pytest.approx(expected, abs=0.045)


@pytest.mark.parametrize("runs", [2, 5])
def test_what_runs_disagree_about_in_single_images_counts_three_times(runs):
    random, images, variances = np.random.default_rng(0), 100, []
    for simulation in range(60):
        draws = Bootstrap(images, 200, simulation)
        resampled = np.stack([draws.means(random.normal(size=images)) for _ in range(runs)])
        variances.append(over_runs(resampled, draw_runs(runs, 200, (simulation, 1))).var())
    assert np.mean(variances) * runs * images == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(("runs", "of_runs"), [(1, 0.0), (3, 0.0), (4, 0.05)])
def test_coverage_where_images_are_most_of_it(runs, of_runs):
    # Standard error 0.015
    assert covered(runs, of_runs, 1.0, 200) == pytest.approx(0.95, abs=0.045)


def test_one_run_tells_nothing_of_the_others():
    assert covered(1, 1.0, 0.5, 100) < 0.3
