"""What mask erasers would hide: of which image and view; models stay as they were."""

import numpy as np
import pytest
import torch
import torch._dynamo
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from wsoltool.models.contracts import Eraser, MaskEraser
from wsoltool.models.erasures import mask_erasers_training, would_be_erased
from wsoltool.models.fusion import MultiScale, SingleView
from wsoltool.models.insertion import Inserts
from wsoltool.structures import Hiding, Samples, View


class Peak(MaskEraser):
    """Hides the strongest position of the first channel; its case is the image's label."""

    cases = ("none", "one", "two")
    meanings = {"one": "the first"}

    def hide(self, features, samples):
        attention = features[:, 0]
        kept = attention < attention.amax(dim=(1, 2), keepdim=True)
        return Hiding(kept, attention, samples.labels)


class Half(MaskEraser):
    """Leaves half of everything and looks at nothing."""

    def hide(self, features, samples):
        return Hiding(features.new_full(features[:, 0].shape, 0.5, dtype=torch.bfloat16))


class Loud(Eraser):
    """No mask eraser: it must sleep."""

    def erase(self, features, samples):
        raise AssertionError("an eraser without a mask was in training")


@pytest.fixture
def erasing(mirror):
    """A function that makes a localizer for pictures whose network shows its input to erasers."""

    def make(*erasers, **parts):
        model = mirror(**parts)
        entries = [("same", lambda *_, own=eraser: own) for eraser in erasers]
        model.inserts = Inserts(model.backbone, entries)
        model.for_pictures = True
        model.backbone.shown.clear()  # the insert points were looked up on an image
        return model.eval()

    return make


def raw(prediction):
    return prediction._erasures


def strongest(channel):
    """What :class:`Peak` keeps, computed by hand."""
    return (channel != channel.max()).float().numpy()


def test_each_image_gets_its_own_with_its_samples_case(erasing, batch):
    data = batch(1, 2)
    for index, prediction in enumerate(erasing(Peak()).test_step(data)):
        assert list(raw(prediction)) == ["same"]
        erasure = raw(prediction)["same"]
        channel = data["inputs"][index][..., 0].float()
        expected = strongest(channel)
        assert np.array_equal(erasure.kept, expected)
        assert np.array_equal(erasure.attention, channel.numpy())
        assert erasure.hidden == pytest.approx(1 - expected.mean())
        assert erasure.case == ("one", "two")[index]
        assert erasure.meaning == ("the first", "")[index]


def test_images_of_several_sizes_get_their_own(erasing, batch):
    data = batch(1, 2, 0, sizes=[(6, 8), (4, 4), (6, 8)])
    for index, prediction in enumerate(erasing(Peak()).test_step(data)):
        expected = strongest(data["inputs"][index][..., 0].float())
        assert np.array_equal(raw(prediction)["same"].kept, expected)
        assert raw(prediction)["same"].case == ("one", "two", "none")[index]


def test_an_eraser_sees_what_those_before_it_hide(erasing, batch):
    first, second = (raw(p) for p in erasing(Peak(), Peak()).test_step(batch(1, 2)))
    for erasures in (first, second):
        assert list(erasures) == ["same", "same_2"]
        earlier, later = erasures["same"], erasures["same_2"]
        assert not later.attention[earlier.kept == 0].any()
        assert np.array_equal(later.attention, earlier.attention * earlier.kept)
        assert not ((later.kept == 0) & (earlier.kept == 0)).any()


def test_an_eraser_without_attention_and_cases(erasing, batch):
    erasure = raw(erasing(Half()).test_step(batch(1))[0])["same"]
    assert (erasure.hidden, erasure.attention, erasure.case) == (0.5, None, None)
    assert erasure.kept.dtype == np.float32
    assert erasure.kept.tolist() == [[0.5] * 8] * 6


def test_maps_and_scores_are_those_of_whole_images(erasing, mirror, batch):
    data = batch(1, 2)
    plain, shown = mirror().test_step(data), erasing(Half()).test_step(data)
    for label, one, other in zip((1, 2), plain, shown, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.map(label), other.map(label))


def test_only_the_first_view_is_asked_and_turned_back(erasing, batch):
    class MirroredFirst(SingleView):
        def views(self):
            return (View(scale=0.5, flip=True, scores=False), View())

    data = batch(1)
    model = erasing(Peak(), fusion=MirroredFirst())
    erasure = raw(model.test_step(data)[0])["same"]
    half = View(scale=0.5).apply(data["inputs"].permute(0, 3, 1, 2).float())[0, 0]
    np.testing.assert_allclose(erasure.attention, half.numpy(), atol=1e-3)
    assert np.array_equal(erasure.kept, strongest(half))
    sizes = [shape[-2:] for shape in model.backbone.shown]
    assert sorted(sizes) == [(3, 4), (3, 4), (6, 8)]


@pytest.mark.parametrize(
    ("erasers", "wanted", "runs"),
    [((Peak(),), True, 4), ((Peak(),), False, 3), ((Loud(),), True, 3), ((), True, 3)],
)
def test_nobody_pays_for_what_is_not_drawn(erasing, batch, erasers, wanted, runs):
    model = erasing(*erasers, fusion=MultiScale(scales=(1.0, 0.5, 2.0)))
    model.for_pictures = wanted
    (prediction,) = model.test_step(batch(1))
    assert len(model.backbone.shown) == runs
    assert bool(prediction.erasures_at()) is (runs == 4)


