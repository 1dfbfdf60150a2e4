"""DualHiding by hand, its contract as an eraser, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.functional.selection import CASES, HIDDEN, Selection, self_attention, strongest
from wsoltool.models.builder import build_localizer
from wsoltool.structures import Samples
from wsoltool.testing import check_eraser
from wsoltool_plugins import adh
from wsoltool_plugins.adh.adh import DualHiding


def samples_of(features: Tensor) -> Samples:
    return Samples(torch.zeros(len(features), dtype=torch.int64))


def kept_of(eraser: DualHiding, features: Tensor) -> Tensor:
    return eraser.hide(features, samples_of(features)).kept


def drawn(kept: Tensor) -> list[str]:
    """Rows of one image: ``#`` is hidden."""
    return ["".join(".#"[int(not value)] for value in row) for row in kept]


def two_channels() -> Tensor:
    """4 x 4: the first channel is 100 at (0, 0), else 10; the second one is 25 at (3, 3) alone.

    The attention is 50 and 12.5 at these two and 5 at the rest.
    """
    features = torch.zeros(1, 2, 4, 4)
    features[0, 0] = 10
    features[0, 0, 0, 0], features[0, 0, 3, 3] = 100, 0
    features[0, 1, 3, 3] = 25
    return features


def mixed_batch() -> Tensor:
    """6 images of 4 channels on 14 x 14: two noisy ones, then the four of ``CASE_MAPS``."""
    torch.manual_seed(0)
    noisy = torch.rand(2, 4, 14, 14)
    cases = torch.stack(list(CASE_MAPS.values()))[:, None]
    return torch.cat([noisy, cases * torch.tensor([0.5, 1.0, 1.5, 1.0])[None, :, None, None]])


def peaks(*corners: tuple[int, int]) -> Tensor:
    attention = torch.zeros(14, 14)
    for row, column in corners:
        attention[row : row + 2, column : column + 2] = 1
    return attention


def broad() -> Tensor:
    attention = torch.zeros(14, 14)
    attention[3:11, 3:11] = 0.5
    attention[5:7, 5:7] = 1
    return attention


CASE_MAPS = {
    "a uniform map": torch.ones(14, 14),
    "a single peak": peaks((6, 6)),
    "two far peaks": peaks((0, 0), (12, 12)),
    "a broad object": broad(),
}


def test_the_face_offers_the_eraser() -> None:
    assert adh.wsoltool_erasers() == [DualHiding]


def test_the_three_parts_of_the_mask() -> None:
    """The peak is (0, 0). Attention and first channel expect it, the second channel (3, 3)."""
    features = two_channels()
    alone = DualHiding(spatial=0, channel=0, always_hide=True)
    assert drawn(kept_of(alone, features)[0]) == ["#...", "....", "....", "...."]
    spatial = DualHiding(spatial=1, channel=0, always_hide=True)
    assert drawn(kept_of(spatial, features)[0]) == ["##..", "##..", "....", "...."]
    channels = DualHiding(spatial=0, channel=2, always_hide=True)
    assert drawn(kept_of(channels, features)[0]) == ["##..", "##..", "..##", "..##"]
    single = DualHiding(block_size=1, spatial=1, channel=2, always_hide=True)
    assert drawn(kept_of(single, features)[0]) == ["#...", "....", "....", "...#"]


def test_the_channel_score_chooses_the_channel() -> None:
    features = two_channels()
    features[0, 0, 0, 0] = 11
    where = {}
    for how in ("weighted", "peak", "gap", "logsumexp"):
        eraser = DualHiding(block_size=1, spatial=0, channel_score=how, always_hide=True)
        where[how] = drawn(kept_of(eraser, features)[0])
    # The peak is (3, 3) now. The first channel leads in its mean alone, of 9.4 to 1.6; its softmax
    # is 1 : e at (0, 0), nothing at (3, 3) and so expects row and column 21 / (14 + e) = 1.3.
    middle = ["....", ".#..", "....", "...#"]
    corner = ["....", "....", "....", "...#"]
    assert where == {"weighted": corner, "peak": corner, "gap": middle, "logsumexp": corner}


