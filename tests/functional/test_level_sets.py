import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.functional.level_sets import (
    brighter_neighbours,
    events_by_step,
    fill_holes,
    grey_keys,
    threshold_ranks,
)
from wsoltool.functional.neighbourhood import BIRTH, JOIN, QUIET, STEPS, bright_tables, dark_tables
from wsoltool.functional.region_forest import ANY, follow
from wsoltool.functional.sweep import THRESHOLDS

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None)  # the first call compiles
@given(shapes, seeds)
def test_grey_levels_are_those_of_the_benchmark_and_keys_keep_the_order(shape, seed):
    values = np.random.default_rng(seed).random(shape)
    values.flat[0] = 1.0
    keys, levels, brightest = grey_keys(values)
    np.testing.assert_array_equal(levels[1:-1, 1:-1], np.floor(values * 255).astype(np.uint8))
    assert brightest == 255
    assert keys[0].max() == keys[:, 0].max() == keys[-1].max() == keys[:, -1].max() == 0
    order = np.argsort(values, axis=None)
    inside = keys[1:-1, 1:-1].ravel().astype(int)
    assert inside.min() >= 1
    assert (np.diff(inside[order]) >= 0).all()
    np.testing.assert_array_equal((inside - 1) >> 8, levels[1:-1, 1:-1].ravel())


@settings(max_examples=50, deadline=None)
@given(shapes, seeds, st.integers(1, 50))
def test_ranks_count_the_thresholds_below(shape, seed, count):
    random = np.random.default_rng(seed)
    thresholds = np.unique(random.random(count))
    values = random.random(shape)
    values.flat[0] = thresholds[0]  # equal is not above
    values.flat[-1] = random.choice([0.0, 1.0])
    _, ranks = threshold_ranks(values, thresholds)
    expected = (values[:, :, None] > thresholds).sum(axis=2)
    np.testing.assert_array_equal(ranks[1:-1, 1:-1], expected)


def test_ranks_at_and_beside_every_threshold_of_the_benchmark():
    beside = [np.nextafter(THRESHOLDS, -1)[1:], THRESHOLDS, np.nextafter(THRESHOLDS, 1)]
    values = np.concatenate([*beside, [1.0]])[None]
    _, ranks = threshold_ranks(values, THRESHOLDS)
    np.testing.assert_array_equal(ranks[1, 1:-1], np.searchsorted(THRESHOLDS, values[0], "left"))


@settings(deadline=None)  # the first call compiles
@given(shapes, seeds)
def test_of_two_neighbours_exactly_one_is_the_brighter(shape, seed):
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)
    padded = np.pad(values, 1, constant_values=-1.0)
    cases = brighter_neighbours(padded)
    for y, x in np.ndindex(shape):
        for bit, (down, right) in enumerate(STEPS):
            b, a = y + down, x + right
            brighter = bool(cases[y + 1, x + 1] >> bit & 1)
            if not (0 <= b < shape[0] and 0 <= a < shape[1]):
                assert not brighter
            elif values[b, a] != values[y, x]:
                assert brighter == (values[b, a] > values[y, x])
            else:
                assert brighter == ((b, a) > (y, x))


@pytest.mark.parametrize("rising", [False, True])
def test_events_come_in_the_order_of_their_levels(rising):
    keys, levels, top = grey_keys(np.random.default_rng(0).random((9, 7)))
    cases = brighter_neighbours(keys)
    event = (dark_tables() if rising else bright_tables()).event
    pixels, starts, births = events_by_step(cases, levels, event, top, rising)
    wanted = np.flatnonzero((event[cases] != QUIET)[1:-1, 1:-1])
    y, x = np.divmod(pixels, 9)
    assert sorted((y - 1) * 7 + x - 1) == wanted.tolist()
    assert births == (event[cases[y, x]] == BIRTH).sum()
    for step in range(top + 1):
        of_step = levels[y, x][starts[step] : starts[step + 1]]
        assert (of_step == (step if rising else top - step)).all()
    assert starts[0] == 0
    assert starts[-1] == len(pixels)


def slow_fill(levels):
    """The lowest level at which a pixel is reached from outside: relaxed until nothing changes."""
    height, width = levels.shape
    reached = np.pad(np.full(levels.shape, 10**6), 1, constant_values=-1)
    while True:
        beside = np.min(
            [reached[:-2, 1:-1], reached[2:, 1:-1], reached[1:-1, :-2], reached[1:-1, 2:]], axis=0
        )
        better = np.minimum(reached[1:-1, 1:-1], np.maximum(levels, beside))
        if (better == reached[1:-1, 1:-1]).all():
            return better
        reached[1 : height + 1, 1 : width + 1] = better


@settings(max_examples=150, deadline=None)
@given(shapes, seeds, st.integers(2, 30))
def test_holes_are_filled_to_where_they_spill(shape, seed, count):
    values = np.random.default_rng(seed).integers(0, count, shape) / (count - 1)
    keys, levels, top = grey_keys(values)
    cases = brighter_neighbours(keys)
    events = events_by_step(cases, levels, dark_tables().event, top, True)
    rule, truth = (0.0, 9.0, 9.0, 0.0), np.zeros((1, 4))
    _, nodes = follow(cases, levels, events, tuple(dark_tables()), top, ANY, truth, rule, 1000)
    filled_keys, filled, islands = fill_holes(keys, levels, cases, bright_tables().event, nodes)
    np.testing.assert_array_equal(filled[1:-1, 1:-1], slow_fill(levels[1:-1, 1:-1]))
    np.testing.assert_array_equal(
        (filled_keys[1:-1, 1:-1].astype(int) - 1) >> 8, filled[1:-1, 1:-1]
    )
    unchanged = filled == levels
    np.testing.assert_array_equal(filled_keys[unchanged], keys[unchanged])
    raised_joins = (filled > levels) & (bright_tables().event[cases] == JOIN)
    assert islands == raised_joins[1:-1, 1:-1].any()
