from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.evaluation.chosen_thresholds import (
    EDGES,
    ChosenThresholds,
    chosen_entry,
    chosen_lines,
    chosen_thresholds,
)

NAN = float("nan")


def counts(**bins: int) -> tuple[int, ...]:
    return tuple(bins.get(f"b{index}", 0) for index in range(20))


def test_six_images_by_hand():
    values = np.array([0.35, 0.36, 0.1, NAN, 1, 0], np.float32)
    found = chosen_thresholds(values)
    assert found.counts == counts(b0=1, b2=1, b7=2, b19=1)
    assert (found.none, found.images) == (1, 6)
    assert found.mean == pytest.approx(1.81 / 5)
    assert found.median == pytest.approx(0.35)
    assert found.percents[7] == pytest.approx(100 / 3)


def test_every_edge_is_in_the_bin_that_it_begins():
    found = chosen_thresholds(np.array(EDGES[:-1], np.float32))
    assert found.counts == (1,) * 20


def test_without_any_box_there_is_no_middle():
    assert chosen_thresholds(np.full(3, NAN, np.float32)) == ChosenThresholds(
        counts(), 3, None, None
    )


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 1, width=32) | st.just(NAN)),
)
def test_every_image_is_counted_once_and_where_it_belongs(values):
    found = chosen_thresholds(values)
    assert found.images == len(values)
    assert sum(found.percents) == pytest.approx(100 * (1 - found.none / len(values)))
    edges = np.array(EDGES, np.float32)
    for index, count in enumerate(found.counts):
        below = values <= 1 if index == 19 else values < edges[index + 1]
        assert count == np.count_nonzero((values >= edges[index]) & below)


def test_the_lines_below_a_table():
    found = ChosenThresholds(counts(b3=1, b4=150, b5=49), 50, 0.2345, 0.2)
    assert chosen_lines(found) == [
        "Chosen thresholds, percent of images by steps of .05 (mean 0.23, median 0.20, no box in "
        "50 of 250):",
        "   .   .   .   0  60  20" + "   ." * 14,
    ]
    nothing = chosen_lines(ChosenThresholds(counts(), 3, None, None))
    assert nothing[0].endswith(" (no box in 3 of 3):")


def test_the_entry_is_plain_json():
    entry = json.loads(json.dumps(chosen_entry(chosen_thresholds(np.array([0.5, NAN], "f4")))))
    assert list(entry) == ["edges", "counts", "none", "mean", "median"]
    assert len(entry["edges"]) == 21
    assert entry["edges"][:2] == [0, 0.05]
    assert entry["counts"] == list(counts(b10=1))
    assert (entry["none"], entry["mean"], entry["median"]) == (1, 0.5, 0.5)
