from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError, WsolError
from wsoltool.models.backbones.resnet import ResNet18
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.models.contracts import Eraser, Recalibration
from wsoltool.models.erasing import DropBlock
from wsoltool.models.insertion import Inserts
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.structures import Samples


class Scale(Recalibration):
    def __init__(self, channels: int, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels, 1, 1), factor))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.factor


class Shift(Recalibration):
    def forward(self, features: Tensor) -> Tensor:
        return features + 1


class HideLabelled(Eraser):
    """Zeros the images whose label is 1."""

    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        return features * (samples.labels != 1).view(-1, 1, 1, 1)


class Model(nn.Module):
    """A backbone with its inserts, as the localizer holds them."""

    def __init__(self, *entries: tuple[str, Callable]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = SmallNet()
        self.inserts = Inserts(self.backbone, entries)

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)["last"]


def scale(channels: int, stride: int) -> Scale:
    return Scale(channels)


def shift(channels: int, stride: int) -> Shift:
    return Shift()


def hide(channels: int, stride: int) -> HideLabelled:
    return HideLabelled()


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(3)
    return torch.randn(2, 3, 32, 32)


def test_builders_get_channels_and_stride() -> None:
    seen = []

    def build(channels: int, stride: int) -> nn.Module:
        seen.append((channels, stride))
        return nn.Identity()

    Inserts(SmallNet(), [("stage*", build), ("input", build)])
    assert seen == [(16, 2), (32, 4), (48, 4), (48, 4), (3, 1)]


@pytest.mark.parametrize("point", ["input", "stage2", "conv3", "last"])
def test_the_insert_acts_on_what_goes_on(point: str, images: Tensor) -> None:
    model = Model((point, scale)).eval()
    plain = SmallNet().eval()
    plain.load_state_dict(model.backbone.state_dict(), strict=True)
    plain.want([point])
    model.backbone.want([point])
    expected = 2 * plain(images)[point]
    features = model.backbone(images)
    assert torch.equal(features[point], expected)
    assert torch.equal(features["last"], plain.forward_from(expected, point)["last"])
    if point != "input":
        rest = model.backbone.forward_from(images, "input")
        assert torch.equal(rest["last"], features["last"])


def test_inserts_inside_a_block_act(images: Tensor) -> None:
    torch.manual_seed(0)
    net = ResNet18().eval()
    before = net(images)["last"]
    inserts = Inserts(net, [("layer4.1.bn2", lambda channels, stride: Scale(channels, 0.0))])
    assert list(inserts) == ["layer4_1_bn2"]
    net.want(["layer4.0"])
    features = net(images)
    # Nothing is left of the residual branch.
    assert torch.equal(features["last"], features["layer4.0"].relu())
    assert not torch.equal(features["last"], before)


def test_the_backbones_weights_keep_their_names() -> None:
    model = Model(("stage*", scale), ("conv2", scale))
    names = set(SmallNet().state_dict())
    assert set(model.backbone.state_dict()) == names
    assert set(model.state_dict()) == {f"backbone.{n}" for n in names} | {
        f"inserts.{key}.factor" for key in ("stage1", "stage2", "stage3", "stage4", "conv2")
    }


def test_several_at_one_point_act_in_order(images: Tensor) -> None:
    plain = Model().eval()(images)
    first = Model(("stage4", scale), ("last", shift), ("stage4", scale)).eval()
    assert list(first.inserts) == ["stage4", "last", "stage4_2"]
    assert first.inserts.points == {"stage4": "stage4", "last": "last", "stage4_2": "stage4"}
    assert torch.allclose(first(images), (2 * plain + 1) * 2)
    second = Model(("last", shift), ("stage4", scale), ("stage4", scale)).eval()
    assert torch.allclose(second(images), (plain + 1) * 4)


def test_keys_never_collide() -> None:
    net = VGG16()
    net.canonical = {"conv1": "relu1_2"}
    inserts = Inserts(net, [("conv1", shift), ("conv1", shift), ("conv1_2", shift)])
    assert list(inserts) == ["conv1", "conv1_2", "conv1_2_2"]
    assert list(inserts.points.values()) == ["conv1", "conv1", "conv1_2"]


def test_globs_place_one_module_at_each_point() -> None:
    net = VGG16()
    inserts = Inserts(net, [("conv*", lambda channels, stride: BatchNorm(channels))])
    assert len(inserts) == 13
    assert inserts["conv5_3"].num_features == 512
    assert len({id(module) for module in inserts.values()}) == 13


def test_erasers_see_the_batch_in_training_only(images: Tensor) -> None:
    model = Model(("stage2", hide))
    samples = Samples(torch.tensor([0, 1]))
    model.backbone.want(["stage2"])
    with model.inserts.samples(samples):
        hidden = model.backbone(images)["stage2"]
    assert hidden[0].any()
    assert not hidden[1].any()
    model.eval()
    with model.inserts.samples(samples):
        assert model.backbone(images)["stage2"][1].any()
    assert model.backbone(images)["stage2"][1].any()  # no samples needed