def test_areas_are_hidden_at_every_channel() -> None:
    features = two_channels().requires_grad_()
    eraser = DualHiding(spatial=0, channel=2, always_hide=True).train()
    out = eraser(features, samples_of(features))
    left = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
    assert torch.equal(out, features * left)
    out.square().sum().backward()
    assert torch.equal(features.grad, 2 * features.detach() * left)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("a uniform map", "passed"),  # the peak is all of the target
        ("a single peak", "passed"),  # the target is small
        ("two far peaks", "scattered"),
        ("a broad object", "hidden"),
    ],
)
def test_which_images_are_hidden(name: str, case: str) -> None:
    features = CASE_MAPS[name].expand(1, 3, 14, 14)
    hiding = DualHiding().hide(features, samples_of(features))
    assert CASES[hiding.cases[0]] == case
    attention = self_attention(features)
    assert torch.equal(hiding.attention, attention)
    hidden = ~hiding.kept[0]
    if case == "passed":
        assert not hidden.any()
    if case == "scattered":  # background and peaks: everything
        assert hidden.all()
    if case == "hidden":  # the peak's 2 x 2, and the middle's 3 x 3 that covers (5..7, 5..7)
        assert hidden.sum() == 9
        assert hidden[5:8, 5:8].all()


def test_scattered_images_keep_what_is_neither_peak_nor_area_nor_background() -> None:
    attention = peaks((0, 0), (12, 12))
    attention[4, 10], attention[4, 11], attention[6, 6] = 0.5, 0.1, 0.5  # the last in the area
    features = attention.expand(1, 3, 14, 14)
    kept = kept_of(DualHiding(), features)[0]
    assert kept.nonzero().tolist() == [[4, 10]]


def test_areas_do_not_change_the_case() -> None:
    features = mixed_batch()
    attention = self_attention(features)
    expected = Selection().cases(attention, strongest(attention, 0.8))
    assert set(expected.tolist()) == {0, 1, 2}
    for options in ({}, {"spatial": 0, "channel": 0}, {"spatial": 3, "block_size": 7}):
        hiding = DualHiding(**options).hide(features, samples_of(features))
        assert torch.equal(hiding.cases, expected)


def test_without_areas_it_is_the_peak_alone() -> None:
    features = mixed_batch()
    attention = self_attention(features)
    peak = strongest(attention, 0.9)
    selection = Selection(dispersion=10, small_target=0.1)
    eraser = DualHiding(
        peak=0.9, spatial=0, channel=0, selection={"dispersion": 10, "small_target": 0.1}
    )
    expected = selection.kept(attention, selection.cases(attention, peak), peak)
    assert torch.equal(kept_of(eraser, features), expected)
    assert eraser.selection == selection


def test_always_hide_asks_nothing() -> None:
    features = mixed_batch()
    hiding = DualHiding(always_hide=True).hide(features, samples_of(features))
    assert (hiding.cases == HIDDEN).all()
    assert (~hiding.kept).flatten(1).any(dim=1).all()


def test_a_low_temperature_hides_where_the_attention_is_strongest() -> None:
    """A weak object off the middle: at 1 its area is the middle's, at 0.01 its own."""
    attention = torch.full((14, 14), 0.2)
    attention[1:11, 1:11] = 0.4
    attention[2, 3] = 0.6
    features = attention.expand(1, 2, 14, 14)
    near, far = torch.zeros(14, 14, dtype=torch.bool), torch.zeros(14, 14, dtype=torch.bool)
    near[1:4, 2:5], far[5:8, 5:8] = True, True
    own = DualHiding(channel=0, temperature=0.01)
    assert torch.equal(~kept_of(own, features)[0], near)
    far[2, 3] = True  # the peak
    assert torch.equal(~kept_of(DualHiding(channel=0), features)[0], far)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spatial": 2, "channel": 2, "channel_score": "peak", "temperature": 0.1},
        {"block_size": 21, "always_hide": True},
        {"spatial": 0, "channel": 0},
        {"channel_score": "gap", "selection": {"dispersion": 5, "mu2": 1.0}},
        {"channel_score": "logsumexp", "peak": 0.9},
    ],
)
def test_contract(options: dict) -> None:
    check_eraser(DualHiding(**options), 3, labels=("index", "soft", "multi_hot"))


