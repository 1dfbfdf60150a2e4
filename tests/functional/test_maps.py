import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wsoltool.errors import ConfigError, EvaluationError, ShapeError
from wsoltool.functional.maps import minmax_normalize, normalize_for_resizing, resize_maps

VALUES = st.floats(-1e6, 1e6, width=32)
MAPS = arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=6), elements=VALUES)


def bilinear_by_hand(image, size):
    """Sample each output pixel's centre, edges clamped: a loop, one pixel at a time."""
    (h, w), (height, width) = image.shape, size
    out = np.empty(size)
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * h / height - 0.5, 0), h - 1)
            x = min(max((j + 0.5) * w / width - 0.5, 0), w - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
            top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            out[i, j] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


@given(MAPS)
def test_minmax_agrees_with_a_loop_in_double(maps):
    normalized = minmax_normalize(torch.from_numpy(maps)).numpy()
    for index in np.ndindex(maps.shape[:-2]):
        one = maps[index].astype(np.float64)
        span, magnitude = one.max() - one.min(), np.abs(one).max()
        if span > 1e-5 * magnitude:
            assert normalized[index].min() == 0
            assert normalized[index].max() == 1
            # Input and range are rounded to float32: eps times magnitude over range.
            tolerance = 1e-6 * (1 + magnitude / span)
            np.testing.assert_allclose(
                normalized[index], (one - one.min()) / span, rtol=0, atol=tolerance
            )


@given(MAPS)
def test_minmax_stays_in_range_and_repeats(maps):
    once = minmax_normalize(torch.from_numpy(maps))
    assert ((once >= 0) & (once <= 1)).all()
    assert torch.equal(minmax_normalize(once), once)


@given(arrays(np.float64, (3, 4), elements=st.floats(-10, 10)), st.floats(0.1, 10), VALUES)
def test_minmax_ignores_scale_and_shift(maps, scale, shift):
    maps = torch.from_numpy(maps)
    if maps.max() - maps.min() > 1e-2:
        torch.testing.assert_close(
            minmax_normalize(maps * scale + shift), minmax_normalize(maps), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("value", [0.0, -3.0, 0.1, 1e-30, 1e30])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_constant_map_stays_constant_through_resizing(value, mode):
    maps = torch.full((2, 7, 5), value)
    assert torch.equal(minmax_normalize(maps), torch.zeros_like(maps))
    # The rounding of the weights must not be blown up to [0, 1].
    resized = resize_maps(maps, (231, 97), mode) + resize_maps(maps * 0.3, (231, 97), mode)
    assert torch.equal(minmax_normalize(resized), torch.zeros_like(resized))


def test_minmax_treats_every_map_alone():
    maps = torch.stack([torch.tensor([[0.0, 1.0]]), torch.tensor([[10.0, 30.0]]), torch.ones(1, 2)])
    expected = torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]], [[0.0, 0.0]]])
    assert torch.equal(minmax_normalize(maps), expected)


