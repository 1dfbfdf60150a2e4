from __future__ import annotations

import copy
import pickle
from functools import partial
from math import log

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.builder import build_localizer
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.testing import check_recalibration
from wsoltool_plugins import mldfr
from wsoltool_plugins.mldfr.mldfr import ChannelAttention, SelfAttention

VARIANTS = {
    "released": {},
    "printed": {"norm": False, "kernel_size": 3},
    "turned": {"parts": ("spatial", "channel"), "kernel_size": 5},
    "channel": {"parts": "channel"},
    "spatial": {"parts": ("spatial",)},
}
variants = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
X = torch.tensor([[[[0.0, 2.0]], [[1.0, 3.0]]]])  # means 1 and 2


def randomized(module: nn.Module) -> nn.Module:
    torch.manual_seed(5)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.7)
    return module


def by_hand(**options: object) -> SelfAttention:
    module = SelfAttention(2, kernel_size=1, **options).eval()
    channel = torch.tensor([[1.0, 1.0], [1.0, -2.0]]) * log(3)
    weights = {
        "channel.conv.weight": channel.view(2, 2, 1, 1),
        "spatial.conv.weight": torch.tensor([0.0, log(3)]).view(1, 2, 1, 1),
    }
    state = module.state_dict()
    module.load_state_dict({**state, **{k: v for k, v in weights.items() if k in state}})
    return module


def test_face_offers_the_recalibration():
    assert mldfr.wsoltool_recalibrations() == [SelfAttention]


def test_start_sets_how_open_the_attentions_begin():
    module = SelfAttention(4, kernel_size=3, start=4.0)
    features = torch.rand(8, 4, 5, 5)
    kept = (module(features) / features).detach()
    assert 0.9 < kept.mean() < 1
    halved = (SelfAttention(4, kernel_size=3)(features) / features).detach()
    assert halved.mean() == pytest.approx(0.25, abs=0.05)


def test_start_needs_the_norm():
    with pytest.raises(ConfigError, match="without norm"):
        SelfAttention(4, norm=False, start=4.0)


def test_channel_attention_by_hand():
    # Eq. (5): scores (1 + 2) ln 3 and (1 - 4) ln 3, so 27/28 and 1/28.
    gates = torch.tensor([27 / 28, 1 / 28]).view(2, 1, 1)
    assert torch.allclose(by_hand(norm=False, parts="channel")(X), X * gates)


def test_spatial_attention_by_hand():
    # Eq. (6): means 1/2 and 5/2 over the channels, times ln 3.
    gates = torch.tensor([1 / (1 + 3**-0.5), 1 / (1 + 3**-2.5)])
    assert torch.allclose(by_hand(norm=False, parts="spatial")(X), X * gates)


def test_both_in_the_order_of_equation_7():
    channel, spatial = (by_hand(norm=False, parts=part) for part in ("channel", "spatial"))
    assert torch.allclose(by_hand(norm=False)(X), spatial(channel(X)))
    turned = by_hand(norm=False, parts=("spatial", "channel"))
    assert torch.allclose(turned(X), channel(spatial(X)))
    assert not torch.allclose(turned(X), spatial(channel(X)))


def test_norm_at_test_by_hand():
    module = by_hand(parts="channel")
    norm = module.channel.norm
    norm.running_mean.copy_(torch.tensor([3 * log(3), 0.0]))
    norm.running_var.fill_(9.0)
    # Scores (3 ln 3 - 3 ln 3) / 3 = 0 and -3 ln 3 / 3.
    expected = X * torch.tensor([1 / 2, 1 / 4]).view(2, 1, 1)
    assert torch.allclose(module(X), expected, atol=1e-5)


@pytest.mark.parametrize("norm", [True, False])
def test_channel_attention_slow_reference_in_training(norm):
    module = randomized(ChannelAttention(4, norm, momentum=0.01).double()).train()
    x = torch.randn(3, 4, 5, 2, dtype=torch.float64)
    weight = module.conv.weight[:, :, 0, 0]
    scores = []
    for image in x:
        means = [channel.sum() / 10 for channel in image]
        scores.append([sum(w * m for w, m in zip(row, means, strict=True)) for row in weight])
    out = module(x)
    for c in range(4):
        column = torch.stack([row[c] for row in scores])
        if norm:
            column = (column - column.mean()) / (column.var(unbiased=False) + 1e-5).sqrt()
            column = column * module.norm.weight[c] + module.norm.bias[c]
        for b in range(3):
            assert torch.allclose(out[b, c], x[b, c] / (1 + torch.exp(-column[b])))


@variants
def test_contract(options):
    check_recalibration(SelfAttention(6, **options), 6)
    check_recalibration(randomized(SelfAttention(6, **options)), 6)


@variants
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (1, 9)])
def test_maps_of_any_size(options, size):
    x = torch.rand(2, 6, *size) + 0.5
    for training in (True, False):
        share = SelfAttention(6, **options).train(training)(x) / x
        assert ((share > 0) & (share < 1)).all()