def test_identity_at_test() -> None:
    features = mixed_batch()
    eraser = DualHiding(always_hide=True).eval()
    assert eraser(features, samples_of(features)) is features
    assert eraser.hiding is None


def test_no_weights_and_no_chance() -> None:
    features = mixed_batch()
    eraser = DualHiding(spatial=2, channel=2).train()
    assert not eraser.state_dict()
    before = torch.random.get_rng_state()
    outs = [eraser(features, samples_of(features)) for _ in range(3)]
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("options", [{}, {"spatial": 2, "channel": 3, "temperature": 0.05}])
def test_a_batch_is_its_images_one_by_one(options: dict) -> None:
    features = torch.cat([mixed_batch(), torch.zeros(1, 4, 14, 14)])
    eraser = DualHiding(**options).train()
    out = eraser(features, samples_of(features))
    for index in range(len(features)):
        alone = features[index : index + 1]
        assert torch.equal(eraser(alone, samples_of(alone)), out[index : index + 1])


def test_maps_of_zeros_pass_without_nan() -> None:
    features = torch.zeros(2, 3, 14, 14, requires_grad=True)
    eraser = DualHiding(spatial=2, channel=2).train()
    out = eraser(features, samples_of(features))
    assert not out.any()
    assert (eraser.hiding.cases == CASES.index("passed")).all()
    out.sum().backward()
    assert torch.equal(features.grad, torch.ones_like(features))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_types_stay_and_the_mask_is_float32s(dtype: torch.dtype) -> None:
    features = mixed_batch().to(dtype)
    eraser = DualHiding().train()
    out = eraser(features, samples_of(features))
    assert out.dtype == dtype
    expected = kept_of(DualHiding(), features.float())
    assert torch.equal(out, features * expected[:, None])


def test_autocast_changes_nothing() -> None:
    features = mixed_batch().bfloat16()
    eraser = DualHiding(spatial=2, channel=2, temperature=0.1).train()
    expected = eraser(features, samples_of(features))
    with torch.autocast("cpu", torch.bfloat16):
        out = eraser(features, samples_of(features))
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, expected)


@pytest.mark.parametrize("how", ["weighted", "peak", "gap", "logsumexp"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_large_activations_do_not_overflow(how: str, dtype: torch.dtype) -> None:
    features = (1e4 * mixed_batch()).to(dtype)
    eraser = DualHiding(channel_score=how, always_hide=True, temperature=0.01).train()
    out = eraser(features, samples_of(features))
    assert out.isfinite().all()
    strongest_of = features.float().mean(dim=1).flatten(1).argmax(dim=1)[:2]  # the noisy images
    areas = ~eraser.hiding.kept[:2]
    assert areas.flatten(1).gather(1, strongest_of[:, None]).all()
    assert (areas.flatten(1).sum(dim=1) >= 4).all()


def test_gradient_passes_where_the_features_do() -> None:
    features = mixed_batch().requires_grad_()
    eraser = DualHiding().train()
    eraser(features, samples_of(features)).sum().backward()
    kept = eraser.hiding.kept
    assert 0 < kept.float().mean() < 1
    assert torch.equal(features.grad, kept[:, None].expand_as(features).float())


def test_channels_last_features_are_the_same() -> None:
    features = mixed_batch()
    other = features.to(memory_format=torch.channels_last)
    assert torch.equal(kept_of(DualHiding(), other), kept_of(DualHiding(), features))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (5, 3)])