def test_minmax_does_not_change_its_input():
    maps = torch.randn(2, 3, 4)
    before = maps.clone()
    minmax_normalize(maps)
    assert torch.equal(maps, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_minmax_computes_half_precision_in_float32(dtype):
    maps = torch.tensor([[1.0, 2.0, 4.0]], dtype=dtype)
    assert torch.equal(minmax_normalize(maps), torch.tensor([[0.0, 1 / 3, 1.0]]))


def test_minmax_passes_gradcheck_and_gives_constant_maps_no_gradient():
    maps = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(minmax_normalize, maps)
    constant = torch.ones(3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(minmax_normalize(constant).sum(), constant)
    assert torch.equal(gradient, torch.zeros(3, 4))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_minmax_refuses_what_is_not_finite(bad):
    maps = torch.rand(2, 3, 3)
    maps[1, 2, 0] = bad
    with pytest.raises(EvaluationError, match="NaN or infinity"):
        minmax_normalize(maps)


def test_minmax_refuses_an_infinite_map_and_an_overflowing_range():
    with pytest.raises(EvaluationError):
        minmax_normalize(torch.full((2, 2), torch.inf))
    with pytest.raises(EvaluationError):
        minmax_normalize(torch.tensor([[-3e38, 3e38]]))


@pytest.mark.parametrize(
    "maps", [torch.rand(3), torch.rand(2, 0, 3), torch.ones(2, 2, dtype=torch.int64)]
)
def test_what_is_no_map_is_an_error(maps):
    with pytest.raises(ShapeError, match="not localization maps"):
        minmax_normalize(maps)
    with pytest.raises(ShapeError, match="not localization maps"):
        resize_maps(maps, (4, 4))


@pytest.mark.parametrize("size", [(1, 1), (3, 9), (10, 4), (2, 3)])
def test_bilinear_agrees_with_a_loop(size):
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    resized = resize_maps(maps, size)
    for index in np.ndindex(2, 3):
        expected = bilinear_by_hand(maps[index].numpy(), size)
        np.testing.assert_allclose(resized[index].numpy(), expected, atol=1e-12)


def test_bicubic_is_exact_at_cell_centres_and_not_bilinear():
    maps = torch.randn(1, 5, 5, dtype=torch.float64)
    tripled = resize_maps(maps, (15, 15), "bicubic")
    torch.testing.assert_close(tripled[:, 1::3, 1::3], maps)  # an odd factor keeps the centres
    assert not torch.allclose(tripled, resize_maps(maps, (15, 15)))


@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 3), (2, 1, 2, 2, 3), (0, 2, 3)])
def test_leading_dimensions_are_kept(shape):
    assert resize_maps(torch.rand(shape), (5, 4)).shape == (*shape[:-2], 5, 4)


def test_bad_sizes_and_modes_are_errors():
    with pytest.raises(ShapeError, match="cannot resize"):
        resize_maps(torch.rand(2, 2), (0, 4))
    with pytest.raises(ConfigError) as caught:
        resize_maps(torch.rand(2, 2), (4, 4), "bilinera")
    assert "did you mean 'bilinear'?" in str(caught.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_unchecked_maps_that_are_not_finite_stay_so_and_leave_the_others_alone(wrong):
    maps = torch.tensor([[[wrong, 1.0, 0.0]], [[0.0, 1.0, 4.0]], [[5.0, 5.0, 5.0]]])
    found = minmax_normalize(maps, check=False)
    assert found[0].isnan().any()
    assert torch.equal(found[1:], torch.tensor([[[0.0, 0.25, 1.0]], [[0.0, 0.0, 0.0]]]))


@given(
    sides=st.tuples(*[st.integers(1, 9)] * 2),
    size=st.tuples(*[st.integers(1, 40)] * 2),
    seed=st.integers(0, 999),
)
def test_maps_that_are_normalised_for_resizing_are_so_once_resized(sides, size, seed):
    maps = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(seed)) * 5 + 1
    found = resize_maps(normalize_for_resizing(maps, size), size)
    resized = resize_maps(maps, size)
    ranges = resized.amax((-2, -1)) - resized.amin((-2, -1))
    # Rounding is as large as the range of a map that hardly varies.
    clear = (ranges > 1e-2) | (ranges == 0)
    torch.testing.assert_close(found[clear], minmax_normalize(resized)[clear], rtol=0, atol=1e-3)
    plain = ranges > 1
    torch.testing.assert_close(found[plain], minmax_normalize(resized)[plain], rtol=0, atol=5e-6)


def test_what_cannot_be_normalised_for_resizing():
    assert not normalize_for_resizing(torch.full((2, 3, 3), 0.1), (50, 70)).any()
    for bad in (torch.nan, torch.inf):
        maps = torch.zeros(3, 3)
        maps[1, 1] = bad
        with pytest.raises(EvaluationError, match="NaN or infinity"):
            normalize_for_resizing(maps, (6, 6))
    with pytest.raises(ShapeError, match="cannot resize"):
        normalize_for_resizing(torch.zeros(3, 3), (0, 3))
    with pytest.raises(ShapeError, match="not localization maps"):
        normalize_for_resizing(torch.zeros(3, 3, dtype=torch.int64), (3, 3))
