from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from wsoltool.errors import ConfigError, EvaluationError, ShapeError
from wsoltool.functional.map_arrays import FILTERS, fit_map

SEEDS = st.integers(0, 2**32 - 1)


def random_map(seed, size):
    return np.random.default_rng(seed).random(size)


@pytest.mark.parametrize("interpolation", FILTERS)
@settings(max_examples=30, deadline=None)
@given(SEEDS, st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(9, 40)] * 2))
def test_enlarging_is_that_of_torch(interpolation, seed, small, large):
    values = random_map(seed, small)
    expected = F.interpolate(
        torch.from_numpy(values)[None, None], size=large, mode=interpolation, align_corners=False
    )[0, 0].numpy()
    # OpenCV keeps its weights in float32.
    fitted = fit_map(values, large, interpolation)
    np.testing.assert_allclose(fitted, expected.clip(0, 1), atol=2e-6)


def test_what_fits_is_not_touched():
    values = random_map(0, (5, 7)).astype(np.float32)
    fitted = fit_map(values, (5, 7), "bicubic")
    np.testing.assert_array_equal(fitted, values)
    assert fitted.dtype == np.float64


def test_bicubic_overshoots_and_is_clipped():
    edge = np.array([[0.0, 0.0, 1.0, 1.0]])
    clipped = fit_map(edge, (1, 32), "bicubic")
    assert clipped.min() == 0
    assert clipped.max() == 1
    assert (clipped == 1).sum() > (fit_map(edge, (1, 32), "bicubic", normalise=True) == 1).sum()


def test_normalising_comes_after_resizing():
    # Shrinking 4 pixels to 2 by bilinear interpolation takes the means of pairs: 2 and 4.
    values = np.array([[1.0, 3.0, 5.0, 3.0]])
    assert fit_map(values, (1, 2), normalise=True).tolist() == [[0, 1]]


@settings(max_examples=40, deadline=None)
@given(
    SEEDS,
    st.sampled_from([1e-300, 1e-8, 1.0, 1e8, 1e300]),
    st.tuples(*[st.integers(2, 30)] * 2),
    st.sampled_from(sorted(FILTERS)),
)
def test_a_normalised_map_reaches_both_ends(seed, scale, size, interpolation):
    values = scale * np.random.default_rng(seed).uniform(-1, 1, (6, 5))
    fitted = fit_map(values, size, interpolation, normalise=True)
    assert fitted.min() == 0
    assert fitted.max() == 1


def test_a_map_that_shrinks_to_a_constant_has_nothing_to_scale():
    with pytest.raises(EvaluationError, match="everywhere once resized to 1 x 1"):
        fit_map(random_map(0, (4, 4)), (1, 1), normalise=True)
    # What resizing leaves of 0.1 in all pixels is rounding.
    with pytest.raises(EvaluationError, match=r"0\.1 everywhere"):
        fit_map(np.full((3, 3), 0.1), (50, 41), "bicubic", normalise=True)


def test_layout_and_precision_do_not_matter():
    values = np.random.default_rng(1).random((6, 9)).astype(np.float16)
    expected = fit_map(values.astype(np.float64), (20, 20))
    np.testing.assert_array_equal(fit_map(values, (20, 20)), expected)
    np.testing.assert_array_equal(fit_map(np.asfortranarray(values), (20, 20)), expected)
    np.testing.assert_array_equal(fit_map(values.astype(">f4"), (20, 20)), expected)


def test_refusals():
    with pytest.raises(ConfigError, match="did you mean 'bicubic'"):
        fit_map(np.zeros((2, 2)), (3, 3), "bicubik")
    for shape in ((2,), (0, 3), (2, 2, 2)):
        with pytest.raises(ShapeError, match="cannot bring"):
            fit_map(np.zeros(shape), (3, 3))
    with pytest.raises(ShapeError, match="cannot bring"):
        fit_map(np.zeros((2, 2)), (0, 3))
