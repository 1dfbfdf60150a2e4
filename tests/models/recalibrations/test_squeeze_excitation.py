from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.models.builder import build_localizer
from wsoltool.models.recalibrations.squeeze_excitation import SqueezeExcitation

X = torch.tensor([[[[0.0, 2.0]], [[1.0, 3.0]]]])  # means 1 and 2


def made(bias: float) -> SqueezeExcitation:
    module = SqueezeExcitation(2, reduction=2)
    module.load_state_dict(
        {
            "fc1.weight": torch.ones(1, 2, 1, 1),
            "fc1.bias": torch.tensor([bias]),
            "fc2.weight": torch.tensor([log(3) / 2, -log(3)]).view(2, 1, 1, 1),
            "fc2.bias": torch.tensor([0.0, log(3)]),
        }
    )
    return module


def test_by_hand() -> None:
    # Hidden 1 + 2 - 1 = 2: gates sigmoid(ln 3) = 3/4 and sigmoid(-ln 3) = 1/4.
    assert torch.allclose(made(-1.0)(X), torch.tensor([[[[0.0, 1.5]], [[0.25, 0.75]]]]))
    # Hidden 1 + 2 - 4 < 0 is cut to 0: gates 1/2 and 3/4.
    assert torch.allclose(made(-4.0)(X), torch.tensor([[[[0.0, 1.0]], [[0.75, 2.25]]]]))


def test_slow_reference(randomize, features) -> None:
    module = randomize(SqueezeExcitation(6, reduction=2).double())
    x = features(2, 6, 3, 5)
    out = module(x)
    w1, b1 = module.fc1.weight[:, :, 0, 0], module.fc1.bias
    w2, b2 = module.fc2.weight[:, :, 0, 0], module.fc2.bias
    for image, y in zip(x, out, strict=True):
        z = [channel.sum() / 15 for channel in image]
        hidden = [
            max(sum(w * v for w, v in zip(row, z, strict=True)) + b, 0)
            for row, b in zip(w1, b1, strict=True)
        ]
        for c in range(6):
            score = sum(w * v for w, v in zip(w2[c], hidden, strict=True)) + b2[c]
            assert torch.allclose(y[c], image[c] / (1 + torch.exp(-score)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_one_weight_below_one_for_each_channel(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.rand(2, 4, height, width) + 0.5
    share = SqueezeExcitation(4, reduction=2)(x) / x
    assert (share > 0).all()
    assert (share < 1).all()
    assert torch.allclose(share, share[:, :, :1, :1].expand_as(share))


@pytest.mark.parametrize(("channels", "reduction"), [(16, 16), (50, 16), (8, 1)])
def test_parameter_count(channels: int, reduction: int) -> None:
    hidden = channels // reduction
    count = sum(p.numel() for p in SqueezeExcitation(channels, reduction).parameters())
    assert count == 2 * channels * hidden + hidden + channels


def test_published_parameter_count_of_resnet50() -> None:
    # 28.09 million: Table 4 of Woo et al., ECCV 2018, K = 1000, one in each residual branch.
    inserts = [{"at": "layer*.*.bn3", "module": {"type": "SqueezeExcitation"}}]
    head = {"type": "cam.CAMHead", "num_classes": 1000}
    model = build_localizer({"backbone": {"type": "ResNet50"}, "inserts": inserts, "head": head})
    assert len(model.inserts) == 16
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 28.09
