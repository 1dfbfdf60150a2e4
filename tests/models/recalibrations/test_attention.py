from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.models.recalibrations.attention import (
    SpatialAttention,
    channel_mlp,
    ordered_parts,
)


def slow_spatial_attention(x: Tensor, weight: Tensor, scale: float, shift: float) -> Tensor:
    """Place by place; zeros beyond the map; ``scale`` and ``shift`` before the sigmoid."""
    _, height, width = x.shape[1:]
    reach = weight.shape[-1] // 2
    out = torch.empty_like(x)
    for image in range(len(x)):
        for row in range(height):
            for column in range(width):
                score = 0.0
                for down in range(-reach, reach + 1):
                    for right in range(-reach, reach + 1):
                        i, j = row + down, column + right
                        if 0 <= i < height and 0 <= j < width:
                            values = x[image, :, i, j]
                            largest, mean = weight[0, :, down + reach, right + reach]
                            score += largest * max(values) + mean * sum(values) / len(values)
                gate = 1 / (1 + torch.exp(-(scale * score + shift)))
                out[image, :, row, column] = x[image, :, row, column] * gate
    return out


def test_by_hand() -> None:
    module = SpatialAttention("CBAM", 3, norm=False, momentum=0.1)
    # The maximum of the place itself, the mean of its right neighbour.
    with torch.no_grad():
        module.conv.weight.zero_()
        module.conv.weight[0, 0, 1, 1] = log(3)
        module.conv.weight[0, 1, 1, 2] = -log(3)
    x = torch.tensor([[[[1.0, 3.0]], [[-1.0, 1.0]]]])  # maxima 1, 3; means 0, 2
    # Left: ln 3 (1 - 2) gives 1/4; right: 3 ln 3, nothing beyond the map, gives 27/28.
    expected = torch.tensor([[[[1 / 4, 81 / 28]], [[-1 / 4, 27 / 28]]]])
    assert torch.allclose(module(x), expected)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_slow_reference(kernel_size: int, randomize, features) -> None:
    module = SpatialAttention("CBAM", kernel_size, norm=True, momentum=0.1)
    randomize(module.double()).eval()
    x = features(2, 3, 3, 5)
    norm = module.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - scale * norm.running_mean
    expected = slow_spatial_attention(x, module.conv.weight, scale.item(), shift.item())
    assert torch.allclose(module(x), expected)


def test_norm_and_momentum_are_options() -> None:
    assert SpatialAttention("CBAM", 3, norm=True, momentum=0.3).norm.momentum == 0.3
    assert type(SpatialAttention("CBAM", 3, norm=False, momentum=0.3).norm) is nn.Identity
    with pytest.raises(ConfigError, match="CBAM: kernel_size=4"):
        SpatialAttention("CBAM", 4, norm=False, momentum=0.3)


def test_channel_mlp() -> None:
    mlp = channel_mlp(2, 1)
    mlp.load_state_dict(
        {
            "0.weight": torch.tensor([1.0, -1.0]).view(1, 2, 1, 1),
            "0.bias": torch.tensor([0.5]),
            "2.weight": torch.tensor([2.0, 3.0]).view(2, 1, 1, 1),
            "2.bias": torch.tensor([0.0, 1.0]),
        }
    )
    x = torch.tensor([[3.0, 1.0], [1.0, 3.0]]).view(2, 2, 1, 1)  # hidden 2.5, and -1.5 cut to 0
    assert mlp(x).flatten(1).tolist() == [[5.0, 8.5], [0.0, 1.0]]


def test_parts_in_their_order() -> None:
    assert ordered_parts("CBAM", ("channel", "spatial")) == ("channel", "spatial")
    assert ordered_parts("CBAM", ["spatial", "channel"]) == ("spatial", "channel")
    assert ordered_parts("CBAM", "spatial") == ("spatial",)


@pytest.mark.parametrize("parts", [(), "", ("channel", "channel"), ("chanel",), "both"])
def test_bad_parts_are_errors(parts: object) -> None:
    with pytest.raises(ConfigError, match="CBAM: parts=") as error:
        ordered_parts("CBAM", parts)
    assert "'channel', 'spatial' or both" in str(error.value)
