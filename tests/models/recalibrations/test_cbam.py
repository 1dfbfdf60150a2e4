from __future__ import annotations

from math import log

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.recalibrations.attention import SpatialAttention
from wsoltool.models.recalibrations.cbam import CBAM, ChannelAttention

X = torch.tensor([[[[0.0, 2.0]], [[1.0, 3.0]]]])  # means 1 and 2, maxima 2 and 3


def by_hand(**options: object) -> CBAM:
    """Gates of 3/4 for both channels; then 27/28 where the maximum over channels is 3 * 3/4."""
    module = CBAM(2, reduction=2, kernel_size=1, **options)
    weights = {
        "channel.mlp.0.weight": torch.ones(1, 2, 1, 1),
        "channel.mlp.0.bias": torch.tensor([-2.0]),
        "channel.mlp.2.weight": torch.tensor([log(3) / 4, 0.0]).view(2, 1, 1, 1),
        "channel.mlp.2.bias": torch.tensor([0.0, log(3) / 2]),
        "spatial.conv.weight": torch.tensor([log(3) / 0.75, 0.0]).view(1, 2, 1, 1),
    }
    module.load_state_dict({k: v for k, v in weights.items() if k in module.state_dict()})
    return module


def test_channel_part_by_hand() -> None:
    # Hidden 1 of the means, 3 of the maxima. Scores: 4 ln 3 / 4 and, the bias twice, ln 3.
    assert torch.allclose(by_hand(parts="channel")(X), 0.75 * X)


def test_both_parts_by_hand() -> None:
    # Maxima of 0.75 X over channels 0.75 and 2.25: scores ln 3 and 3 ln 3.
    gates = torch.tensor([3 / 4, 27 / 28])
    assert torch.allclose(by_hand()(X), 0.75 * X * gates)


def test_order_by_hand() -> None:
    # On X itself the maxima are 1 and 3: scores 4/3 ln 3 and 4 ln 3.
    spatial = by_hand(parts="spatial")
    gates = torch.tensor([1 / (1 + 3 ** (-4 / 3)), 81 / 82])
    assert torch.allclose(spatial(X), X * gates)
    turned = by_hand(parts=("spatial", "channel"))
    assert [name for name, _ in turned.named_children()] == ["spatial", "channel"]
    channel = by_hand(parts="channel")
    assert torch.allclose(turned(X), channel(X * gates))
    assert not torch.allclose(turned(X), by_hand()(X))


def test_channel_part_slow_reference(randomize, features) -> None:
    module = randomize(ChannelAttention(5, 2).double())
    x = features(2, 5, 3, 4)
    first, second = module.mlp[0], module.mlp[2]

    def mlp(values: torch.Tensor) -> torch.Tensor:
        hidden = first.weight[:, :, 0, 0] @ values + first.bias
        return second.weight[:, :, 0, 0] @ hidden.clamp(min=0) + second.bias

    for image, out in zip(x, module(x), strict=True):
        means = torch.stack([channel.sum() / 12 for channel in image])
        maxima = torch.stack([max(channel.flatten()) for channel in image])
        gates = 1 / (1 + torch.exp(-mlp(means) - mlp(maxima)))
        for c in range(5):
            assert torch.allclose(out[c], image[c] * gates[c])


def test_published_defaults() -> None:
    module = CBAM(64)
    assert [name for name, _ in module.named_children()] == ["channel", "spatial"]
    assert module.channel.mlp[0].out_channels == 4
    assert module.spatial.conv.kernel_size == (7, 7)
    assert module.spatial.conv.bias is None
    assert not any("norm" in name for name in module.state_dict())
    assert CBAM(64, norm=True).spatial.norm.momentum == 0.01


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 2 * 32 * 2 + 2 + 32 + 98),
        ({"norm": True}, 2 * 32 * 2 + 2 + 32 + 98 + 2),
        ({"parts": "channel", "reduction": 5}, 2 * 32 * 6 + 6 + 32),
        ({"parts": "spatial", "kernel_size": 3}, 18),
    ],
)
def test_parameter_count(options: dict, count: int) -> None:
    assert sum(p.numel() for p in CBAM(32, **options).parameters()) == count


def test_published_parameter_count_of_resnet50() -> None:
    # Table 4: one in each of the 16 residual branches of a network of 25,557,032 parameters.
    branches = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
    for norm in (False, True):
        added = sum(p.numel() for c in branches for p in CBAM(c, norm=norm).parameters())
        assert round((25_557_032 + added) / 1e6, 2) == 28.09


def test_a_part_switched_off_needs_no_options_of_its_own() -> None:
    assert isinstance(CBAM(3, parts="spatial").spatial, SpatialAttention)  # 3 // 16 is no channel
    assert not hasattr(CBAM(16, parts="channel"), "spatial")


@pytest.mark.parametrize("options", [{"kernel_size": 4}, {"parts": ()}, {"reduction": 17}])
def test_bad_values_are_errors(options: dict) -> None:
    with pytest.raises(ConfigError, match=f"CBAM: {next(iter(options))}="):
        CBAM(16, **options)
