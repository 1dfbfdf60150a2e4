from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wsoltool.functional.runs import Runs


def expanded(runs: Runs, shape: tuple[int, ...]) -> np.ndarray:
    out = np.full(shape, -1, runs.values.dtype)
    runs.expand(out)
    return out


@given(arrays(np.float32, array_shapes(max_dims=2), elements=st.sampled_from([0, 0.25, 1])))
def test_expanding_gives_the_array_back(array):
    np.testing.assert_array_equal(expanded(Runs.of(array), array.shape), array)


@given(arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 2)))
def test_neighbouring_runs_differ(array):
    runs = Runs.of(array)
    assert (runs.values[1:] != runs.values[:-1]).all()
    assert runs.starts[0] == 0


@pytest.mark.parametrize(("length", "kind"), [(2**16, np.uint16), (2**16 + 1, np.uint32)])
def test_long_arrays_need_wider_starts(length, kind):
    array = np.zeros(length, np.int8)
    array[-1] = 1
    runs = Runs.of(array)
    assert runs.starts.dtype == kind
    assert runs.starts.tolist() == [0, length - 1]
    np.testing.assert_array_equal(expanded(runs, (length,)), array)


def test_not_a_number_is_kept():
    array = np.array([np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(expanded(Runs.of(array), (3,)), array)


def test_few_runs_are_a_small_pickle():
    array = np.repeat(np.arange(20, dtype=np.float32), 100)
    assert len(pickle.dumps(Runs.of(array))) < 600 < len(pickle.dumps(array)) / 10


def test_an_array_of_another_size_is_refused():
    with pytest.raises(ValueError, match="could not broadcast"):
        Runs.of(np.ones(3)).expand(np.empty(4))
