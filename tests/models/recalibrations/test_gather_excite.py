from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.recalibrations.gather_excite import GatherExcite, _nearest
from wsoltool.models.recalibrations.squeeze_excitation import SqueezeExcitation


def logit(share: float) -> float:
    return log(share / (1 - share))


def slow_average(channel: Tensor, extent: int) -> Tensor:
    """Cell u is the mean of the cells at most ``extent - 1`` from ``extent * u`` on either axis."""
    height, width = channel.shape
    reach = extent - 1
    rows = []
    for u in range(0, height, extent):
        row = []
        for v in range(0, width, extent):
            values = [
                channel[i, j]
                for i in range(max(u - reach, 0), min(u + reach + 1, height))
                for j in range(max(v - reach, 0), min(v + reach + 1, width))
            ]
            row.append(sum(values) / len(values))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def slow_depthwise(channel: Tensor, kernel: Tensor) -> Tensor:
    """3x3, stride 2, zeros beyond the map."""
    height, width = channel.shape
    out = torch.zeros(-(-height // 2), -(-width // 2), dtype=channel.dtype)
    for u in range(out.shape[0]):
        for v in range(out.shape[1]):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    i, j = 2 * u + down, 2 * v + right
                    if 0 <= i < height and 0 <= j < width:
                        out[u, v] += kernel[down + 1, right + 1] * channel[i, j]
    return out


def slow_excite(channel: Tensor, gathered: Tensor) -> Tensor:
    out = torch.empty_like(channel)
    for i in range(channel.shape[0]):
        for j in range(channel.shape[1]):
            u = i * gathered.shape[0] // channel.shape[0]
            v = j * gathered.shape[1] // channel.shape[1]
            out[i, j] = channel[i, j] / (1 + torch.exp(-gathered[u, v]))
    return out


def slow_norm(channel: Tensor, norm: nn.BatchNorm2d, c: int) -> Tensor:
    scaled = (channel - norm.running_mean[c]) / (norm.running_var[c] + norm.eps).sqrt()
    return norm.weight[c] * scaled + norm.bias[c]


def test_global_average_by_hand() -> None:
    x = torch.tensor([[[[0.0, 2 * log(3)]], [[-log(3), -log(3)]]]])
    expected = torch.tensor([[[[0.0, 1.5 * log(3)]], [[-log(3) / 4, -log(3) / 4]]]])
    assert torch.allclose(GatherExcite(2)(x), expected)


def test_average_of_a_neighbourhood_by_hand() -> None:
    # Extent 2 on five cells: cells 0, 2, 4 with their neighbours; shown at 0 0 1 1 2.
    x = torch.tensor([1.0, 3.0, 5.0, 1.0, 7.0]).view(1, 1, 1, 5)
    means = torch.tensor([2.0, 2.0, 3.0, 3.0, 4.0])
    assert torch.allclose(GatherExcite(1, extent=2)(x), x * means.sigmoid())


def test_convolution_by_hand() -> None:
    module = GatherExcite(1, extent=2, gather="convolution").eval()
    conv, norm = module.gather
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1] = torch.tensor(
            [1.0, 0.0, 2.0]
        )  # the left cell and twice the right one
        norm.weight.fill_((1 + norm.eps) ** 0.5)
        norm.bias.fill_(-1)
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    # Cell 0: 2 * 2 - 1, shown at 0 and 1; cell 2: 2 - 1.
    gate = torch.tensor([3.0, 3.0, 1.0]).sigmoid()
    assert torch.allclose(module(x), x * gate)


def test_global_convolution_by_hand() -> None:
    module = GatherExcite(2, gather="convolution", map_size=(1, 2)).eval()
    conv, norm = module.gather
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[[1.0, -1.0]]], [[[0.0, logit(0.2)]]]]))
        norm.weight.fill_((1 + norm.eps) ** 0.5)
    x = torch.tensor([[[[5.0, 5.0]], [[9.0, 1.0]]]])
    assert torch.allclose(module(x), torch.tensor([[[[2.5, 2.5]], [[1.8, 0.2]]]]))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 19), st.integers(1, 19), st.sampled_from([2, 4, 8]))
@example(7, 13, 8)
@example(5, 9, 4)
def test_average_slow_reference(height: int, width: int, extent: int) -> None:
    torch.manual_seed(height + 20 * width)
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    out = GatherExcite(2, extent=extent)(x)
    for channel, found in zip(x[0], out[0], strict=True):
        assert torch.allclose(found, slow_excite(channel, slow_average(channel, extent)))


