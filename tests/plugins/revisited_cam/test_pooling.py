import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.plugin.manager import build
from wsoltool.structures import Samples
from wsoltool_plugins import revisited_cam
from wsoltool_plugins.revisited_cam.pooling import WeightedGlobalAveragePool, weighted_average

FOUR_BY_FOUR = [[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0] * 4, [0.0, 0.0, 0.0, 3.0]]


def cam_head(**pooling):
    pooling = {"type": "revisited_cam.WeightedGlobalAveragePool", **pooling}
    kwargs = {"type": "cam.CAMHead", "num_classes": 2, "pooling": pooling}
    return build("CAM head", kwargs, "model.head", channels={"last": 3})


def test_face_offers_the_pooling():
    assert revisited_cam.wsoltool_poolings() == [WeightedGlobalAveragePool]


def test_equations_18_and_19_on_four_by_four():
    # 13 zeros and 1, 2, 3: the weights are 1, e, e^2 and e^3 over their sum.
    e = math.e
    total = 13 + e + e**2 + e**3
    expected = (1 * e + 2 * e**2 + 3 * e**3) / total
    features = torch.tensor(FOUR_BY_FOUR).view(1, 1, 4, 4)
    assert WeightedGlobalAveragePool()(features).item() == pytest.approx(expected, rel=1e-6)
    literal = WeightedGlobalAveragePool(literal=True)(features)
    assert literal.item() == pytest.approx(expected / 16, rel=1e-6)


@pytest.mark.parametrize("literal", [False, True])
def test_no_image_is_an_empty_batch(literal):
    assert WeightedGlobalAveragePool(literal)(torch.zeros(0, 3, 4, 4)).shape == (0, 3)


def test_channels_and_images_are_pooled_alone():
    features = torch.randn(3, 5, 4, 2)
    pooled = WeightedGlobalAveragePool()(features)
    assert pooled.shape == (3, 5)
    for image in range(3):
        for channel in range(5):
            values = features[image, channel].flatten().tolist()
            total = sum(math.exp(v) for v in values)
            expected = sum(v * math.exp(v) / total for v in values)
            assert pooled[image, channel].item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=12))
def test_pooled_lies_between_mean_and_maximum(values):
    features = torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)
    pooled = weighted_average(features).item()
    assert features.mean().item() - 1e-9 <= pooled <= features.max().item() + 1e-9


@pytest.mark.parametrize("value", [-3.0, 0.0, 0.7, 1e30])
def test_a_constant_map_has_its_mean(value):
    features = torch.full((1, 2, 4, 4), value)
    torch.testing.assert_close(weighted_average(features), torch.full((1, 2), value))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_values_are_safe_in_every_precision(dtype):
    features = torch.zeros(1, 1, 14, 14, dtype=dtype)
    features[..., 3, 5] = 60000.0
    pooled = weighted_average(features)
    assert pooled.dtype == dtype
    assert pooled == features.max()


def test_half_precision_is_summed_in_float32():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 14, 14, dtype=torch.bfloat16)
    expected = weighted_average(features.float()).bfloat16()
    assert torch.equal(weighted_average(features), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(weighted_average(features), expected)
        full = features.float()
        assert torch.equal(weighted_average(full).bfloat16(), expected)


def test_gradients_pass_gradcheck():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    for literal in (False, True):
        assert torch.autograd.gradcheck(WeightedGlobalAveragePool(literal), features)


def test_a_head_learns_through_it():
    torch.manual_seed(0)
    head = cam_head().double()
    features = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    samples = Samples(torch.tensor([1, 0]))
    assert torch.autograd.gradcheck(lambda x: head.loss({"last": x}, samples)["loss_cls"], features)
    torch.testing.assert_close(
        head.logits({"last": features}), head.classifier(weighted_average(features))
    )


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 0, 4), (4,)])
def test_what_is_no_feature_map_is_refused(shape):
    with pytest.raises(ShapeError, match=r"features of shape"):
        weighted_average(torch.zeros(shape))


def test_a_bad_option_is_named_with_its_key():
    with pytest.raises(ConfigError, match="literal='yes'") as caught:
        cam_head(literal="yes")
    assert caught.value.at == "model.head.pooling"