def test_small_maps(size: tuple[int, int]) -> None:
    features = torch.rand(2, 3, *size)
    eraser = DualHiding(spatial=3, channel=3, block_size=5, always_hide=True).train()
    assert eraser(features, samples_of(features)).shape == features.shape
    assert eraser.hiding.kept.shape == (2, *size)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"peak": 1.1}, "Selection: peak=1.1"),
        ({"peak": "0.8"}, "Selection: peak='0.8'"),
        ({"peak": 0.2}, "background=0.2, target=0.3, peak=0.2"),
        ({"block_size": 4}, "DualHiding: block_size=4"),
        ({"block_size": 0}, "DualHiding: block_size=0"),
        ({"block_size": -3}, "DualHiding: block_size=-3"),
        ({"block_size": 3.0}, "DualHiding: block_size=3.0"),
        ({"block_size": True}, "DualHiding: block_size=True"),
        ({"spatial": -1}, "DualHiding: spatial=-1"),
        ({"spatial": 1.5}, "DualHiding: spatial=1.5"),
        ({"channel": True}, "DualHiding: channel=True"),
        ({"channel": None}, "DualHiding: channel=None"),
        ({"channel_score": "softmax"}, "channel_score='softmax'"),
        ({"channel_score": None}, "channel_score=None"),
        ({"temperature": 0}, "DualHiding: temperature=0"),
        ({"temperature": -1.0}, "DualHiding: temperature=-1.0"),
        ({"temperature": float("inf")}, "DualHiding: temperature=inf"),
        ({"selection": 40}, "DualHiding: selection=40"),
        ({"selection": ["dispersion"]}, "DualHiding: selection=['dispersion']"),
        ({"selection": {"dispersoin": 40}}, "unknown key 'dispersoin' in selection"),
        ({"selection": {3: 40}}, "unknown key 3 in selection"),
        ({"selection": {"target": 2}}, "Selection: target=2"),
        ({"selection": {"target": None}}, "Selection: target=None"),
        ({"selection": {"target": 0.1}}, "background=0.2, target=0.1, peak=0.8"),
        ({"always_hide": 1}, "Selection: always_hide=1"),
    ],
)
def test_bad_options_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DualHiding(**options)
    assert says in str(caught.value)
    assert caught.value.expected or caught.value.known


@pytest.mark.parametrize(
    ("options", "near"),
    [({"selection": {"dispersoin": 40}}, "dispersion"), ({"channel_score": "peek"}, "peak")],
)
def test_a_misspelled_name_is_told_its_near_one(options: dict, near: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
        DualHiding(**options)


def test_more_channels_than_the_features_have() -> None:
    features = torch.rand(1, 3, 4, 4)
    with pytest.raises(ShapeError, match="the top 4 of 3 channels"):
        DualHiding(channel=4).train()(features, samples_of(features))


def localizer(**module: object) -> torch.nn.Module:
    return build_localizer(
        {
            "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
            "head": {"type": "cam.CAMHead", "num_classes": 5},
            "inserts": {"late": {"at": "stage2", "module": {"type": "adh.DualHiding", **module}}},
        }
    )


def test_a_config_builds_it_and_its_losses_tell_what_it_does() -> None:
    torch.manual_seed(0)
    changes = {"dispersion": 13}
    model = localizer(selection=changes).train()
    assert changes == {"dispersion": 13}
    assert model.inserts["stage2"].selection == Selection(dispersion=13)
    losses = model(torch.rand(4, 3, 32, 32), Samples(torch.tensor([0, 1, 2, 3])), mode="loss")
    names = {f"stage2/{name}" for name in (*CASES, "hidden area")}
    assert names < set(losses)
    assert sum(losses[f"stage2/{case}"] for case in CASES) == pytest.approx(1)


def test_a_config_that_cannot_be_built_names_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        localizer(selection={"dispersoin": 40})
    assert caught.value.at == "model.inserts.late.module"
