from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsoltool.errors import ConfigError, PluginError
from wsoltool.models.contracts import MaskEraser
from wsoltool.models.erasing import DropBlock, Dropout, erasing_figures, mask_erasers
from wsoltool.registry import KINDS, Registry
from wsoltool.structures import Hiding, Samples
from wsoltool.testing import check_eraser

SAMPLES = Samples(torch.zeros(2, dtype=torch.int64))


def test_dropout_hides_values_one_by_one_and_scales_the_rest() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 40, 14, 14) + 1
    out = Dropout(0.3)(x, SAMPLES)
    hidden = out == 0
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.02)  # 15,680 draws, 5 sigma
    assert torch.allclose(out, torch.where(hidden, 0, x / 0.7))
    torch.manual_seed(0)
    torch.rand(2, 40, 14, 14)
    assert torch.equal(out, torch.nn.functional.dropout(x, 0.3))
    # Neighbours in every direction are hidden together by chance alone: 0.3 * 0.3.
    for dim in range(4):
        length = hidden.shape[dim] - 1
        both = hidden.narrow(dim, 0, length) & hidden.narrow(dim, 1, length)
        assert both.float().mean().item() == pytest.approx(0.09, abs=0.02)


def test_dropout_keeps_the_contract() -> None:
    check_eraser(Dropout(0.4), 3, labels=("index", "soft", "multi_hot"))
    x = torch.rand(2, 3, 8, 8)
    assert Dropout(0.9).eval()(x, SAMPLES) is x
    assert not Dropout(1.0)(x, SAMPLES).any()
    assert torch.equal(Dropout(0.0)(x, SAMPLES), x)


def test_dropout_is_an_insert_of_a_config(small, batch) -> None:
    module = {"type": "Dropout", "probability": 0.25}
    model = small(inserts=[{"at": "stage2", "module": module}]).train()
    assert model.inserts["stage2"].probability == 0.25
    data = model.data_preprocessor(batch(0, 1, sizes=[(16, 16)] * 2), training=True)
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(model(**data, mode="loss")["loss_cls"].item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_dropout_checks_its_probability(probability: float) -> None:
    with pytest.raises(ConfigError, match="Dropout: probability="):
        Dropout(probability)


def test_squares_are_hidden_and_the_rest_is_scaled_up() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 40, 14, 14) + 1
    out = DropBlock(0.15, 3)(x, SAMPLES)
    hidden = out == 0
    assert 0.10 < hidden.float().mean() < 0.16  # a little below 0.15: squares overlap
    scale = hidden.numel() / (~hidden).sum()
    assert torch.allclose(out, torch.where(hidden, 0, x * scale), rtol=1e-5)
    # Every hidden cell lies in a 3 x 3 square that is hidden altogether.
    whole = -torch.nn.functional.max_pool2d(-hidden.float(), 3, 1)
    covered = torch.nn.functional.max_pool2d(torch.nn.functional.pad(whole, [2] * 4), 3, 1)
    assert torch.equal(covered.bool(), hidden)
    assert not torch.equal(hidden[:, 0], hidden[:, 1])  # each channel draws alone


def test_identity_at_test() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert DropBlock(0.9, 3).eval()(x, SAMPLES) is x


@pytest.mark.parametrize(("probability", "hidden"), [(0.0, 0.0), (1.0, 1.0)])
def test_extreme_probabilities(probability: float, hidden: float) -> None:
    x = torch.rand(2, 3, 8, 8) + 1
    out = DropBlock(probability, 1)(x, SAMPLES)
    assert (out == 0).float().mean() == hidden
    if not hidden:
        assert torch.allclose(out, x)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 5, 7, 21]), st.floats(0.0, 1.0))
def test_any_map_size(height: int, width: int, block_size: int, probability: float) -> None:
    x = torch.ones(2, 3, height, width)
    out = DropBlock(probability, block_size)(x, SAMPLES)
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_half_precision_does_not_overflow() -> None:
    x = torch.ones(2, 64, 32, 32, dtype=torch.float16)  # 131,072 cells, float16 ends at 65,504
    out = DropBlock(0.1, 3)(x, SAMPLES)
    assert out.dtype == torch.float16
    assert (out == 0).float().mean() < 0.2


def test_torchs_seed_decides() -> None:
    x = torch.ones(2, 3, 14, 14)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(DropBlock(0.2, 3)(x, SAMPLES))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_gradient_stops_where_features_are_hidden() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    out = DropBlock(0.3, 3)(x, SAMPLES)
    out.sum().backward()
    assert torch.equal(x.grad == 0, out == 0)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_probability_is_checked(probability: float) -> None:
    with pytest.raises(ConfigError, match="probability"):
        DropBlock(probability, 3)


