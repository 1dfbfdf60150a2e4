import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool_plugins.fam.attention import (
    foreground_map,
    part_features,
    part_similarity,
    sparsity,
    template_similarity,
)


def test_similarity_as_printed_by_hand():
    # q = (1, 2), k1 = (2, 0), k2 = (0, 3): beta = 2 / sqrt 2 and 6 / sqrt 2, so 1/4 and 3/4.
    queries = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    keys = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    shares = template_similarity(queries, keys, "ratio")
    torch.testing.assert_close(shares.flatten(), torch.tensor([0.25, 0.75]))


def test_similarity_by_softmax_scales_by_the_root_of_the_width():
    queries = torch.tensor([1.0, 2.0, 0.0, 0.0]).view(1, 4, 1, 1)
    keys = torch.tensor([[2.0, 0.0, 1.0, 1.0], [0.0, 3.0, 1.0, 1.0]])
    shares = template_similarity(queries, keys)
    expected = np.exp([1.0, 3.0]) / np.exp([1.0, 3.0]).sum()  # beta = 2 / 2 and 6 / 2
    np.testing.assert_allclose(shares.flatten(), expected, rtol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ratio_stays_finite_where_the_sum_vanishes(sign):
    queries = torch.ones(1, 1, 1, 1)
    keys = torch.tensor([[1.0], [-1.0 + sign * 1e-7]])
    shares = template_similarity(queries, keys, "ratio")
    assert shares.isfinite().all()
    assert torch.sign(shares[0, 0]) == sign


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from(["softmax", "ratio"]))
def test_shares_sum_to_one(templates, width, how):
    generator = torch.Generator().manual_seed(templates * 10 + width)
    queries = torch.rand(2, width, 3, 2, generator=generator) + 0.1
    keys = torch.rand(templates, width, generator=generator) + 0.1
    sums = template_similarity(queries, keys, how).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_foreground_equals_the_positions_own_classifiers():
    features = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    similarity = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    values = torch.randn(3, 6, dtype=torch.float64)
    foreground = foreground_map(features, similarity, values)
    for image in range(2):
        for i in range(3):
            for j in range(4):
                classifier = sum(similarity[image, n, i, j] * values[n] for n in range(3))  # Eq. 2
                score = classifier @ features[image, :, i, j]
                expected = 1 / (1 + np.exp(-score.item()))  # Eq. 3
                assert foreground[image, 0, i, j].item() == pytest.approx(expected)


def test_sparsity_is_the_mean():
    assert sparsity(torch.tensor([[[[0.0, 1.0]]], [[[0.5, 0.5]]]])).item() == 0.5


def test_part_features_equal_the_sum_over_positions():
    features, parts = torch.randn(2, 3, 4, 5), torch.rand(2, 2, 4, 5)
    found = part_features(features, parts)
    for k in range(2):
        expected = (features * parts[:, k : k + 1]).mean(dim=(2, 3))  # Eq. 7
        torch.testing.assert_close(found[:, k], expected)


def test_part_similarity_leaves_a_part_and_itself_out():
    # Three equal parts: every pair has cosine 1. Three orthogonal ones: 0. Opposed ones: -1.
    assert part_similarity(torch.ones(1, 3, 4)).item() == pytest.approx(1.0)
    assert part_similarity(torch.eye(3)[None] * 7).item() == pytest.approx(0.0, abs=1e-7)
    assert part_similarity(torch.tensor([[[1.0, 2.0], [-2.0, -4.0]]])).item() == pytest.approx(-1.0)


def test_part_similarity_is_the_mean_over_images():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    none = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert part_similarity(torch.stack([one, none])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("count", [2, 5])
def test_part_similarity_is_the_mean_cosine_of_all_ordered_pairs(count):
    torch.manual_seed(0)
    parts = torch.randn(3, count, 7)
    pairs = [(k, m) for k in range(count) for m in range(count) if k != m]  # Eq. 8
    cosines = [torch.cosine_similarity(parts[:, k], parts[:, m], dim=1) for k, m in pairs]
    expected = torch.stack(cosines).mean()
    torch.testing.assert_close(part_similarity(parts), expected)
    with torch.autocast("cpu", torch.bfloat16):  # does not round the cosines
        torch.testing.assert_close(part_similarity(parts), expected)


def test_dead_parts_have_a_finite_gradient():
    parts = torch.zeros(1, 2, 3, requires_grad=True)
    part_similarity(parts).backward()
    assert parts.grad is not None
    assert parts.grad.isfinite().all()


@pytest.mark.parametrize("how", ["softmax", "ratio"])
def test_gradients(how):
    def chain(features, queries, keys, values, parts):
        similarity = template_similarity(queries, keys, how)
        foreground = foreground_map(features, similarity, values)
        pooled = part_features(features, parts * foreground)
        return sparsity(foreground), part_similarity(pooled)

    torch.manual_seed(0)
    shapes = [(1, 4, 2, 2), (1, 2, 2, 2), (3, 2), (3, 4), (1, 2, 2, 2)]
    inputs = [torch.rand(shape, dtype=torch.float64).add(0.2).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(chain, inputs)