@pytest.mark.parametrize("extent", [2, 4, 8])
@pytest.mark.parametrize("size", [(7, 13), (1, 1), (16, 5), (3, 17)])
def test_convolution_slow_reference(extent: int, size: tuple, randomize, features) -> None:
    module = randomize(GatherExcite(3, extent=extent, gather="convolution").double()).eval()
    x = features(2, 3, *size)
    layers = list(module.gather)
    for image, out in zip(x, module(x), strict=True):
        for c in range(3):
            gathered = image[c]
            for layer in layers:
                if isinstance(layer, nn.Conv2d):
                    gathered = slow_depthwise(gathered, layer.weight[c, 0])
                elif isinstance(layer, nn.BatchNorm2d):
                    gathered = slow_norm(gathered, layer, c)
                else:
                    gathered = gathered.clamp(min=0)
            assert gathered.shape == (-(-size[0] // extent), -(-size[1] // extent))
            assert torch.allclose(out[c], slow_excite(image[c], gathered))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 600), st.sampled_from([2, 4, 8]))
@example(198, 4)  # where interpolate's float32 arithmetic takes a cell too far left
@example(122, 8)
def test_nearest_is_exact(side: int, extent: int) -> None:
    cells = -(-side // extent)
    maps = torch.arange(cells, dtype=torch.float32).view(1, 1, cells, 1).expand(1, 1, cells, 2)
    shown = _nearest(maps, (side, 2))[0, 0, :, 0].tolist()
    assert shown == [i * cells // side for i in range(side)]
    if side % extent == 0:
        assert shown == [i // extent for i in range(side)]


def test_the_mlp_on_a_global_average_is_squeeze_excitation(randomize, features) -> None:
    se = randomize(SqueezeExcitation(8, reduction=4).double())
    ge = GatherExcite(8, mlp=True, reduction=4).double()
    names = {"excite.0": "fc1", "excite.2": "fc2"}
    weights = {
        f"{ours}.{kind}": se.state_dict()[f"{theirs}.{kind}"]
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    ge.load_state_dict(weights, strict=True)
    x = features(2, 8, 7, 13)
    assert torch.allclose(ge(x), se(x))


def kinds(branch: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in branch]


def test_layers_of_the_authors_networks() -> None:
    plus = GatherExcite(32, gather="convolution", mlp=True, map_size=7)
    assert kinds(plus.gather) == ["Conv2d", "BatchNorm"]
    assert plus.gather[0].weight.shape == (32, 1, 7, 7)
    assert plus.gather[0].bias is None
    assert kinds(plus.excite) == ["ReLU", "Conv2d", "ReLU", "Conv2d"]
    assert plus.excite[1].weight.shape == (2, 32, 1, 1)
    assert kinds(GatherExcite(32, extent=8, gather="convolution").gather) == [
        *["Conv2d", "BatchNorm", "ReLU"] * 2,
        *["Conv2d", "BatchNorm"],
    ]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"extent": 8}, 0),
        ({}, 0),
        ({"extent": 2, "gather": "convolution"}, 11 * 32),
        ({"extent": 8, "gather": "convolution"}, 3 * 11 * 32),
        ({"gather": "convolution", "map_size": (7, 9)}, 65 * 32),
        ({"mlp": True}, 2 * 32 * 2 + 2 + 32),
        (
            {"gather": "convolution", "mlp": True, "map_size": 7, "reduction": 8},
            51 * 32 + 2 * 32 * 4 + 4 + 32,
        ),
    ],
)
def test_parameter_count(options: dict, count: int) -> None:
    assert sum(p.numel() for p in GatherExcite(32, **options).parameters()) == count


def test_a_convolution_of_the_whole_map_takes_no_other() -> None:
    module = GatherExcite(4, gather="convolution", map_size=(7, 13))
    assert module(torch.randn(2, 4, 7, 13)).shape == (2, 4, 7, 13)
    with pytest.raises(ShapeError, match="a map of 13 x 7 cells") as error:
        module(torch.randn(2, 4, 13, 7))
    assert "map_size=(7, 13)" in str(error.value)
    assert "extent=2, 4 or 8" in str(error.value)
    with pytest.raises(ShapeError, match=r"\(1, 4, 1, 1\)"):
        module(torch.randn(1, 4, 7, 13))  # one image in training


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"extent": 3}, "extent"),
        ({"extent": -2}, "extent"),
        ({"extent": False}, "extent"),
        ({"gather": "max"}, "gather"),
        ({"gather": "convolution"}, "map_size"),
        ({"map_size": 7}, "map_size"),
        ({"gather": "convolution", "extent": 2, "map_size": 7}, "map_size"),
        ({"gather": "convolution", "map_size": 0}, "map_size"),
        ({"gather": "convolution", "map_size": (7, 7, 7)}, "map_size"),
        ({"mlp": True, "reduction": 64}, "reduction"),
    ],
)
def test_bad_values_are_errors(options: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=f"GatherExcite: {key}="):
        GatherExcite(32, **options)