@pytest.mark.parametrize("block_size", [0, 4, -1])
def test_block_size_is_checked(block_size: int) -> None:
    with pytest.raises(ConfigError, match="block_size") as error:
        DropBlock(0.1, block_size)
    assert "odd" in str(error.value)


class HideLabelled(MaskEraser):
    """Hides the left column of images with label 0, and half of all positions of those with 2."""

    cases = ("column", "nothing", "half")

    def hide(self, features: Tensor, samples: Samples) -> Hiding:
        self.saw_autograd = torch.is_grad_enabled()
        kept = torch.ones(len(features), *features.shape[2:])
        kept[samples.labels == 0, :, 0] = 0
        kept[samples.labels == 2] = 0.5
        return Hiding(kept, None, samples.labels)


class HideAll(MaskEraser):
    """Knows one case alone."""

    def hide(self, features: Tensor, samples: Samples) -> Hiding:
        return Hiding(torch.zeros(len(features), *features.shape[2:], dtype=torch.bool))


LABELS = Samples(torch.tensor([0, 1, 2, 1]))


def test_a_mask_eraser_multiplies_every_channel_by_its_mask() -> None:
    x = (torch.rand(4, 3, 2, 5) + 1).requires_grad_()
    eraser = HideLabelled().train()
    out = eraser(x, LABELS)
    expected = x.detach().clone()
    expected[0, :, :, 0] = 0
    expected[2] *= 0.5
    assert torch.equal(out, expected)
    out.sum().backward()
    assert torch.equal(x.grad, expected / x.detach())
    assert not eraser.saw_autograd
    assert torch.equal(eraser.hiding.cases, LABELS.labels)


def test_a_mask_eraser_hides_nothing_at_test() -> None:
    x = torch.rand(4, 3, 2, 5)
    eraser = HideLabelled().eval()
    assert eraser(x, LABELS) is x
    assert eraser.hiding is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_mask_keeps_the_features_precision(dtype: torch.dtype) -> None:
    x = torch.rand(4, 3, 2, 5).to(dtype)
    assert HideLabelled().train()(x, LABELS).dtype == dtype


def test_a_mask_eraser_must_say_what_it_hides() -> None:
    class Silent(MaskEraser):
        pass

    with pytest.raises(PluginError, match="Silent of here does not implement hide"):
        Registry(KINDS["eraser"]).validate("", [Silent], "here")
    assert Registry(KINDS["eraser"]).validate("", [HideAll], "here") == {"HideAll": HideAll}


def test_figures_by_hand() -> None:
    inserts = nn.ModuleDict({"norm": nn.BatchNorm2d(3), "a": HideLabelled(), "b": HideAll()})
    x = torch.rand(4, 3, 2, 5)
    assert erasing_figures(inserts) == {}
    inserts["a"](x, LABELS)
    figures = erasing_figures(inserts)
    # One image of four each but "nothing"; a fifth of one image and half of another.
    assert {name: value.item() for name, value in figures.items()} == pytest.approx(
        {"a/column": 0.25, "a/nothing": 0.5, "a/half": 0.25, "a/hidden area": (0.2 + 0.5) / 4}
    )
    inserts["b"](x, LABELS)
    assert erasing_figures(inserts)["b/hidden area"] == 1
    assert [name for name in erasing_figures(inserts) if name.startswith("b/")] == ["b/hidden area"]
    inserts.eval()
    assert erasing_figures(inserts) == {}


def test_mask_erasers_are_found_by_name() -> None:
    inserts = nn.ModuleDict({"norm": nn.BatchNorm2d(3), "a": HideLabelled(), "d": Dropout()})
    assert mask_erasers(inserts) == {"a": inserts["a"]}
    assert mask_erasers(None) == {}


def test_figures_are_logged_beside_the_losses_and_add_nothing_to_them(small, batch) -> None:
    module = {"type": "ass.SelectionStrategy", "always_hide": True}
    model = small(inserts=[{"at": "stage2", "module": module}]).train()
    data = model.data_preprocessor(batch(0, 1, sizes=[(16, 16)] * 2), training=True)
    losses = model(**data, mode="loss")
    names = ["scattered", "passed", "hidden", "hidden area"]
    assert list(losses) == ["loss_cls", *(f"stage2/{name}" for name in names)]
    assert losses["stage2/hidden"] == 1
    assert 0 < losses["stage2/hidden area"] < 1
    total, told = model.parse_losses(losses)
    assert total == losses["loss_cls"]
    assert set(told) == {"loss", *losses}
