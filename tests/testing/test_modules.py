import numpy as np
import pytest
import torch
from torch import nn

from wsoltool.models.contracts import (
    BatchAugmentation,
    Eraser,
    MaskEraser,
    Pooling,
    Recalibration,
)
from wsoltool.structures import Hiding
from wsoltool.testing import (
    check_batch_augmentation,
    check_eraser,
    check_pooling,
    check_recalibration,
    random_samples,
)


class Gate(Recalibration):
    """Batch normalisation and a sigmoid gate, spoiled by ``change`` before it is answered."""

    def __init__(self, change=lambda out, features: out):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.change = change

    def forward(self, features):
        return self.change(features * self.norm(features).sigmoid(), features)


class Centred(Gate):
    def forward(self, features):
        return features - features.mean(dim=0, keepdim=True)


@pytest.mark.parametrize(
    ("module", "breach"),
    [
        (nn.Identity(), "no Recalibration"),
        (Gate(lambda out, _: out[:, :2]), "shape"),
        (Gate(lambda out, _: out.double()), "float64"),
        (Gate(lambda out, _: out.detach()), "no gradient"),
        (Gate(lambda out, _: out / 0), "NaN or infinity"),
        (Gate(lambda out, features: features.data.mul_(2) * out), "changed in place"),
        (Centred(), "depends on the batch"),
    ],
)
def test_breaches_of_a_recalibration_are_named(module, breach):
    with pytest.raises(AssertionError, match=breach):
        check_recalibration(module, 4)


def test_a_recalibration_that_keeps_state_at_test_is_named():
    class Counting(Gate):
        def forward(self, features):
            self.norm.num_batches_tracked += 1
            return super().forward(features)

    with pytest.raises(AssertionError, match=r"norm\.num_batches_tracked.*changed in place"):
        check_recalibration(Counting(), 4)


def test_a_recalibration_may_keep_the_contract():
    check_recalibration(Gate(), 4)


class Drop(Eraser):
    """Hides pixels at random, spoiled by ``change`` before they are answered."""

    def __init__(self, change=lambda out, samples: out):
        super().__init__()
        self.change = change

    def erase(self, features, samples):
        keep = (torch.rand(len(features), 1, *features.shape[2:]) < 0.5).float()
        return self.change(features * keep, samples)


class AlwaysOn(Drop):
    def forward(self, features, samples):
        return self.erase(features, samples)


class NumpyDrop(Drop):
    def erase(self, features, samples):
        return features * np.random.rand()


@pytest.mark.parametrize(
    ("eraser", "breach"),
    [
        (nn.Identity(), "no Eraser"),
        (AlwaysOn(), "changes test features"),
        (NumpyDrop(), "torch's generator"),
        (Drop(lambda out, _: out.detach()), "no gradient"),
        (Drop(lambda out, _: out[:, :, 1:]), "shape"),
        (Drop(lambda out, samples: out * (samples.labels.add_(1).ndim or 1)), "labels"),
    ],
)
def test_breaches_of_an_eraser_are_named(eraser, breach):
    with pytest.raises(AssertionError, match=breach):
        check_eraser(eraser, 4)


def test_an_eraser_may_keep_the_contract():
    check_eraser(Drop(), 4, labels=("index", "soft", "multi_hot"))


class Mask(MaskEraser):
    """Hides positions at random and tells of two cases, spoiled by ``change``."""

    cases = ("few", "many")

    def __init__(self, change=lambda hiding: hiding):
        super().__init__()
        self.change = change

    def hide(self, features, samples):
        kept = torch.rand(len(features), *features.shape[2:]) < 0.5
        cases = (kept.float().mean(dim=(1, 2)) < 0.5).long()
        return self.change(Hiding(kept, features.mean(dim=1), cases))


class Unsaid(Mask):
    """Hides other positions than it tells of."""

    def erase(self, features, samples):
        return super().erase(features, samples) * 0.9


class Untold(Mask):
    def erase(self, features, samples):
        out = super().erase(features, samples)
        self.hiding = None
        return out


class OneCase(Mask):
    cases = ()


