"""Figures by hand, and against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.statistics import (
    ClassBalance,
    area_shares,
    aspect_ratios,
    draw_rows,
    images_by_class,
    low_mid_high,
    spread,
    spread_over_classes,
)


def test_areas_and_ratios_by_hand():
    boxes = np.array([[0, 0, 10, 5], [5, 5, 10, 25]], np.float32)
    sizes = np.array([[50, 20], [25, 10]])
    assert area_shares(boxes, sizes).tolist() == [0.05, 0.4]
    assert aspect_ratios(boxes).tolist() == [2.0, 0.25]
    assert area_shares(np.zeros((0, 4)), np.zeros((0, 2))).shape == (0,)


@given(st.lists(st.floats(0, 2), max_size=50))
def test_spread_counts_every_value_in_the_bin_that_it_reaches(values):
    edges = (0.25, 0.5, 1.0)
    found = spread(np.array(values), edges)
    bins = [sum(value >= edge for edge in edges) for value in values]
    assert list(found.counts) == [bins.count(place) for place in range(4)]
    assert found.edges == edges
    if values:
        assert sum(found.shares) == pytest.approx(1)
        assert found.percentiles[50] == pytest.approx(np.median(values))
    else:
        assert (found.percentiles, found.shares) == ({}, (0.0,) * 4)


def test_images_by_class():
    assert images_by_class(np.array([2, 0, 2, -1]), 4).tolist() == [1, 0, 2, 0]
    several = np.array([[1, 0, 1], [0.5, 0, 0], [0, 0, 0]])
    assert images_by_class(several, 3).tolist() == [2, 0, 1]


def test_class_balance_names_the_extremes():
    balance = ClassBalance(("a", "b", "c", "d"), np.array([5, 0, 1, 5]))
    assert balance.missing == ["b"]
    assert balance.rarest(2) == [("c", 1), ("a", 5)]
    assert balance.most_frequent(3) == [("a", 5), ("d", 5), ("c", 1)]


def test_low_mid_high_of_nothing_is_nan():
    assert np.isnan(low_mid_high(np.zeros(0))).all()


@given(total=st.integers(0, 60), count=st.integers(1, 60), seed=st.integers(0, 99))
def test_rows_are_drawn_once_each(total, count, seed):
    rows = draw_rows(total, count, np.random.default_rng(seed))
    assert len(rows) == min(total, count)
    assert (np.diff(rows) > 0).all()
    assert set(rows) <= set(range(total))
    assert np.array_equal(rows, draw_rows(total, count, np.random.default_rng(seed)))


@given(
    labels=st.lists(st.integers(-1, 5), min_size=1, max_size=40),
    count=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_classes_take_turns(labels, count, seed):
    labels = np.array(labels)
    rows = spread_over_classes(labels, count, np.random.default_rng(seed))
    assert len(rows) == len(set(rows)) == min(count, len(labels))
    taken = {label: int((labels[rows] == label).sum()) for label in set(labels)}
    left = {label: int((labels == label).sum()) - taken[label] for label in taken}
    # No class is asked again before every other one that has images left.
    most = max(taken.values())
    assert all(taken[label] >= most - 1 or not left[label] for label in taken)


@given(
    labels=st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=30),
    count=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_images_of_several_classes_are_chosen_once_and_cover_them(labels, count, seed):
    labels = np.array(labels, np.uint8)
    rows = spread_over_classes(labels, count, np.random.default_rng(seed))
    assert len(rows) == len(set(rows)) == min(count, len(labels))
    present = int(labels.any(axis=0).sum())
    if count >= present:
        assert labels[rows].any(axis=0).sum() == present
    if labels.any() and count < labels.any(axis=1).sum():
        assert labels[rows].any(axis=1).all()  # images without class come last


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_nothing_to_choose_from(shape):
    chosen = spread_over_classes(np.zeros(shape, np.int64), 4, np.random.default_rng(0))
    assert chosen.tolist() == []


def test_other_seeds_choose_other_images():
    labels = np.repeat(np.arange(5), 100)
    chosen = {tuple(spread_over_classes(labels, 5, np.random.default_rng(s))) for s in range(5)}
    assert len(chosen) == 5
    assert all((labels[list(rows)] == np.arange(5)).all() for rows in chosen)