@variants
@pytest.mark.parametrize("training", [True, False])
def test_gradients(options, training):
    module = randomized(SelfAttention(3, **options).double()).train(training)
    x = torch.randn(2, 3, 3, 5, dtype=torch.float64, requires_grad=True)
    parameters = dict(module.named_parameters())

    def forward(x, *values):
        replaced = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(module, replaced, (x,))

    assert torch.autograd.gradcheck(forward, (x, *parameters.values()), fast_mode=True)


@variants
def test_mixed_precision_and_memory_formats(options):
    module = randomized(SelfAttention(6, **options)).eval()
    x = torch.randn(2, 6, 7, 13)
    exact = module(x)
    with torch.autocast("cpu", torch.bfloat16):
        error = (module(x.bfloat16()).float() - exact).abs().mean() / exact.abs().mean()
    assert error < 0.03
    last = module(x.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last, exact, atol=1e-6)


@variants
def test_copies_answer_alike(options):
    module = randomized(SelfAttention(6, **options)).eval()
    x = torch.randn(2, 6, 7, 5)
    loaded = SelfAttention(6, **options).eval()
    loaded.load_state_dict(module.state_dict(), strict=True)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert torch.equal(other(x), module(x))


def test_one_image_in_training_is_named():
    with pytest.raises(ShapeError, match=r"\(1, 6, 1, 1\)") as error:
        SelfAttention(6)(torch.randn(1, 6, 7, 5))
    assert "batch_size" in str(error.value)
    SelfAttention(6).eval()(torch.randn(1, 6, 7, 5))
    SelfAttention(6, norm=False)(torch.randn(1, 6, 7, 5))
    SelfAttention(6, parts="spatial")(torch.randn(1, 6, 7, 5))


def test_defaults_are_the_releases():
    module = SelfAttention(6)
    assert [name for name, _ in module.named_children()] == ["channel", "spatial"]
    assert module.channel.norm.momentum == module.spatial.norm.momentum == 0.01
    assert module.spatial.conv.kernel_size == (7, 7)
    module = SelfAttention(6, momentum=0.1)
    assert module.channel.norm.momentum == module.spatial.norm.momentum == 0.1


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("channels", "kernel_size"), [(128, 7), (5, 3)])
def test_parameter_count(channels, kernel_size, norm):
    module = SelfAttention(channels, kernel_size=kernel_size, norm=norm)
    count = channels**2 + 2 * kernel_size**2 + (2 * channels + 2) * norm
    assert sum(p.numel() for p in module.parameters()) == count


def test_published_parameter_count_of_resnet50():
    # Table V. The network of 25,557,032 parameters loses a 3x3 convolution of 512 channels, takes a
    # 1x1 one instead, and has no bias in its last layer.
    network = 25_557_032 - 8 * 512**2 - 1000
    points = ((64, 7), (512, 5), (1024, 3))
    modules = [SelfAttention(channels, kernel_size=k) for channels, k in points]
    added = sum(p.numel() for module in modules for p in module.parameters())
    assert round((network + added) / 1e6, 2) == 24.78


@pytest.mark.parametrize(("bias", "millions"), [(False, 20.81), (True, 20.82)])
def test_parameter_count_of_vgg16_from_a_config(bias, millions):
    """Table V has 20.82; the release's head has a bias, the paper's none."""
    attend = partial(dict, type="mldfr.SelfAttention")
    inserts = [
        {"at": "conv*", "module": {"type": "BatchNorm"}},
        {"at": "pool2", "module": attend(kernel_size=7)},
        {"at": "pool3", "module": attend(kernel_size=5)},
        {"at": "pool4", "module": attend(kernel_size=3)},
    ]
    model = build_localizer(
        {
            "backbone": {"type": "VGG16", "extra_conv": 1024},
            "inserts": inserts,
            "head": {"type": "cam.ConvHead", "num_classes": 1000, "bias": bias},
            "fusion": {"type": "MultiScale", "scales": (1.0, 1.5, 2.0), "reduce": "sum"},
        }
    )
    kinds = [type(insert) for insert in model.inserts.values()]
    assert kinds == [BatchNorm] * 14 + [SelfAttention] * 3
    sizes = [model.inserts[f"pool{i}"].spatial.conv.kernel_size[0] for i in (2, 3, 4)]
    assert sizes == [7, 5, 3]
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_inserts_by_glob_learn():
    torch.manual_seed(0)
    model = build_localizer(
        {
            "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
            "inserts": [{"at": "stage*", "module": {"type": "mldfr.SelfAttention"}}],
            "head": {"type": "cam.CAMHead", "num_classes": 3},
        }
    )
    assert list(model.inserts) == ["stage1", "stage2", "stage3"]
    model.head.logits(model.backbone(torch.randn(2, 3, 21, 18))).square().sum().backward()
    for parameter in model.inserts.parameters():
        assert parameter.grad is not None
    assert model.inserts["stage1"].channel.conv.weight.grad.abs().max() > 0


@pytest.mark.parametrize("options", [{"kernel_size": 4}, {"parts": ("channel", "chanel")}])
def test_bad_values_are_errors(options):
    with pytest.raises(ConfigError, match=f"SelfAttention: {next(iter(options))}="):
        SelfAttention(8, **options)