def test_a_model_without_inserts_has_none(mirror, batch):
    model = mirror()
    model.for_pictures = True
    assert model.test_step(batch(1))[0].erasures_at() == {}


def test_mirrored_and_cropped_samples_are_put_back(erasing, batch):
    data = batch(1, sizes=[(4, 4)])
    data["inputs"].zero_()
    data["inputs"][0, 1, 0] = 255  # at the left in the mirrored input, so at the crop's right
    (sample,) = data["samples"].items
    sample.size, sample.region, sample.flipped = (6, 10), (3.0, 2.0, 7.0, 6.0), True
    erasure = erasing(Peak()).test_step(data)[0].erasures_at()["same"]
    assert np.argwhere(erasure.kept == 0).tolist() == [[3, 6]]
    assert np.argwhere(erasure.attention == 1).tolist() == [[3, 6]]


class Counting(Peak):
    """Has a part and a state of its own, and can be told to fail."""

    fails = False

    def __init__(self, *_):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("batches", torch.tensor(0))

    def hide(self, features, samples):
        assert self.training
        self.batches += 1
        self.norm(features[:, :1].expand(-1, 4, -1, -1))
        if self.fails:
            raise ValueError("cannot hide")
        return super().hide(features, samples)


@pytest.fixture
def busy(small):
    """A network in mid-training: BatchNorms, one of them frozen, and erasers of every kind."""
    model = small()
    entries = [
        ("stage1", lambda channels, _: nn.BatchNorm2d(channels)),
        ("stage2", lambda *_: Loud()),
        ("conv3", Counting),
        ("stage3", Counting),
    ]
    model.inserts = Inserts(model.backbone, entries)
    model.train().inserts["stage1"].eval()
    return model


def asked(model, images):
    samples = Samples(torch.tensor([1, 2]))
    return would_be_erased(model.backbone, model.inserts, images, samples, View())


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(busy, fails):
    record = busy.inserts["conv3"].hiding = Hiding(torch.ones(1, 2, 2))
    busy.inserts["stage3"].fails = fails
    modes = [module.training for module in busy.modules()]
    state = {name: value.clone() for name, value in busy.state_dict().items()}
    images = torch.randn(2, 3, 16, 16)
    if fails:
        with pytest.raises(ValueError, match="cannot hide"):
            asked(busy, images)
    else:
        assert [list(erasures) for erasures in asked(busy, images)] == [["conv3", "stage3"]] * 2
    assert [module.training for module in busy.modules()] == modes
    assert busy.inserts["conv3"].hiding is record
    assert busy.inserts["stage3"].hiding is None
    assert busy.inserts.current_samples is None
    for name, value in busy.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_the_network_evaluates_whatever_mode_it_is_in(busy):
    images = torch.randn(2, 3, 16, 16)
    busy.backbone.layers.bn2.running_mean += 0.5  # statistics of the batch would be others
    training = asked(busy, images)
    for one, other in zip(training, asked(busy.eval(), images), strict=True):
        for name in ("conv3", "stage3"):
            assert np.array_equal(one[name].kept, other[name].kept)
            assert np.array_equal(one[name].attention, other[name].attention)


def test_within_the_block_mask_erasers_alone_are_in_training(busy):
    with mask_erasers_training(busy):
        assert {m for m in busy.modules() if m.training} == {
            busy.inserts["conv3"],
            busy.inserts["stage3"],
        }


def test_gradients_are_not_kept(busy):
    leaf = torch.randn(2, 3, 16, 16, requires_grad=True)
    asked(busy, leaf)
    assert all(p.grad is None for p in busy.parameters())
    assert busy.inserts["stage3"].hiding is None


def test_the_selection_strategy_tells_its_cases_in_words(small, batch):
    strategy = {"type": "ass.SelectionStrategy", "always_hide": True}
    model = small(inserts=[{"at": "stage2", "module": strategy}]).eval()
    model.for_pictures = True
    eraser = model.inserts["stage2"]
    assert list(eraser.meanings) == list(eraser.cases)
    (prediction,) = model.test_step(batch(1, sizes=[(16, 16)]))
    erasure = prediction.erasures_at()["stage2"]
    assert (erasure.case, erasure.meaning) == ("hidden", eraser.meanings["hidden"])
    # The peak of a map, from 0 to 1 or a little above 0, lies among what is hidden.
    assert 0 < erasure.hidden < 1
    assert (erasure.kept[erasure.attention == 1] == 0).all()


def test_a_compiled_backbone_is_asked_uncompiled(small, batch):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    inserts = [{"at": "stage2", "module": {"type": "ass.SelectionStrategy", "always_hide": True}}]
    plain = small(inserts=inserts).eval()
    compiled = small(inserts=inserts, compile={"backend": counter}).eval()
    data = batch(1, 2, sizes=[(16, 16)] * 2)
    compiled.test_step(data)
    before = counter.frame_count
    assert before > 0
    plain.for_pictures = compiled.for_pictures = True
    for one, other in zip(plain.test_step(data), compiled.test_step(data), strict=True):
        expected, found = raw(one)["stage2"], raw(other)["stage2"]
        assert np.array_equal(found.kept, expected.kept)
        np.testing.assert_allclose(found.attention, expected.attention, rtol=1e-5)
    compiled.for_pictures = False
    compiled.test_step(data)
    assert counter.frame_count == before
    torch._dynamo.reset()