@pytest.mark.parametrize(
    ("eraser", "breach"),
    [
        (Unsaid(), "not the features times hiding.kept"),
        (Untold(), "does not tell what was hidden"),
        (Mask(lambda h: Hiding(h.kept * 2.0, h.attention, h.cases)), r"leaves \[0, 1\]"),
        (Mask(lambda h: Hiding(h.kept * -1.0, h.attention, h.cases)), r"leaves \[0, 1\]"),
        (Mask(lambda h: Hiding(h.kept.long(), h.attention, h.cases)), "int64, neither bool nor"),
        (Mask(lambda h: Hiding(h.kept[:, :1], h.attention, h.cases)), "hiding.kept: shape"),
        (Mask(lambda h: Hiding(h.kept, h.attention[:1], h.cases)), "hiding.attention: shape"),
        (Mask(lambda h: Hiding(h.kept, -h.attention, h.cases)), "attention is negative"),
        (Mask(lambda h: Hiding(h.kept, h.attention / 0, h.cases)), "attention: NaN or infinity"),
        (Mask(lambda h: Hiding(h.kept, h.attention, h.cases[:1])), "hiding.cases: shape"),
        (Mask(lambda h: Hiding(h.kept, h.attention, h.cases + 1)), "cases than few, many"),
        (Mask(lambda h: Hiding(h.kept, h.attention, h.cases - 1)), "cases than few, many"),
        (
            Mask(lambda h: Hiding(h.kept, h.attention, h.cases.float())),
            "hiding.cases is",
        ),
        (Mask(lambda h: Hiding(h.kept, h.attention)), "one is missing"),
        (OneCase(), "one is missing"),
    ],
)
def test_breaches_of_a_mask_eraser_are_named(eraser, breach):
    with pytest.raises(AssertionError, match=breach):
        check_eraser(eraser, 4)


@pytest.mark.parametrize(
    "eraser",
    [
        Mask(),
        Mask(lambda h: Hiding(h.kept * 0.5, None, h.cases)),
        OneCase(lambda h: Hiding(h.kept)),
    ],
)
def test_a_mask_eraser_may_keep_the_contract(eraser):
    check_eraser(eraser, 4, labels=("index", "soft", "multi_hot"))
    assert not eraser.training


class Mean(Pooling):
    def __init__(self, change=lambda out, features: out):
        super().__init__()
        self.change = change

    def forward(self, features):
        return self.change(features.mean(dim=(2, 3)), features)


@pytest.mark.parametrize(
    ("pooling", "breach"),
    [
        (nn.Flatten(), "Flatten is no Pooling"),
        (Mean(lambda out, _: out[..., None]), "in training: shape"),
        (Mean(lambda out, _: out.half()), "float16 instead of torch.float32"),
        (Mean(lambda out, _: out / 0), "NaN or infinity"),
        (Mean(lambda out, _: out.detach()), "no gradient"),
        (Mean(lambda out, _: out - out.mean(dim=0)), "depends on the batch"),
        (Mean(lambda out, features: features.data.mul_(2).mean(dim=(2, 3)) + out), "in place"),
    ],
)
def test_breaches_of_a_pooling_are_named(pooling, breach):
    with pytest.raises(AssertionError, match=breach):
        check_pooling(pooling, 4)


def test_a_pooling_may_keep_the_contract():
    pooling = Mean()
    check_pooling(pooling, 4)
    assert not pooling.training


class Darken(BatchAugmentation):
    def __init__(self, change=lambda images, samples: (images, samples)):
        self.change = change

    def __call__(self, images, samples):
        return self.change(images * torch.rand(()), samples)


class InPlace(BatchAugmentation):
    def __call__(self, images, samples):
        return images.mul_(0.5), samples


@pytest.mark.parametrize(
    ("augmentation", "breach"),
    [
        (object(), "no BatchAugmentation"),
        (InPlace(), "changed in place"),
        (Darken(lambda images, samples: (images[:, :, :8], samples)), "shape"),
        (Darken(lambda images, samples: (images, samples.labels)), "samples were lost"),
        (Darken(lambda images, samples: (images, samples.select([0]))), "samples were lost"),
        (Darken(lambda i, s: (i, s.with_labels(s.targets(7)))), "labels of shape"),
        (Darken(lambda i, s: (i * np.random.rand(), s)), "torch's generator"),
    ],
)
def test_breaches_of_a_batch_augmentation_are_named(augmentation, breach):
    with pytest.raises(AssertionError, match=breach):
        check_batch_augmentation(augmentation)


def test_a_batch_augmentation_may_keep_the_contract():
    check_batch_augmentation(Darken(), labels=("index", "soft", "multi_hot"))


def test_checks_leave_torchs_generator_as_it_was():
    state = torch.random.get_rng_state()
    check_batch_augmentation(Darken())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("labels", "shape"), [("index", (3,)), ("soft", (3, 5)), ("multi_hot", (3, 5))]
)
def test_random_samples_have_the_labels_asked_for(labels, shape):
    samples = random_samples(3, 5, labels, size=(20, 30))
    assert samples.labels.shape == shape
    assert [np.shape(s.label) for s in samples] == [shape[1:]] * 3
    assert next(iter(samples)).region == (0.0, 0.0, 30.0, 20.0)
    assert next(iter(samples)).size == (20, 30)


def test_random_samples_of_unknown_labels_are_an_error():
    with pytest.raises(ValueError, match="labels='onehot'"):
        random_samples(3, 5, "onehot")
