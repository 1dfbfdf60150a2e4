"""Each equation on a 4 x 4 map by hand, and against slow references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.structures import Samples
from wsoltool_plugins.two_path.attention import (
    NORMALIZATIONS,
    SCHEMES,
    adjusted_attention,
    attended,
    attended_mean,
    attention_loss,
    label_shares,
    normalized_map,
    predicted_shares,
)

#: Sum 4, mean 0.25: four values exceed it, four equal it.
M = torch.tensor(
    [
        [0.0, 0.0, 0.25, 0.25],
        [0.0, 1.0, 0.75, 0.25],
        [0.0, 0.5, 0.75, 0.25],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
ADJUSTED = {
    "reduce": [
        [0.0, 0.0, 0.25, 0.25],
        [0.0, 0.75, 0.5, 0.25],
        [0.0, 0.25, 0.5, 0.25],
        [0.0, 0.0, 0.0, 0.0],
    ],
    "zero": [
        [0.0, 0.0, 0.25, 0.25],
        [0.0, 0.0, 0.0, 0.25],
        [0.0, 0.0, 0.0, 0.25],
        [0.0, 0.0, 0.0, 0.0],
    ],
    "invert": [
        [1.0, 1.0, 0.75, 0.75],
        [1.0, 0.0, 0.25, 0.75],
        [1.0, 0.5, 0.25, 0.75],
        [1.0, 1.0, 1.0, 1.0],
    ],
    "none": M.tolist(),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_equation_5_by_hand(scheme):
    assert torch.equal(adjusted_attention(M, scheme), torch.tensor(ADJUSTED[scheme]))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_map_has_a_mean_and_ends_of_its_own(scheme):
    maps = torch.stack([M, 2 * M, M + 1])[None].expand(2, -1, -1, -1)
    found = adjusted_attention(maps, scheme)
    for index in range(3):
        assert torch.equal(found[1, index], adjusted_attention(maps[1, index], scheme))
    assert torch.equal(adjusted_attention(M + 1, "invert"), 3 - (M + 1))


def test_inversion_turns_the_order_around():
    maps = torch.randn(3, 5, 7)
    turned = adjusted_attention(maps, "invert")
    assert torch.equal(maps.flatten(1).argsort(dim=1), turned.flatten(1).argsort(1).flip(1))
    torch.testing.assert_close(turned.amax((1, 2)), maps.amax((1, 2)))
    torch.testing.assert_close(adjusted_attention(turned, "invert"), maps)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(SCHEMES))
def test_adjusted_attention_of_a_map_in_0_1_stays_there(seed, scheme):
    maps = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(seed))
    found = adjusted_attention(maps, scheme)
    assert found.min() >= 0
    assert found.max() <= 1
    if scheme in ("reduce", "zero"):
        assert (found <= maps).all()
        small = maps <= maps.mean((1, 2), keepdim=True)
        assert torch.equal(found[small], maps[small])


def test_equation_6_by_hand():
    features = torch.stack([torch.ones(4, 4), torch.arange(16.0).view(4, 4)])[None]
    adjusted = adjusted_attention(M)[None, None]
    found = attended(features, adjusted)
    assert torch.equal(found[0, 0], 1 + torch.tensor(ADJUSTED["reduce"]))
    assert found[0, 1, 1, 1].item() == 5 * 1.75
    assert found[0, 1, 2, 2].item() == 10 * 1.5
    assert found[0, 1, 3, 3].item() == 15


def test_the_mean_of_attended_features_is_never_made_of_them_but_equal():
    features, adjusted = torch.randn(3, 5, 4, 6), torch.rand(3, 4, 6)
    expected = attended(features, adjusted[:, None]).mean(dim=(2, 3))
    torch.testing.assert_close(attended_mean(features, adjusted), expected)


def test_the_mean_of_attended_features_holds_in_float16():
    features = torch.full((1, 1, 30, 30), 100.0, dtype=torch.float16)  # the sum is 180,000
    found = attended_mean(features, torch.ones(1, 30, 30))
    assert found.dtype == torch.float16
    assert found.item() == pytest.approx(200, rel=2e-3)


def test_the_map_of_attended_features_is_the_attended_map():
    features, adjusted, row = torch.randn(2, 5, 4, 4), torch.rand(2, 1, 4, 4), torch.randn(5)
    of_attended = torch.einsum("bchw,c->bhw", attended(features, adjusted), row)
    own = torch.einsum("bchw,c->bhw", features, row)
    torch.testing.assert_close(attended(own[:, None], adjusted)[:, 0], of_attended)


def test_equation_7s_last_term_by_hand():
    other = M.clone()
    other[0, 0], other[1, 1] = 0.5, 0.0  # off by 0.5 and by 1
    assert attention_loss(M[None], other[None]).item() == (0.25 + 1) / 16
    both = torch.stack([M, M]), torch.stack([other, M])
    assert attention_loss(*both).item() == (0.25 + 1) / 32


def test_minmax_by_hand():
    assert torch.equal(normalized_map(4 * M - 1), M)
    assert torch.equal(normalized_map(torch.stack([M * 3, M])), torch.stack([M, M]))


def test_other_scales():
    assert torch.equal(normalized_map(M, "none"), M)
    assert torch.equal(normalized_map(M, "sigmoid"), M.sigmoid())


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_scaled_in_float32(how, dtype):
    found = normalized_map((1000 * M).to(dtype), how)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, normalized_map((1000 * M).to(dtype).float(), how))


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_constant_map_is_no_attention_and_has_no_gradient(value, scheme):
    maps = torch.full((1, 4, 4), value, requires_grad=True)
    found = adjusted_attention(normalized_map(maps), scheme)
    assert torch.equal(found, torch.zeros(1, 4, 4))
    found.sum().backward()
    assert torch.equal(maps.grad, torch.zeros(1, 4, 4))


def test_a_diverged_map_is_seen_and_leaves_the_others_alone():
    for wrong in (float("nan"), float("inf")):
        maps = torch.stack([M, M])
        maps[0, 2, 2] = wrong
        found = normalized_map(maps)
        assert found[0].isnan().any()
        assert torch.equal(found[1], M)


def test_shares_of_labels():
    assert torch.equal(label_shares(Samples(torch.tensor([2, 0])), 3), torch.eye(3)[[2, 0]])
    mixed = Samples(torch.tensor([[0.75, 0.25, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert torch.equal(label_shares(mixed, 3), expected)


def test_where_classes_compete_the_likeliest_is_predicted_alone():
    probabilities = torch.randn(50, 4).mul(3).softmax(dim=1)
    found = predicted_shares(probabilities)
    assert torch.equal(found, torch.eye(4)[probabilities.argmax(dim=1)])
    tie = predicted_shares(torch.tensor([[0.5, 0.5]]))
    assert torch.equal(tie, torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_gradients(scheme, how):
    def chain(upper, plain, features):
        attention = normalized_map(upper, how)
        adjusted = adjusted_attention(attention, scheme)
        lower = normalized_map(attended(plain, adjusted), how)
        return attention_loss(attention, lower), attended_mean(features, adjusted)

    torch.manual_seed(0)
    shapes = [(2, 3, 3), (2, 3, 3), (2, 4, 3, 3)]
    inputs = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(chain, inputs)
