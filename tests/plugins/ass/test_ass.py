"""The eraser: what it hides by hand, gradients, precision, modes, and one batch for all images."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError
from wsoltool.functional.selection import HIDDEN, PASSED, SCATTERED, Selection
from wsoltool.models.builder import build_localizer
from wsoltool.structures import Samples
from wsoltool.testing import check_eraser
from wsoltool_plugins import ass
from wsoltool_plugins.ass.ass import SelectionStrategy

MINIMAL = {
    "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
    "head": {"type": "cam.CAMHead", "num_classes": 3},
}


def samples(count: int) -> Samples:
    return Samples(torch.zeros(count, dtype=torch.int64))


def bell(y: float, x: float, width: float) -> torch.Tensor:
    places = torch.arange(28, dtype=torch.float32)
    return torch.exp(-((places[:, None] - y) ** 2 + (places - x) ** 2) / (2 * width**2))


def clear_cases() -> tuple[torch.Tensor, list[int]]:
    """Features ``(4, 2, 28, 28)``, far from every threshold: a case each, and which."""
    maps = [
        torch.maximum(bell(3, 3, 3.0), bell(24, 24, 3.0)),
        bell(14, 14, 1.5),
        bell(13, 15, 6.0),
        torch.ones(28, 28),
    ]
    attention = torch.stack(maps)
    # Their mean over the channels is the map.
    features = torch.stack([0.5 * attention, 1.5 * attention], dim=1)
    return features, [SCATTERED, PASSED, HIDDEN, SCATTERED]


def hiding(eraser: SelectionStrategy, features: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """What comes out in training, and the cases."""
    out = eraser.train()(features, samples(len(features)))
    assert eraser.hiding is not None
    assert eraser.hiding.cases is not None
    return out, eraser.hiding.cases.tolist()


def test_face_offers_the_eraser():
    assert ass.wsoltool_erasers() == [SelectionStrategy]


@pytest.mark.parametrize(
    "options",
    [{}, {"always_hide": True}, {"dispersion": 0.0, "mu2": 1.0}, {"min_pixels": 0}],
    ids=str,
)
def test_contract(options):
    check_eraser(SelectionStrategy(**options), 3, labels=("index", "soft", "multi_hot"))


def test_by_hand():
    # The means are 10 5 / 5 0: the peak is one position, the target three of four.
    features = torch.tensor([[[[8.0, 0.0], [10.0, 0.0]], [[12.0, 10.0], [0.0, 0.0]]]])
    eraser = SelectionStrategy(large_peak=0.34)
    out, cases = hiding(eraser, features)
    assert cases == [HIDDEN]
    assert eraser.hiding.attention.tolist() == [[[10, 5], [5, 0]]]
    assert eraser.hiding.kept.tolist() == [[[False, True], [True, True]]]
    assert out.tolist() == [[[[0, 0], [10, 0]], [[0, 10], [0, 0]]]]
    # A third of the target is more than 0.33 of it.
    out, cases = hiding(SelectionStrategy(large_peak=0.33), features)
    assert cases == [PASSED]
    assert torch.equal(out, features)
    eraser = SelectionStrategy(min_pixels=1, dispersion=0.0, background=0.2)
    out, cases = hiding(eraser, features)
    assert cases == [SCATTERED]
    assert eraser.hiding.kept.tolist() == [[[False, True], [True, False]]]


def test_each_map_takes_the_case_that_the_thesis_says():
    features, expected = clear_cases()
    out, cases = hiding(SelectionStrategy(), features)
    assert cases == expected
    far, small, broad, uniform = zip(features.mean(dim=1), out.mean(dim=1), strict=True)
    # Peaks and background go, the slopes of the peaks stay.
    assert torch.equal(far[1], far[0] * ((far[0] >= 0.2) & (far[0] < 0.8)))
    assert torch.equal(small[1], small[0])
    assert torch.equal(broad[1], broad[0] * (broad[0] < 0.8))
    assert not uniform[1].any()


def test_always_hiding_asks_nothing():
    features, _ = clear_cases()
    out, cases = hiding(SelectionStrategy(always_hide=True), features)
    assert cases == [HIDDEN] * 4
    attention = features.mean(dim=1, keepdim=True)
    peak = attention >= 0.8 * attention.amax(dim=(2, 3), keepdim=True)
    assert torch.equal(out, features * ~peak)


def test_thresholds_reach_the_selection():
    options = {
        "background": 0.1,
        "target": 0.4,
        "dispersion": 9.0,
        "min_pixels": 5,
        "small_target": 0.3,
        "large_peak": 0.6,
        "mu1": 2.0,
        "mu2": 0.5,
        "always_hide": True,
    }
    assert SelectionStrategy(**options).selection == Selection(**options)
    assert SelectionStrategy().selection == Selection()
    assert SelectionStrategy().peak == 0.8
    for peak, count in ((0.5, 3), (0.51, 1)):
        eraser = SelectionStrategy(peak=peak, always_hide=True)
        hiding(eraser, torch.tensor([[[[10.0, 5.0], [5.0, 0.0]]]]))
        assert (~eraser.hiding.kept).sum() == count


def test_nothing_happens_at_test():
    features, _ = clear_cases()
    eraser = SelectionStrategy().eval()
    assert eraser(features, samples(4)) is features
    assert eraser.hiding is None


def test_neither_labels_nor_seeds_decide():
    features, _ = clear_cases()
    eraser = SelectionStrategy().train()
    outs = []
    for seed, labels in ((0, [0, 1, 2, 3]), (1, [3, 3, 3, 3])):
        torch.manual_seed(seed)
        state = torch.random.get_rng_state()
        outs.append(eraser(features, Samples(torch.tensor(labels))))
        assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(*outs)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_a_batch_is_its_images_one_by_one(count, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 3, height, width, generator=generator).relu()
    eraser = SelectionStrategy(dispersion=2.0, mu2=0.1).train()
    together = eraser(features, samples(count))
    alone = [eraser(features[i : i + 1], samples(1)) for i in range(count)]
    assert torch.equal(together, torch.cat(alone))


def test_the_scale_of_the_features_does_not_matter():
    features, expected = clear_cases()
    scales = torch.tensor([1e-6, 3.0, 1e6, 0.25]).view(4, 1, 1, 1)
    assert hiding(SelectionStrategy(), features * scales)[1] == expected


def test_gradients_pass_where_the_features_do():
    features, _ = clear_cases()
    features.requires_grad_()
    eraser = SelectionStrategy().train()
    out = eraser(features, samples(4))
    (2 * out).sum().backward()
    kept = eraser.hiding.kept[:, None].expand_as(features)
    assert torch.equal(features.grad, 2.0 * kept)
    assert not eraser.hiding.attention.requires_grad


@pytest.mark.parametrize("always_hide", [False, True])
def test_gradcheck(always_hide):
    # Whole numbers, far from every threshold: a small change moves no position.
    torch.manual_seed(0)
    features = torch.randint(0, 12, (3, 2, 4, 4)).double().requires_grad_()
    options = {"peak": 0.77, "target": 0.37, "background": 0.23, "always_hide": always_hide}
    eraser = SelectionStrategy(dispersion=2.1, **options).train()
    assert torch.autograd.gradcheck(lambda x: eraser(x, samples(3)), features)
    assert len(set(hiding(eraser, features)[1])) == (1 if always_hide else 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_the_same_cases(dtype):
    features, expected = clear_cases()
    eraser = SelectionStrategy()
    with torch.autocast("cpu", dtype=dtype):
        out, cases = hiding(eraser, features.to(dtype))
    assert cases == expected
    assert out.dtype == dtype
    assert eraser.hiding.attention.dtype == torch.float32
    reference = SelectionStrategy()
    hiding(reference, features)
    # At the rim of the peak, rounding may move a position.
    assert (eraser.hiding.kept != reference.hiding.kept).float().mean() < 0.02


def test_half_precision_in_a_network():
    model = localizer().train()
    images = torch.rand(2, 3, 48, 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model(images, Samples(torch.tensor([0, 1])), mode="loss")
    losses["loss_cls"].backward()
    assert model.inserts["stage2"].hiding.kept.dtype == torch.bool
    assert all(value.isfinite() for value in losses.values())


def localizer(**options):
    torch.manual_seed(0)
    module = {"type": "ass.SelectionStrategy", "dispersion": 5.0, **options}
    return build_localizer({**MINIMAL, "inserts": [{"at": ["stage2", "stage3"], "module": module}]})


def test_copies_and_checkpoints_after_a_step():
    model = localizer().train()
    images, labels = torch.rand(3, 3, 48, 48), Samples(torch.tensor([0, 1, 2]))
    names = list(model.state_dict())
    sum(model(images, labels, mode="loss").values()).backward()
    assert list(model.state_dict()) == names
    assert not any(name.startswith("inserts.") for name in names)
    expected = model(images, labels, mode="loss")
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.inserts["stage2"] is not model.inserts["stage2"]
        torch.testing.assert_close(twin(images, labels, mode="loss"), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peak": 1.2}, "Selection: peak=1.2"),
        ({"peak": 0.25}, "Selection: background=0.2, target=0.3, peak=0.25"),
        ({"small_target": -0.1}, "Selection: small_target=-0.1"),
        ({"dispersion": -1.0}, "Selection: dispersion=-1.0"),
        ({"min_pixels": -3}, "Selection: min_pixels=-3"),
        ({"always_hide": 1}, "Selection: always_hide=1"),
    ],
)
def test_wrong_thresholds_are_refused_at_their_place(options, message):
    with pytest.raises(ConfigError) as caught:
        localizer(**options)
    assert message in str(caught.value)
    assert caught.value.at == "model.inserts[0].module"
