import pytest
import torch
from torch.autograd import gradcheck

from wsoltool.errors import ShapeError
from wsoltool.functional.cams import (
    channel_masks,
    class_activation_map,
    grad_cam_plus_plus_weights,
    grad_cam_weights,
    score_cam_weights,
    select_class_maps,
    weighted_channel_sum,
)

IDS = torch.tensor([[0, 2], [1, 1]])


def test_class_activation_map_agrees_with_loops():
    features, weights = torch.randn(2, 3, 4, 5), torch.randn(6, 3)
    maps = class_activation_map(features, weights, IDS)
    assert maps.shape == (2, 2, 4, 5)
    for b in range(2):
        for j in range(2):
            expected = sum(weights[IDS[b, j], k] * features[b, k] for k in range(3))
            torch.testing.assert_close(maps[b, j], expected)


def test_no_asked_class_gives_no_map():
    none = torch.zeros(2, 0, dtype=torch.int64)
    assert class_activation_map(torch.rand(2, 3, 4, 5), torch.rand(6, 3), none).numel() == 0
    assert select_class_maps(torch.rand(2, 3, 4, 5), none).shape == (2, 0, 4, 5)


def test_mixed_precision_uses_the_wider_type():
    maps = weighted_channel_sum(torch.rand(1, 2, 2, 2).bfloat16(), torch.rand(1, 1, 2))
    assert maps.dtype == torch.float32


def test_select_class_maps_is_plain_indexing():
    class_maps = torch.randn(2, 3, 4, 5)
    picked = select_class_maps(class_maps, IDS)
    for b in range(2):
        for j in range(2):
            assert torch.equal(picked[b, j], class_maps[b, IDS[b, j]])


def test_grad_cam_weights_are_means():
    gradients = torch.randn(2, 3, 4, 5, 6)
    assert grad_cam_weights(gradients)[1, 2, 3] == gradients[1, 2, 3].mean()


def test_grad_cam_plus_plus_agrees_with_the_printed_formula():
    features = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    gradients = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    weights = grad_cam_plus_plus_weights(features, gradients)
    for b, n, k in torch.cartesian_prod(*map(torch.arange, (2, 2, 3))).tolist():
        g = gradients[b, n, k]
        alpha = g**2 / (2 * g**2 + features[b, k].sum() * g**3 + 1e-15)
        torch.testing.assert_close(weights[b, n, k], (alpha * g.relu()).sum())


def test_grad_cam_plus_plus_agrees_with_derivatives_of_the_exponential_score():
    # Eq. (10): alpha from the second and third derivative of Y = exp(S), by autograd.
    features = torch.rand(3, dtype=torch.float64, requires_grad=True)
    slopes = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)
    score = (slopes * features).sum()
    y = score.exp()
    total = features.detach().sum()
    expected = 0.0
    for i in range(3):
        derivative, derivatives = y, []
        for _ in range(3):
            (gradient,) = torch.autograd.grad(derivative, features, create_graph=True)
            derivative = gradient[i]
            derivatives.append(derivative.detach())
        first, second, third = derivatives
        expected += second / (2 * second + total * third) * first.relu()
    weights = grad_cam_plus_plus_weights(
        features.detach().view(1, 1, 1, 3), slopes.view(1, 1, 1, 1, 3)
    )
    torch.testing.assert_close(weights.item() * score.exp().item(), expected.item())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_grad_cam_plus_plus_survives_extreme_gradients(scale):
    # The squares of such gradients leave float32's range, and any epsilon outweighs the small ones.
    gradients = torch.full((1, 1, 1, 2, 2), scale)
    weights = grad_cam_plus_plus_weights(torch.ones(1, 1, 2, 2), gradients)
    torch.testing.assert_close(weights.item(), 4 * scale / (2 + 4 * scale))


def test_grad_cam_plus_plus_at_its_pole_is_zero():
    features = torch.tensor([-1.0, -3.0]).view(1, 1, 1, 2)
    gradients = torch.tensor([0.5, 1.0]).view(1, 1, 1, 1, 2)  # 2 - 4 * 0.5 = 0; 1 / (2 - 4)
    assert grad_cam_plus_plus_weights(features, gradients).item() == -0.5


def test_channel_masks_span_zero_to_one():
    masks = channel_masks(torch.randn(2, 3, 4, 4), (9, 11))
    assert masks.shape == (2, 3, 9, 11)
    assert torch.equal(masks.amin((2, 3)), torch.zeros(2, 3))
    assert torch.equal(masks.amax((2, 3)), torch.ones(2, 3))
    assert not channel_masks(torch.full((1, 4, 4), 0.3), (9, 11)).any()


def test_score_cam_weights_ignore_the_baseline_and_left_out_channels():
    scores = torch.randn(2, 4, 3)
    weights = score_cam_weights(scores)
    torch.testing.assert_close(weights[1, 2], scores[1, :, 2].softmax(dim=0))
    torch.testing.assert_close(score_cam_weights(scores - scores.mean()), weights)
    scores[0, 1] = -torch.inf
    partial = score_cam_weights(scores)
    assert not partial[0, :, 1].any()
    torch.testing.assert_close(partial.sum(dim=2), torch.ones(2, 3))
    scores[0] = -torch.inf
    assert torch.equal(score_cam_weights(scores)[0], torch.zeros(3, 4))


def test_gradients_pass():
    features = torch.rand(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda f, w: class_activation_map(f, w, IDS), (features, weights))
    assert gradcheck(lambda f: select_class_maps(f, IDS), features)
    gradients = torch.randn(2, 1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(grad_cam_weights, gradients)
    assert gradcheck(grad_cam_plus_plus_weights, (features, gradients))


@pytest.mark.parametrize("class_ids", [[[0, 4], [1, 1]], [[0, -1], [1, 1]]])
def test_classes_out_of_range_are_errors(class_ids):
    with pytest.raises(ShapeError, match="class ids from"):
        class_activation_map(torch.rand(2, 3, 1, 1), torch.rand(4, 3), torch.tensor(class_ids))
    with pytest.raises(ShapeError, match="class ids from"):
        select_class_maps(torch.rand(2, 4, 1, 1), torch.tensor(class_ids))


def test_shapes_that_disagree_are_errors():
    features = torch.rand(2, 3, 4, 4)
    with pytest.raises(ShapeError, match="classifier"):
        class_activation_map(features, torch.rand(4, 2), IDS)
    with pytest.raises(ShapeError, match="class ids of shape"):
        class_activation_map(features, torch.rand(4, 3), IDS[:1])
    with pytest.raises(ShapeError, match="class ids of shape"):
        class_activation_map(features, torch.rand(4, 3), IDS.float())
    with pytest.raises(ShapeError, match="channel weights"):
        weighted_channel_sum(features, torch.rand(2, 1, 4))
    with pytest.raises(ShapeError, match="class maps"):
        select_class_maps(features[0], IDS)
    with pytest.raises(ShapeError, match="gradients"):
        grad_cam_weights(features)
    with pytest.raises(ShapeError, match="gradients"):
        grad_cam_plus_plus_weights(features, torch.rand(2, 1, 2, 4, 4))
    with pytest.raises(ShapeError, match="scores"):
        score_cam_weights(torch.rand(2, 3))
