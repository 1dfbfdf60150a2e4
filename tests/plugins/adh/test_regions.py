"""Softmax, expected pixels, areas and channel scores against numbers worked out on paper."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import wsoltool_plugins
from wsoltool.errors import ShapeError
from wsoltool_plugins.adh.regions import (
    CHANNEL_SCORES,
    area_masks,
    channel_regions,
    channel_scores,
    nearest_position,
    soft_argmax,
    spatial_regions,
    spatial_softmax,
    top_channels,
)

LN = {n: math.log(n) for n in (3, 5, 9, 65, 1000)}


def one_at(row: int, column: int, value: float, rest: float = 0.0, side: int = 4) -> Tensor:
    values = torch.full((side, side), rest)
    values[row, column] = value
    return values


def bump(row: float, column: float, height: float) -> Tensor:
    """A smooth bump of width 2 on 14 x 14 positions, as in the README."""
    places = torch.arange(14.0)
    squares = (places[:, None] - row) ** 2 + (places[None] - column) ** 2
    return height * torch.exp(-squares / 8)


def test_softmax_of_a_4_by_4_map() -> None:
    """Fifteen exponentials of 1 and one of 5: twentieths."""
    shares = spatial_softmax(one_at(0, 3, LN[5]))
    assert torch.allclose(shares, one_at(0, 3, 5 / 20, rest=1 / 20))


def test_softmax_at_half_the_temperature_squares_the_exponentials() -> None:
    shares = spatial_softmax(one_at(0, 3, LN[5]), temperature=0.5)  # 15 * 1 + 25
    assert torch.allclose(shares, one_at(0, 3, 25 / 40, rest=1 / 40))


def test_softmax_is_each_maps_own() -> None:
    maps = torch.stack([one_at(0, 3, LN[5]), one_at(2, 1, LN[9]), torch.zeros(4, 4)])
    shares = spatial_softmax(maps.view(1, 3, 4, 4))
    for index in range(3):
        assert torch.equal(shares[0, index], spatial_softmax(maps[index]))


def test_expected_pixel_of_a_4_by_4_map() -> None:
    """Rows 0..3 four times, 24, with 4 more in row 0: 24 / 20. Columns: (24 + 4 * 3) / 20."""
    pixel = soft_argmax(spatial_softmax(one_at(0, 3, LN[5])))
    assert torch.allclose(pixel, torch.tensor([1.2, 1.8]))
    assert nearest_position(pixel).tolist() == [1, 2]


def test_expected_pixel_of_a_map_that_is_not_square() -> None:
    shares = torch.zeros(2, 5)
    shares[1, 4], shares[0, 1] = 0.75, 0.25
    assert soft_argmax(shares).tolist() == [0.75, 3.25]


@pytest.mark.parametrize(
    ("coordinate", "position"),
    [(0, 0), (0.49, 0), (0.5, 0), (0.52, 1), (1.5, 1), (2.5, 2), (6.5000005, 6), (12.6, 13)],
)
def test_the_nearest_position_and_the_lower_from_the_middle(
    coordinate: float, position: int
) -> None:
    assert nearest_position(torch.tensor([coordinate])).tolist() == [position]


@pytest.mark.parametrize(
    ("centre", "side", "rows"),
    [
        ((1, 2), 3, ["0111", "0111", "0111", "0000"]),
        ((0, 0), 3, ["1100", "1100", "0000", "0000"]),
        ((3, 3), 3, ["0000", "0000", "0011", "0011"]),
        ((2, 0), 1, ["0000", "0000", "1000", "0000"]),
        ((3, 1), 5, ["0000", "1111", "1111", "1111"]),
        ((1, 1), 9, ["1111"] * 4),
    ],
)
def test_areas_of_a_4_by_4_map(centre: tuple[int, int], side: int, rows: list[str]) -> None:
    mask = area_masks(torch.tensor(centre), 4, 4, side)
    assert ["".join(str(int(v)) for v in row) for row in mask] == rows


def test_areas_are_each_positions_own() -> None:
    centres = torch.tensor([[[0, 0], [2, 1]], [[2, 4], [1, 1]]])
    masks = area_masks(centres, 3, 5, 3)
    assert masks.shape == (2, 2, 3, 5)
    for image, region in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert torch.equal(masks[image, region], area_masks(centres[image, region], 3, 5, 3))


#: Channels of 4 x 4: one strong position, everywhere 9, everywhere 3, a weaker position.
CHANNELS = torch.stack(
    [
        one_at(0, 3, LN[65]),
        torch.full((4, 4), LN[9]),
        torch.full((4, 4), LN[3]),
        one_at(3, 0, LN[5]),
    ]
)[None]


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("weighted", [65 / 80 * LN[65], LN[9], LN[3], 5 / 20 * LN[5]]),
        ("peak", [65 / 80, 1 / 16, 1 / 16, 5 / 20]),
        ("gap", [LN[65] / 16, LN[9], LN[3], LN[5] / 16]),
        ("logsumexp", [math.log(80), math.log(144), math.log(48), math.log(20)]),
    ],
)
def test_scores_of_4_by_4_channels(how: str, values: list[float]) -> None:
    assert channel_scores(CHANNELS, how)[0].tolist() == pytest.approx(values, rel=1e-5)


def test_eq_14_as_printed_ranks_no_channel() -> None:
    """The mean of a softmax over 16 positions is a sixteenth, whatever the channel."""
    torch.manual_seed(0)
    means = spatial_softmax(torch.rand(2, 30, 4, 4) * 9).mean(dim=(2, 3))
    assert torch.allclose(means, torch.full((2, 30), 1 / 16))


def test_the_printed_mean_with_the_printed_denominator_ranks_as_logsumexp() -> None:
    torch.manual_seed(0)
    features = torch.rand(1, 30, 4, 4) * 3
    printed = (features.exp() / features.sum()).mean(dim=(2, 3))
    scores = channel_scores(features, "logsumexp")
    assert torch.equal(scores.argsort(dim=1), printed.argsort(dim=1))


def test_a_temperature_is_the_softmaxs_alone() -> None:
    for how in ("weighted", "peak"):
        scores = channel_scores(CHANNELS, how, temperature=0.5)[0]
        share = 65**2 / (65**2 + 15)
        value = share * LN[65] if how == "weighted" else share
        assert scores[0].item() == pytest.approx(value, rel=1e-5)
    colder = channel_scores(CHANNELS, "logsumexp", temperature=0.5)[0, 0].item()
    assert colder == pytest.approx(math.log(65**2 + 15), rel=1e-5)
    assert torch.equal(channel_scores(CHANNELS, "gap", 0.5), channel_scores(CHANNELS, "gap"))


def test_top_channels_in_order_and_the_first_of_equal_ones() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0]])
    assert torch.equal(top_channels(CHANNELS, scores, 3), CHANNELS[:, [1, 2, 3]])
    both = torch.cat([CHANNELS, CHANNELS.flip(1)])
    tops = top_channels(both, channel_scores(both), 1)
    assert torch.equal(tops[0], CHANNELS[0, :1])
    assert torch.equal(tops[1], CHANNELS[0, :1])


def test_the_first_of_many_equal_channels() -> None:
    """A sort that is not stable gets this wrong from some number of channels on."""
    features = torch.arange(2048.0).view(1, -1, 1, 1)
    assert top_channels(features, torch.zeros(1, 2048), 3).flatten().tolist() == [0, 1, 2]


def test_more_channels_than_there_are() -> None:
    assert channel_regions(CHANNELS, 4, 3).shape == (1, 4, 4)
    with pytest.raises(ShapeError, match="the top 5 of 4 channels"):
        channel_regions(CHANNELS, 5, 3)


def test_regions_of_the_top_channels() -> None:
    """The top one expects row 24 / 80 and column (24 + 64 * 3) / 80: position (0, 3)."""
    first, second = channel_regions(CHANNELS, 1, 1), channel_regions(CHANNELS, 2, 1)
    assert first[0].nonzero().tolist() == [[0, 3]]
    assert second[0].nonzero().tolist() == [[0, 3], [1, 1]]  # a flat one: the middle
    assert not channel_regions(CHANNELS, 0, 3).any()


def test_regions_of_the_attention() -> None:
    attention = one_at(0, 3, LN[1000])[None]
    assert not spatial_regions(attention, 0, 3).any()
    first = spatial_regions(attention, 1, 3)
    assert torch.equal(first[0], area_masks(torch.tensor([0, 3]), 4, 4, 3))


def test_the_second_pixel_is_that_of_what_the_first_area_has_left() -> None:
    """Ones but for (0, 3): without its 2 x 2 corner, rows sum to 23 and columns to 13, of 12."""
    attention = one_at(0, 3, LN[1000])[None]
    second = spatial_regions(attention, 2, 3) & ~spatial_regions(attention, 1, 3)
    centre = torch.tensor([2, 1])  # 23 / 12 and 13 / 12
    expected = area_masks(centre, 4, 4, 3) & ~area_masks(torch.tensor([0, 3]), 4, 4, 3)
    assert torch.equal(second[0], expected)


def test_two_peaks_of_different_strength_are_found_one_after_the_other() -> None:
    attention = bump(3, 3, 1.0) + bump(3, 10, 0.8)
    cold = spatial_regions(attention[None], 2, 3, temperature=0.005)
    first, second = (area_masks(torch.tensor([3, c]), 14, 14, 3) for c in (3, 10))
    assert torch.equal(spatial_regions(attention[None], 1, 3, temperature=0.005)[0], first)
    # The first bump's slope outside of its area is weaker than the second bump's top.
    assert torch.equal(cold[0], first | second)


def test_a_map_that_is_covered_keeps_an_expected_pixel() -> None:
    attention = torch.rand(2, 2, 3)
    assert spatial_regions(attention, 4, 5).all()


@pytest.mark.parametrize("side", [14, 28, 56, 112])
@pytest.mark.parametrize("value", [0.0, 0.3, 7.1])
def test_a_flat_map_expects_the_upper_left_of_its_middle(side: int, value: float) -> None:
    flat = torch.full((3, side, side), value)
    middle = torch.tensor([side // 2 - 1] * 2)
    assert torch.equal(
        spatial_regions(flat, 1, 3)[2], area_masks(middle, side, side, 3)
    )  # whatever the rounding of the sums


def bump_rows() -> list[tuple[float, list[str]]]:
    text = (Path(wsoltool_plugins.__path__[0]) / "adh/README.md").read_text(encoding="utf-8")
    table = text.partition("| height of the bump |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return [(float(height), pixels) for height, *pixels in rows]


def test_the_readmes_bumps_are_expected_where_it_says() -> None:
    rows = bump_rows()
    assert len(rows) == 3
    for height, pixels in rows:
        for temperature, said in zip((1.0, 0.1), pixels, strict=True):
            pixel = soft_argmax(spatial_softmax(bump(3, 3, height), temperature))
            assert ", ".join(f"{v:.1f}" for v in pixel.tolist()) == said


def test_weak_maps_pull_to_the_middle_and_a_low_temperature_finds_the_peak() -> None:
    torch.manual_seed(0)
    middle = torch.tensor([6.5, 6.5])
    noise = soft_argmax(spatial_softmax(torch.rand(200, 14, 14)))
    assert (noise - middle).abs().max() < 0.5
    for row, column in ((2, 3), (11, 4), (6, 12)):
        weak = bump(row, column, 0.5)
        assert (soft_argmax(spatial_softmax(weak)) - middle).abs().max() < 1
        assert nearest_position(soft_argmax(spatial_softmax(weak, 0.02))).tolist() == [row, column]


def test_two_equal_peaks_are_expected_between_them() -> None:
    pixel = soft_argmax(spatial_softmax(bump(3, 3, 100) + bump(3, 10, 100), 0.01))
    assert pixel.tolist() == pytest.approx([3, 6.5], abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_large_activations_and_small_temperatures_do_not_overflow(dtype: torch.dtype) -> None:
    maps = one_at(1, 2, 1e4, rest=9e3).to(dtype)
    for temperature in (1e-6, 1.0, 1e4):
        shares = spatial_softmax(maps, temperature)
        assert shares.dtype == torch.promote_types(dtype, torch.float32)
        assert shares.isfinite().all()
        assert shares.sum().item() == pytest.approx(1, abs=1e-6)
        for how in CHANNEL_SCORES:
            assert channel_scores(maps[None, None], how, temperature).isfinite().all()
    assert soft_argmax(spatial_softmax(maps)).tolist() == [1, 2]
    huge = one_at(1, 2, 3e38)
    assert soft_argmax(spatial_softmax(huge, 1e-6)).tolist() == [1, 2]


def test_autocast_does_not_round_the_coordinates() -> None:
    """112 positions do not fit into the 8 bits of bfloat16."""
    maps = one_at(107, 109, 50.0, side=112)
    with torch.autocast("cpu", torch.bfloat16):
        pixel = soft_argmax(spatial_softmax(maps))
    assert pixel.tolist() == pytest.approx([107, 109], abs=1e-3)


@settings(deadline=None)  # a machine may be busy
@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.05, 1.0, 20.0]), st.integers(0, 10**6)
)
def test_shares_and_pixels_of_any_map(
    height: int, width: int, temperature: float, seed: int
) -> None:
    maps = 5 * torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    shares = spatial_softmax(maps, temperature)
    assert torch.allclose(shares.sum(dim=(2, 3)), torch.ones(2, 3), atol=1e-5)
    pixels = soft_argmax(shares)
    highest = torch.tensor([height - 1, width - 1])
    assert ((pixels >= 0) & (pixels <= highest + 1e-4)).all()
    places = nearest_position(pixels)
    assert ((places >= 0) & (places <= highest)).all()
    assert ((places - pixels).abs() <= 0.502).all()
    # Mirrored maps have mirrored expectations; values on top of all change nothing.
    mirrored = soft_argmax(spatial_softmax(maps.flip(-1) + 3, temperature))
    assert torch.allclose(mirrored[..., 1], width - 1 - pixels[..., 1], atol=1e-3)
    assert torch.allclose(mirrored[..., 0], pixels[..., 0], atol=1e-3)