def test_an_eraser_without_samples_is_an_error(images: Tensor) -> None:
    model = Model(("stage2", hide))
    with pytest.raises(WsolError, match="without samples") as error:
        model(images)
    assert error.value.at == "stage2"
    assert "inserts.samples(samples)" in str(error.value)


def test_samples_of_another_batch_are_an_error(images: Tensor) -> None:
    model = Model(("stage2", hide))
    samples = Samples(torch.tensor([0, 1, 1]))
    with model.inserts.samples(samples), pytest.raises(ShapeError, match="3 samples for a batch"):
        model(images)


def test_samples_end_with_their_block() -> None:
    inserts = Model().inserts
    outer, inner = Samples(torch.tensor([0])), Samples(torch.tensor([1]))
    with inserts.samples(outer):
        with inserts.samples(inner):
            assert inserts.current_samples is inner
        assert inserts.current_samples is outer
        with pytest.raises(ZeroDivisionError), inserts.samples(inner):
            1 / 0  # noqa: B018
        assert inserts.current_samples is outer
    assert inserts.current_samples is None


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_call_their_own_inserts(twin_of: Callable, images: Tensor) -> None:
    model = Model(("stage2", scale), ("last", hide))
    twin = twin_of(model)
    nn.init.zeros_(twin.inserts["stage2"].factor)
    assert model.eval()(images).std() > 0
    dead = twin.eval()(torch.cat([images, images + 1]))
    assert torch.equal(dead, dead[:1].expand_as(dead))  # nothing of the image passes stage2
    twin.train()
    model.train()
    with twin.inserts.samples(Samples(torch.tensor([1, 1]))):
        assert not twin(images).any()
    assert model.inserts.current_samples is None
    with model.inserts.samples(Samples(torch.tensor([0, 1]))):
        model(images).sum().backward()
    assert model.inserts["stage2"].factor.grad is not None
    assert twin.inserts["stage2"].factor.grad is None


def test_a_copied_backbone_alone_keeps_its_inserts_private(images: Tensor) -> None:
    model = Model(("last", scale)).eval()
    frozen = copy.deepcopy(model.backbone)
    before = frozen(images)["last"]
    nn.init.zeros_(model.inserts["last"].factor)
    assert not model(images).any()
    assert torch.equal(frozen(images)["last"], before)


def test_state_dict_round_trip(images: Tensor) -> None:
    model, other = Model(("stage*", scale)), Model(("stage*", scale))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model.eval()(images), other.eval()(images))


def test_replaced_inserts_are_used(images: Tensor) -> None:
    model = Model(("last", lambda channels, stride: BatchNorm(channels)))
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).eval()
    assert isinstance(model.inserts["last"], nn.SyncBatchNorm)
    nn.init.zeros_(model.inserts["last"].weight)
    nn.init.ones_(model.inserts["last"].bias)
    assert torch.equal(model(images), torch.ones(2, 48, 8, 8))


def test_attach_again_after_the_backbone_changed(images: Tensor) -> None:
    model = Model(("bn4", scale), ("stage1", scale)).eval()
    before = model(images)
    model.inserts.attach(model.backbone)  # all there: nothing is doubled
    assert torch.equal(model(images), before)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert not torch.equal(model(images), before)
    model.inserts.attach(model.backbone)
    assert torch.equal(model(images), before)


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        (nn.MaxPool2d(2), r"\(2, 32, 4, 4\)"),
        (nn.Conv2d(32, 8, 1), r"\(2, 8, 8, 8\)"),
        (nn.AdaptiveMaxPool2d(8, return_indices=True), "tuple"),
    ],
)
def test_changed_shapes_are_refused(module: nn.Module, answer: str, images: Tensor) -> None:
    model = Model(("stage2", lambda channels, stride: module))
    with pytest.raises(ShapeError, match=f"{type(module).__name__} .* {answer}") as error:
        model(images)
    assert error.value.at == "stage2"
    assert "(2, 32, 8, 8)" in str(error.value)


def test_unknown_points_and_builders_without_module() -> None:
    with pytest.raises(ConfigError, match="no insert point 'pool9'"):
        Model(("pool9", scale))
    with pytest.raises(ConfigError, match="'stage1' is builtin"):
        Model(("stage1", lambda channels, stride: torch.relu))


def test_under_autocast_with_gradient(images: Tensor) -> None:
    model = Model(
        ("conv*", lambda channels, stride: BatchNorm(channels)),
        ("stage2", lambda channels, stride: nn.Conv2d(channels, channels, 1)),
        ("stage3", lambda channels, stride: DropBlock(0.2, 3)),
    )
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        model.inserts.samples(Samples(torch.tensor([0, 1]))),
    ):
        last = model(images)
    assert last.isfinite().all()
    last.float().square().mean().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.inserts.parameters())


def test_gradient_is_that_of_the_plain_formula(images: Tensor) -> None:
    model = Model(("last", scale)).eval()
    model(images).sum().backward()
    with torch.no_grad():
        expected = Model().eval()(images).sum(dim=(0, 2, 3))
    assert torch.allclose(model.inserts["last"].factor.grad.flatten(), expected, rtol=1e-5)
