import pytest
import torch
from torch import nn

from wsoltool.functional.cams import class_activation_map
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.contracts import CAMHead, Loss, MapSource
from wsoltool.models.losses import CrossEntropy
from wsoltool.testing import check_head, check_loss, check_map_source

CHANNELS = {"last": 4}


class Head(CAMHead):
    def __init__(self, **answers):
        super().__init__()
        self.num_classes = 3
        self.linear = nn.Linear(4, 3)
        self.answers = answers  # method -> function of its proper answer

    def _answer(self, method, value):
        return self.answers.get(method, lambda value: value)(value)

    def logits(self, features):
        logits = self.linear(features["last"].mean(dim=(2, 3)))
        return self._answer("logits", logits)

    def scores(self, features):
        return self._answer("scores", super().scores(features))

    def loss(self, features, samples):
        loss = nn.functional.cross_entropy(self.logits(features), samples.labels)
        return self._answer("loss", {"loss": loss})

    def maps(self, features, class_ids):
        maps = class_activation_map(features["last"], self.linear.weight, class_ids)
        return self._answer("maps", {"cam": maps})

    def part_maps(self, features):
        return self._answer("parts", features["last"].sigmoid())


class FarTap(Head):
    taps = ("far",)


class InPlace(Head):
    def maps(self, features, class_ids):
        features["last"].mul_(2)
        return super().maps(features, class_ids)


class SwitchesMode(Head):
    def maps(self, features, class_ids):
        self.train()
        return super().maps(features, class_ids)


@pytest.mark.parametrize(
    ("head", "breach"),
    [
        (nn.Identity(), "no CAMHead"),
        (FarTap(), r"unknown features \['far'\]"),
        (InPlace(), "'last' was changed in place"),
        (SwitchesMode(), "another mode"),
        (Head(loss=lambda losses: {"accuracy": losses["loss"]}), "no loss among"),
        (Head(loss=lambda losses: {"loss": losses["loss"][None]}), "not a scalar"),
        (Head(loss=lambda losses: {"loss": losses["loss"].detach()}), "no gradient"),
        (Head(loss=lambda losses: {"loss": losses["loss"] * torch.nan}), "NaN"),
        (Head(logits=lambda logits: logits + torch.randn(3)), "random"),
        (Head(logits=lambda logits: logits - logits.mean(dim=0)), "rest of the batch"),
        (Head(scores=lambda scores: scores[:, :2]), "shape"),
        (Head(scores=lambda scores: scores * 5), r"leave \[0, 1\]"),
        (Head(maps=lambda maps: {}), "no map"),
        (Head(maps=lambda maps: {"cam": maps["cam"][:, :1]}), "shape"),
        (Head(maps=lambda maps: {"cam": maps["cam"].mean(dim=3)}), "not .B, n, h, w."),
        (Head(maps=lambda maps: {"cam": maps["cam"] / 0}), "NaN or infinity"),
        (
            Head(maps=lambda maps: {"cam": maps["cam"] - maps["cam"].mean(dim=1, keepdim=True)}),
            "other images or classes",
        ),
        (
            Head(maps=lambda maps: {f"cam {len(maps['cam'])}": maps["cam"]}),
            "branches depend on what is asked",
        ),
        (Head(parts=lambda maps: maps[0]), r"not \(3, P, h, w\) but \(4, 7, 5\)"),
        (Head(parts=lambda maps: maps[:, :0]), "not .3, P, h, w."),
        (Head(parts=lambda maps: maps * torch.nan), "NaN or infinity"),
        (Head(parts=lambda maps: maps * 2), r"part maps leave \[0, 1\]"),
        (Head(parts=lambda maps: maps / maps.max() / len(maps)), "rest of the batch"),
        (Head(parts=lambda maps: maps if len(maps) > 1 else None), "for some images only"),
    ],
)
def test_breaches_of_a_head_are_named(head, breach):
    with pytest.raises(AssertionError, match=breach):
        check_head(head, CHANNELS)


def test_a_head_may_have_no_parts():
    check_head(Head(parts=lambda maps: None), CHANNELS)


def test_a_head_may_keep_the_contract_and_is_left_without_gradients():
    head = Head()
    check_head(head, CHANNELS, labels=("index", "soft"))
    assert all(parameter.grad is None for parameter in head.parameters())


class Stem(Backbone):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def steps(self):
        return [("conv", self.conv)]


class Source(MapSource):
    """The head's own maps, spoiled by ``change`` before they are answered."""

    def __init__(self, change=lambda maps, head: maps):
        self.change = change

    def maps(self, backbone, head, images, features, class_ids):
        return self.change(head.maps(features, class_ids), head)


class LeavesGradients(Source):
    def maps(self, backbone, head, images, features, class_ids):
        with torch.enable_grad():
            logits = head.logits(backbone(images.clone().requires_grad_()))
            logits.sum().backward()
        return super().maps(backbone, head, images, features, class_ids)


class LeavesGraph(Source):
    def maps(self, backbone, head, images, features, class_ids):
        with torch.enable_grad():
            return head.maps(features, class_ids)


class LeavesAutogradOn(Source):
    def maps(self, backbone, head, images, features, class_ids):
        torch.set_grad_enabled(True)
        return super().maps(backbone, head, images, features, class_ids)


def changed_when_frozen(maps, head):
    trainable = next(head.parameters()).requires_grad
    return {"cam": maps["cam"] + (0 if trainable else 1)}


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        (object(), "no MapSource"),
        (LeavesGradients(), "left with a gradient"),
        (LeavesGraph(), "hangs on its graph"),
        (LeavesAutogradOn(), "autograd was left"),
        (Source(changed_when_frozen), "frozen parameters"),
        (Source(lambda maps, head: {"cam": maps["cam"].cumsum(dim=1)}), "classes asked"),
        (Source(lambda maps, head: {"cam": head.linear.weight.zero_()}), "changed in place"),
    ],
)
def test_breaches_of_a_map_source_are_named(source, breach):
    with pytest.raises(AssertionError, match=breach):
        check_map_source(source, Stem(), Head())


def test_a_map_source_may_keep_the_contract_and_parameters_stay_as_they_were():
    backbone, head = Stem(), Head()
    backbone.conv.bias.requires_grad_(False)
    check_map_source(Source(), backbone, head)
    assert [p.requires_grad for p in backbone.parameters()] == [True, False]
    assert backbone.wanted == ()


class SpoiledLoss(Loss):
    def __init__(self, loss=lambda value: value, probabilities=lambda value: value):
        super().__init__()
        self.change, self.change_probabilities = loss, probabilities

    def forward(self, logits, samples):
        return self.change(CrossEntropy()(logits, samples))

    def probabilities(self, logits):
        return self.change_probabilities(super().probabilities(logits))


@pytest.mark.parametrize(
    ("loss", "breach"),
    [
        (nn.Identity(), "no Loss"),
        (SpoiledLoss(loss=lambda value: value[None]), "shape"),
        (SpoiledLoss(loss=lambda value: value / 0), "NaN or infinity"),
        (SpoiledLoss(loss=lambda value: value.detach()), "no gradient"),
        (SpoiledLoss(probabilities=lambda value: value.log()), r"leave \[0, 1\]"),
        (SpoiledLoss(probabilities=lambda value: value[:1]), "shape"),
    ],
)
def test_breaches_of_a_loss_are_named(loss, breach):
    with pytest.raises(AssertionError, match=breach):
        check_loss(loss)
