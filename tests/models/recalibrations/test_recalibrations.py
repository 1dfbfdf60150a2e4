"""What holds for every recalibration of the core."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.builder import build_localizer
from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.bam import BAM
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.models.recalibrations.cbam import CBAM
from wsoltool.models.recalibrations.gather_excite import GatherExcite
from wsoltool.models.recalibrations.non_local import NonLocal
from wsoltool.models.recalibrations.squeeze_excitation import SqueezeExcitation
from wsoltool.plugin import core
from wsoltool.testing import check_recalibration

Make = Callable[[], Recalibration]
CHANNELS = 8

MODULES: dict[str, Make] = {
    "BatchNorm": partial(BatchNorm, CHANNELS),
    "SE": partial(SqueezeExcitation, CHANNELS, reduction=4),
    "CBAM": partial(CBAM, CHANNELS, reduction=4),
    "CBAM released": partial(CBAM, CHANNELS, reduction=4, norm=True),
    "CBAM spatial": partial(CBAM, CHANNELS, parts="spatial", kernel_size=3),
    "BAM": partial(BAM, CHANNELS, reduction=4),
    "BAM released": partial(BAM, CHANNELS, reduction=4, norm="hidden", combine="product"),
    "BAM max": partial(BAM, CHANNELS, reduction=4, combine="max"),
    "GE average": partial(GatherExcite, CHANNELS),
    "GE average 2": partial(GatherExcite, CHANNELS, extent=2),
    "GE average 8": partial(GatherExcite, CHANNELS, extent=8),
    "GE convolution 2": partial(GatherExcite, CHANNELS, extent=2, gather="convolution"),
    "GE convolution 8": partial(GatherExcite, CHANNELS, extent=8, gather="convolution"),
    "GE plus": partial(
        GatherExcite, CHANNELS, extent=4, gather="convolution", mlp=True, reduction=4
    ),
    "GE as SE": partial(GatherExcite, CHANNELS, mlp=True, reduction=4),
    "NonLocal": partial(NonLocal, CHANNELS),
    "NonLocal subsampled": partial(NonLocal, CHANNELS, subsample=True, scaled=True),
    "NonLocal gaussian": partial(NonLocal, CHANNELS, "gaussian"),
    "NonLocal gaussian subsampled": partial(NonLocal, CHANNELS, "gaussian", subsample=True),
    "NonLocal dot product": partial(NonLocal, CHANNELS, "dot_product"),
}
#: Those that normalise one value a channel where one image is pooled to one cell.
POOLED = [
    "BatchNorm",
    "CBAM released",
    "BAM",
    "BAM released",
    "BAM max",
    "GE convolution 8",
    "NonLocal",
]

every = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


def mixed(memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(3, CHANNELS, 7, 13).to(memory_format=memory_format)


def test_all_are_here() -> None:
    offered = {cls.__name__ for cls in core.wsoltool_recalibrations()}
    assert {type(make()).__name__ for make in MODULES.values()} == offered


@every
def test_contract(make: Make, randomize) -> None:
    check_recalibration(make(), CHANNELS)
    check_recalibration(randomize(make()), CHANNELS)


@every
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (7, 13), (17, 16)])
def test_maps_of_any_size(make: Make, randomize, size: tuple[int, int]) -> None:
    module = randomize(make())
    for mode in (True, False):
        x = torch.randn(3, CHANNELS, *size)
        out = module.train(mode)(x)
        assert out.shape == x.shape
        assert out.isfinite().all()
        assert not torch.equal(out, x)


@every
@pytest.mark.parametrize("training", [True, False])
def test_gradients(make: Make, randomize, features, training: bool) -> None:
    module = randomize(make()).double().train(training)
    x = features(2, CHANNELS, 3, 5).requires_grad_()
    parameters = dict(module.named_parameters())

    def forward(x: Tensor, *values: Tensor) -> Tensor:
        replaced = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(module, replaced, (x,))

    assert torch.autograd.gradcheck(forward, (x, *parameters.values()), fast_mode=True)


@every
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mixed_precision(make: Make, randomize, training: bool, dtype: torch.dtype) -> None:
    module = randomize(make()).train(training)
    x = mixed().requires_grad_()
    exact = copy.deepcopy(module)(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x.to(dtype))
    assert out.dtype in (dtype, torch.float32)
    error = (out.float() - exact).abs().mean() / exact.abs().mean()
    assert error < 0.03
    out.float().square().mean().backward()
    for parameter in (x, *module.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@every
@pytest.mark.parametrize("training", [True, False])
def test_memory_formats_are_kept_and_answer_alike(make: Make, randomize, training: bool) -> None:
    outs = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        module = randomize(make()).train(training).to(memory_format=memory_format)
        outs.append(module(mixed(memory_format)))
        assert outs[-1].is_contiguous(memory_format=memory_format)
    assert torch.allclose(*outs, atol=1e-5)


@every
def test_copies_pickles_and_weights_answer_alike(make: Make, randomize) -> None:
    module = randomize(make()).eval()
    loaded = make().eval()
    assert not loaded.load_state_dict(module.state_dict(), strict=True).missing_keys
    out = module(mixed())
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert torch.equal(other(mixed()), out)
        theirs = {p.data_ptr() for p in other.parameters()}
        assert not theirs & {p.data_ptr() for p in module.parameters()}


@pytest.mark.parametrize("name", POOLED)
def test_one_value_a_channel_is_named_in_training(name: str) -> None:
    module = MODULES[name]()
    one = torch.randn(1, CHANNELS, 1, 1)
    with pytest.raises(ShapeError, match=r"batch normalisation in training of features \(1, ") as e:
        module(one)
    assert "two values a channel" in str(e.value)
    assert "batch_size" in str(e.value)
    module.eval()(one)
    module.train()(torch.randn(2, CHANNELS, 1, 1))


INSERTS = {
    "BatchNorm": {},
    "SqueezeExcitation": {"reduction": 4},
    "CBAM": {"reduction": 4, "kernel_size": 3},
    "BAM": {"reduction": 4},
    "GatherExcite": {"extent": 4, "gather": "convolution"},
    "NonLocal": {"pairwise": "dot_product"},
}


@pytest.mark.parametrize("name", INSERTS)
def test_inserts_from_a_config(name: str) -> None:
    torch.manual_seed(0)
    model = build_localizer(
        {
            "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
            "inserts": [{"at": "stage*", "module": {"type": name, **INSERTS[name]}}],
            "head": {"type": "cam.CAMHead", "num_classes": 3},
        }
    )
    assert list(model.inserts) == ["stage1", "stage2", "stage3"]
    assert {type(insert).__name__ for insert in model.inserts.values()} == {name}
    images = torch.randn(2, 3, 21, 18)
    plain = copy.deepcopy(model)
    plain.inserts = None
    for module in plain.backbone.modules():
        module._forward_hooks.clear()
    changed = not torch.equal(model.backbone(images)["last"], plain.backbone(images)["last"])
    assert changed == (name != "NonLocal")  # the identity at the start
    model.head.logits(model.backbone(images)).square().sum().backward()
    for insert in model.inserts.values():
        gradients = [parameter.grad for parameter in insert.parameters()]
        assert all(gradient is not None for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_what_leaves_no_channel_is_an_error_with_its_path() -> None:
    config = {
        "backbone": {"type": "SmallNet", "channels": (4, 6, 32)},
        "inserts": [{"at": "stage*", "module": {"type": "SqueezeExcitation"}}],
        "head": {"type": "cam.CAMHead", "num_classes": 3},
    }
    with pytest.raises(ConfigError, match="reduction=16 of 4 channels") as error:
        build_localizer(config)
    assert "model.inserts[0].module" in str(error.value)


@pytest.mark.parametrize("kind", [SqueezeExcitation, CBAM, BAM, partial(GatherExcite, mlp=True)])
@pytest.mark.parametrize("reduction", [0, -1, 9, 2.0, True, "4"])
def test_bad_reductions_are_errors(kind: Make, reduction: object) -> None:
    with pytest.raises(ConfigError, match="reduction="):
        kind(channels=8, reduction=reduction)
    assert kind(channels=8, reduction=8) is not None
    assert kind(channels=8, reduction=3) is not None  # 8 / 3, rounded down
