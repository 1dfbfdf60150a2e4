from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.recalibrations.bam import BAM
from wsoltool.models.recalibrations.batch_norm import BatchNorm


def slow_layer(x: Tensor, layer: nn.Module) -> Tensor:
    """One layer of a branch on one image ``(C, h, w)``, in evaluation."""
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return torch.stack([c.sum() / c.numel() for c in x])[:, None, None]
    if isinstance(layer, nn.ReLU):
        return x.clamp(min=0)
    if isinstance(layer, nn.BatchNorm2d):
        scale = layer.weight / (layer.running_var + layer.eps).sqrt()
        return (x - layer.running_mean[:, None, None]) * scale[:, None, None] + layer.bias[
            :, None, None
        ]
    assert isinstance(layer, nn.Conv2d)
    return slow_convolution(x, layer.weight, layer.bias, layer.dilation[0])


def slow_convolution(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    reach = weight.shape[-1] // 2
    _, height, width = x.shape
    out = torch.zeros(len(weight), height, width, dtype=x.dtype)
    for row in range(height):
        for column in range(width):
            out[:, row, column] = bias
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    i, j = row + dilation * down, column + dilation * right
                    if 0 <= i < height and 0 <= j < width:
                        out[:, row, column] += (
                            weight[:, :, down + reach, right + reach] @ x[:, i, j]
                        )
    return out


def test_by_hand() -> None:
    module = BAM(1, reduction=1).eval()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.zero_()
        for conv in (module.channel[1], module.channel[3], module.spatial[0], module.spatial[6]):
            conv.weight.fill_(1)
        for conv in (module.spatial[2], module.spatial[4]):
            conv.weight[0, 0, 1, 1] = 1
        # Eight cells to the right of the middle, by two steps of four.
        module.spatial[2].weight[0, 0, 1, 2] = module.spatial[4].weight[0, 0, 1, 2] = 1
        for norm in (module.channel[4], module.spatial[7]):
            norm.weight.fill_((1 + norm.eps) ** 0.5)
        module.channel[4].bias.fill_(-1 / 3)
    x = torch.zeros(1, 1, 1, 9)
    x[..., 0], x[..., 4], x[..., 8] = log(3), log(9), log(27)
    # Channel: mean 6 ln 3 / 9 = 2/3 ln 3, less a third. Spatial: x(i) + 2 x(i + 4) + x(i + 8).
    mean = 6 * log(3) / 9 - 1 / 3
    places = torch.tensor([1 + 4 + 3, 0, 0, 0, 2 + 6, 0, 0, 0, 3.0]) * log(3)
    expected = x * (1 + (mean + places).sigmoid())
    assert torch.allclose(module(x), expected)


@pytest.mark.parametrize("norm", ["output", "hidden"])
@pytest.mark.parametrize("combine", ["sum", "product", "max"])
def test_slow_reference(norm: str, combine: str, randomize, features) -> None:
    module = BAM(6, reduction=2, dilation=2, norm=norm, combine=combine)
    randomize(module.double()).eval()
    x = features(2, 6, 3, 5)
    for image, out in zip(x, module(x), strict=True):
        channel, spatial = image, image
        for layer in module.channel:
            channel = slow_layer(channel, layer)
        for layer in module.spatial:
            spatial = slow_layer(spatial, layer)
        assert channel.shape == (6, 1, 1)
        assert spatial.shape == (1, 3, 5)
        both = channel.expand(6, 3, 5), spatial.expand(6, 3, 5)
        score = {"sum": sum(both), "product": both[0] * both[1], "max": torch.maximum(*both)}
        gate = 1 / (1 + torch.exp(-score[combine]))
        assert torch.allclose(out, image + image * gate)


def kinds(branch: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in branch]


def test_layers_of_the_equations_and_of_the_release() -> None:
    module = BAM(32)
    pool, conv, norm, relu = "AdaptiveAvgPool2d", "Conv2d", "BatchNorm", "ReLU"
    assert kinds(module.channel) == [pool, conv, relu, conv, norm]
    assert kinds(module.spatial) == [conv, relu, conv, relu, conv, relu, conv, norm]
    assert [c.dilation[0] for c in module.spatial if isinstance(c, nn.Conv2d)] == [1, 4, 4, 1]
    assert [n.num_features for n in module.modules() if isinstance(n, BatchNorm)] == [32, 1]
    released = BAM(32, norm="hidden", combine="product")
    assert kinds(released.channel) == [pool, conv, norm, relu, conv]
    assert kinds(released.spatial) == [conv, norm, relu] * 3 + [conv]
    assert [n.num_features for n in released.modules() if isinstance(n, BatchNorm)] == [2] * 4


@pytest.mark.parametrize("norm", ["output", "hidden"])
def test_parameter_count(norm: str) -> None:
    c, d = 48, 3
    channel = c * d + d + d * c + c
    spatial = c * d + d + 2 * (9 * d * d + d) + d + 1
    norms = 2 * (c + 1) if norm == "output" else 2 * 4 * d
    assert sum(p.numel() for p in BAM(c, norm=norm).parameters()) == channel + spatial + norms


def test_published_parameter_count_of_resnet50() -> None:
    # 25.92 million in the paper: after stages 1 to 3 of a network of 25,557,032 parameters.
    for norm in ("output", "hidden"):
        added = sum(p.numel() for c in (256, 512, 1024) for p in BAM(c, norm=norm).parameters())
        assert round((25_557_032 + added) / 1e6, 2) == 25.92


def test_features_grow_by_up_to_twice() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 16, 5, 6) + 0.5
    share = BAM(16)(x) / x
    assert share.min() > 1
    assert share.max() < 2
    assert share.std() > 0.05


def test_one_image_in_training_is_named() -> None:
    with pytest.raises(ShapeError, match=r"\(1, 32, 1, 1\)"):
        BAM(32)(torch.randn(1, 32, 7, 13))
    BAM(32).eval()(torch.randn(1, 32, 7, 13))


@pytest.mark.parametrize(
    "options",
    [{"reduction": 17}, {"dilation": 0}, {"dilation": 1.5}, {"norm": True}, {"combine": "add"}],
)
def test_bad_values_are_errors(options: dict) -> None:
    with pytest.raises(ConfigError, match=f"BAM: {next(iter(options))}="):
        BAM(16, **options)
