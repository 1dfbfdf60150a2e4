from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from wsoltool.errors import ConfigError
from wsoltool.models.recalibrations.non_local import NonLocal

PAIRWISE = ["embedded_gaussian", "gaussian", "dot_product"]


def linear(conv: torch.nn.Module, values: Tensor) -> Tensor:
    if isinstance(conv, torch.nn.Identity):
        return values
    return conv.weight[:, :, 0, 0] @ values + conv.bias


def slow_pool(maps: Tensor) -> list[Tensor]:
    """The maxima of 2x2 cells; an odd last row or column is pooled alone."""
    return [
        maps[:, i : i + 2, j : j + 2].flatten(1).amax(dim=1)
        for i in range(0, maps.shape[1], 2)
        for j in range(0, maps.shape[2], 2)
    ]


def slow_non_local(module: NonLocal, x: Tensor) -> Tensor:
    """Place by place on one image ``(C, h, w)``, in evaluation."""
    channels, height, width = x.shape
    places = [x[:, i, j] for i in range(height) for j in range(width)]
    keys = [linear(module.key, place) for place in places]
    values = [linear(module.value, place) for place in places]
    if not isinstance(module.pool, torch.nn.Identity):
        keys, values = (
            slow_pool(torch.stack(kind, dim=1).view(-1, height, width)) for kind in (keys, values)
        )
    norm = module.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    root = len(keys[0]) ** 0.5 if module.scaled else 1
    outs = []
    for place in places:
        query = linear(module.query, place)
        scores = [sum(query * key) / root for key in keys]
        if module.pairwise == "dot_product":
            y = sum(s * v for s, v in zip(scores, values, strict=True)) / len(keys)
        else:
            shares = [torch.exp(s) for s in scores]
            y = sum(s * v for s, v in zip(shares, values, strict=True)) / sum(shares)
        z = (linear(module.output, y) - norm.running_mean) * scale + norm.bias
        outs.append(place + z)
    return torch.stack(outs, dim=1).view(channels, height, width)


def by_hand(pairwise: str) -> NonLocal:
    """Of two channels the first is query, key and value; the second gets the answer."""
    module = NonLocal(2, pairwise).eval()
    with torch.no_grad():
        for conv in (module.query, module.key, module.value):
            if pairwise != "gaussian" or conv is module.value:
                conv.weight.copy_(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
        module.output.weight.copy_(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))
        module.norm.weight.fill_((1 + module.norm.eps) ** 0.5)
    return module


def test_by_hand() -> None:
    a = log(3) ** 0.5
    x = torch.tensor([[[[0.0, a]], [[0.0, 0.0]]]])
    # Place 0 likes both alike; place 1 has products 0 and ln 3, so weights 1/4 and 3/4.
    for pairwise in ("embedded_gaussian", "gaussian"):
        out = by_hand(pairwise)(x)
        assert torch.allclose(out, torch.tensor([[[[0.0, a]], [[a / 2, 3 * a / 4]]]]))
    # Products 0 and ln 3 times the values 0 and a, over two places.
    out = by_hand("dot_product")(x)
    assert torch.allclose(out, torch.tensor([[[[0.0, a]], [[0.0, a * log(3) / 2]]]]))


@pytest.mark.parametrize(
    ("pairwise", "scaled"), [*((p, False) for p in PAIRWISE), *((p, True) for p in PAIRWISE[:2])]
)
@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("size", [(3, 5), (4, 2), (1, 1)])
def test_slow_reference(
    pairwise: str, subsample: bool, scaled: bool, size: tuple, randomize, features
) -> None:
    module = NonLocal(5, pairwise, subsample=subsample, scaled=scaled)
    randomize(module.double()).eval()
    x = features(2, 5, *size)
    for image, out in zip(x, module(x), strict=True):
        assert torch.allclose(out, slow_non_local(module, image))


@pytest.mark.parametrize("pairwise", PAIRWISE)
@pytest.mark.parametrize("training", [True, False])
def test_identity_at_the_start(pairwise: str, training: bool) -> None:
    x = torch.randn(2, 6, 7, 13)
    module = NonLocal(6, pairwise, subsample=True).train(training)
    assert torch.equal(module(x), x)
    module(x).square().sum().backward()
    assert module.norm.weight.grad.abs().max() > 0 or not training


def test_start() -> None:
    torch.manual_seed(0)
    module = NonLocal(256)
    for conv in (module.query, module.key, module.value, module.output):
        assert conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not conv.bias.any()
    assert not module.norm.weight.any()


def test_places_are_alike_wherever_they_are(randomize, features) -> None:
    module = randomize(NonLocal(4).double()).eval()
    x = features(1, 4, 3, 4)
    order = torch.randperm(12)
    moved = x.flatten(2)[:, :, order].view_as(x)
    expected = module(x).flatten(2)[:, :, order].view_as(x)
    assert torch.allclose(module(moved), expected)


def test_large_products_do_not_overflow() -> None:
    x = torch.full((1, 4, 5, 5), 300.0)  # exponents of 360,000
    x[..., 2:] = 299.0
    assert by_hand("gaussian")(x[:, :2]).isfinite().all()


@pytest.mark.parametrize(
    ("pairwise", "count"),
    [
        ("embedded_gaussian", 4 * 32 * 16 + 3 * 16 + 32 + 64),
        ("gaussian", 2 * 32 * 16 + 16 + 32 + 64),
        ("dot_product", 4 * 32 * 16 + 3 * 16 + 32 + 64),
    ],
)
def test_parameter_count(pairwise: str, count: int) -> None:
    for subsample in (False, True):
        module = NonLocal(32, pairwise, subsample=subsample)
        assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize("subsample", [False, True])
def test_attention_is_counted_as_work(subsample: bool) -> None:
    places, keys = 6 * 8, 6 * 8 // (4 if subsample else 1)
    convolutions = 4 * places * 16 * 8
    embedded = convolutions + 2 * places * keys * 8
    gaussian = convolutions // 2 + places * keys * (16 + 8)
    dot_product = convolutions + keys * 8 * 8 + places * 8 * 8
    for pairwise, products in zip(PAIRWISE, (embedded, gaussian, dot_product), strict=True):
        module = NonLocal(16, pairwise, subsample=subsample).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 16, 6, 8))
        assert counter.get_total_flops() == 2 * products


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (8, {"pairwise": "concatenation"}, "pairwise='concatenation'"),
        (8, {"pairwise": "dot_product", "scaled": True}, "scaled=True"),
        (1, {}, "1 channels"),
    ],
)
def test_bad_values_are_errors(channels: int, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"NonLocal: {message}"):
        NonLocal(channels, **options)
