"""Eqs. 10 to 12 and Algorithm 1 by hand on small maps, and against slow references."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.errors import ShapeError
from wsoltool.functional.selection import (
    CASES,
    HIDDEN,
    PASSED,
    SCATTERED,
    Selection,
    count_regions,
    dispersion,
    self_attention,
    strongest,
)

HAND = [
    [10, 5, 5, 0],
    [5, 5, 5, 0],
    [5, 5, 5, 1],
    [0, 0, 0, 1],
]
CORNERS = [
    [5, 0, 0, 5],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
    [5, 0, 0, 5],
]
#: Eighths and whole numbers: products and comparisons are exact in float32.
eighths = st.integers(0, 8).map(lambda n: n / 8)
sides = st.integers(1, 6)
masks = sides.flatmap(lambda h: sides.flatmap(lambda w: arrays(bool, (h, w))))
maps = sides.flatmap(lambda h: sides.flatmap(lambda w: arrays(np.uint8, (h, w))))


def as_map(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)[None]


def decide(attention: torch.Tensor, selection: Selection | None = None, peak: float = 0.8) -> str:
    """The case of one map, by the thesis's own thresholds unless others are given."""
    (case,) = (selection or Selection()).cases(attention, strongest(attention, peak)).tolist()
    return CASES[case]


class TestSelfAttention:
    def test_is_the_mean_over_the_channels(self):
        features = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]], [[[0.0, 0.0]], [[4.0, 8.0]]]])
        assert self_attention(features).tolist() == [[[2.0, 1.0]], [[2.0, 4.0]]]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_summed_in_single(self, dtype):
        # 1024 values of 100 are more than float16 can hold; of 1 + 1/128, bfloat16 drifts.
        features = torch.full((1, 1024, 1, 1), 100 + 1 / 2, dtype=dtype)
        attention = self_attention(features)
        assert attention.dtype == torch.float32
        assert attention.item() == features[0, 0].item()

    def test_double_stays_double(self):
        assert self_attention(torch.ones(1, 2, 1, 1, dtype=torch.float64)).dtype == torch.float64

    def test_other_shapes_are_refused(self):
        with pytest.raises(ShapeError, match=r"features \(2, 3, 4\)"):
            self_attention(torch.zeros(2, 3, 4))


class TestStrongest:
    @pytest.mark.parametrize(
        ("share", "count"),
        # 10 alone; 5 is half of 10, and counts; 1 is a tenth; 0 counts at 0 only.
        [(1.0, 1), (0.8, 1), (0.51, 1), (0.5, 9), (0.1, 11), (0.09, 11), (0.0, 16)],
    )
    def test_by_hand(self, share, count):
        assert strongest(as_map(HAND), share).sum() == count

    def test_each_image_has_its_own_maximum(self):
        both = torch.cat([as_map(HAND), as_map(HAND) / 1000])
        found = strongest(both, 0.5)
        assert torch.equal(found[0], found[1])
        assert found[0].tolist() == [[v >= 5 for v in row] for row in HAND]

    def test_zeros_are_all_equally_strong(self):
        assert strongest(torch.zeros(2, 3, 3), 0.8).all()

    @given(maps, eighths)
    def test_against_a_slow_reference(self, values, share):
        found = strongest(as_map(values.tolist()), share)[0]
        bound = Fraction(share) * int(values.max())
        assert found.tolist() == [[bound <= int(value) for value in row] for row in values]


class TestCountRegions:
    @pytest.mark.parametrize(
        ("rows", "count"),
        [
            (["....", "....", "....", "...."], 0),
            (["....", ".#..", "....", "...."], 1),
            (["####", "####", "####", "####"], 1),
            (["#...", ".#..", "..#.", "...#"], 1),  # corners touch
            (["#..#", "....", "....", "#..#"], 4),
            (["#.#.", "#.#.", "#.#.", "#.#."], 2),
            (["####", "#..#", "#..#", "####"], 1),
            (["#.#.", "#.#.", "#.#.", "###."], 1),  # joined below
        ],
    )
    def test_by_hand(self, rows, count):
        mask = torch.tensor([[[character == "#" for character in row] for row in rows]])
        assert count_regions(mask).tolist() == [count]

    @settings(deadline=None)
    @given(sides.flatmap(lambda h: arrays(bool, (3, 2 * h, 7))))
    def test_against_opencv(self, batch):
        expected = [
            cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 for mask in batch
        ]
        assert count_regions(torch.from_numpy(batch)).tolist() == expected

    def test_a_long_spiral_is_one(self):
        """The number of its end has a long way to go: nothing stops before it is there."""
        mask = np.zeros((31, 31), bool)
        y, x, step = 0, 0, 30
        turns = ((0, 1), (1, 0), (0, -1), (-1, 0))
        mask[0, 0] = True
        for turn in range(26):
            dy, dx = turns[turn % 4]
            for _ in range(step):
                y, x = y + dy, x + dx
                mask[y, x] = True
            step -= 2 * (turn % 2 and turn > 1)
        assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 == 1
        assert count_regions(torch.from_numpy(mask)[None]).tolist() == [1]


class TestDispersion:
    def test_by_hand(self):
        # Columns 0, 3, 0, 3 and rows 0, 0, 3, 3: a variance of 9/4 each.
        mask = as_map(CORNERS) > 0
        assert dispersion(mask).item() == 4.5
        assert dispersion(mask, mu1=2.0).item() == 9.0
        assert dispersion(mask, mu1=2.0, mu2=0.5).item() == 11.0  # four regions
        assert dispersion(mask, mu1=0.0, mu2=3.0).item() == 12.0

    @pytest.mark.parametrize(("side", "value"), [(28, 130.5), (14, 32.5), (7, 8.0), (1, 0.0)])
    def test_spread_evenly(self, side, value):
        mask = torch.ones(1, side, side, dtype=torch.bool)
        # n positions in a row have the variance (n^2 - 1) / 12.
        assert value == 2 * (side**2 - 1) / 12
        assert dispersion(mask).item() == pytest.approx(value, rel=1e-5)

    def test_nothing_and_one_position_have_none(self):
        mask = torch.zeros(2, 5, 6, dtype=torch.bool)
        mask[1, 4, 2] = True
        assert dispersion(mask).tolist() == [0, 0]
        assert dispersion(mask, mu2=1.0).tolist() == [0, 1]

    @settings(deadline=None)
    @given(masks, eighths, eighths)
    def test_against_a_slow_reference(self, mask, mu1, mu2):
        rows, columns = (places.tolist() for places in np.nonzero(mask))
        regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
        expected = mu1 * (variance(rows) + variance(columns)) + mu2 * regions
        found = dispersion(torch.from_numpy(mask)[None], mu1, mu2).item()
        assert found == pytest.approx(float(expected), rel=1e-5, abs=1e-5)

    @given(masks)
    def test_moved_mirrored_and_turned_masks_have_the_same(self, mask):
        mask = torch.from_numpy(mask)[None]
        moved = torch.nn.functional.pad(mask, (3, 1, 0, 2))
        first, *others = (
            dispersion(m).item() for m in (mask, moved, mask.flip(1), mask.mT, mask.flip(2))
        )
        assert others == pytest.approx([first] * 4, rel=1e-4, abs=1e-5)


def variance(places: list[int]) -> Fraction:
    if not places:
        return Fraction(0)
    mean = Fraction(sum(places), len(places))
    return sum((place - mean) ** 2 for place in places) / len(places)


class TestBoundaries:
    """Values at a threshold count as the thesis's comparisons say."""

    def test_of_dispersion(self):
        corners = as_map(CORNERS)
        assert decide(corners, Selection(dispersion=4.5)) == "scattered"
        assert decide(corners, Selection(dispersion=4.501)) == "passed"
        assert decide(corners, Selection(dispersion=9.0, mu1=2.0)) == "scattered"
        assert decide(corners, Selection(dispersion=8.5, mu2=1.0)) == "scattered"
        assert decide(corners, Selection(dispersion=8.501, mu2=1.0)) == "passed"

    @pytest.mark.parametrize(
        ("min_pixels", "case"), [(None, "scattered"), (4, "scattered"), (5, "passed")]
    )
    def test_of_positions(self, min_pixels, case):
        assert decide(as_map(CORNERS), Selection(dispersion=1, min_pixels=min_pixels)) == case

    @pytest.mark.parametrize(("count", "case"), [(2, "passed"), (3, "scattered")])
    def test_of_positions_on_a_small_map(self, count, case):
        # 1 % of 16 is less than one position; three are asked for.
        attention = torch.zeros(1, 4, 4)
        attention.view(-1)[[0, 15, 3][:count]] = 1
        assert decide(attention, Selection(dispersion=1)) == case

    @pytest.mark.parametrize(("side", "least"), [(28, 8), (20, 4), (10, 3), (40, 16)])
    def test_one_per_cent_is_rounded_up(self, side, least):
        for count, case in ((least - 1, "passed"), (least, "scattered")):
            attention = torch.zeros(1, side, side)
            attention[0, 0, : count - 1] = attention[0, -1, -1] = 1
            assert decide(attention, Selection(dispersion=1)) == case

    def test_of_the_target(self):
        # Nine of sixteen positions.
        assert decide(as_map(HAND), Selection(small_target=9 / 16)) == "hidden"
        assert decide(as_map(HAND), Selection(small_target=0.57)) == "passed"

    def test_of_the_targets_share_of_the_maximum(self):
        # 5 is half of 10: the target is nine positions, or one.
        assert decide(as_map(HAND), Selection(target=0.5)) == "hidden"
        assert decide(as_map(HAND), Selection(target=0.51)) == "passed"

    def test_of_the_peaks_share_of_the_target(self):
        # One of nine positions, then of two with 9 beside 10: two of eight.
        assert decide(as_map(HAND), Selection(large_peak=0.12)) == "hidden"
        assert decide(as_map(HAND), Selection(large_peak=0.11)) == "passed"
        two = [[10, 10, 5, 5], [5, 5, 5, 5], [0] * 4, [0] * 4]
        assert decide(as_map(two), Selection(large_peak=0.25)) == "hidden"
        assert decide(as_map(two), Selection(large_peak=0.249)) == "passed"

    def test_of_the_background(self):
        attention = as_map([[10, 2, 1, 0]])
        cases, peak = torch.tensor([SCATTERED]), strongest(attention, 0.8)
        for background, kept in ((0.2, "0100"), (0.21, "0000"), (0.1, "0110"), (0.0, "0111")):
            found = Selection(background=background).kept(attention, cases, peak)
            assert "".join(str(int(value)) for value in found.flatten()) == kept


class TestKept:
    @pytest.mark.parametrize(
        ("case", "kept"),
        [
            (HIDDEN, ["0111", "1111", "1111", "1111"]),
            (PASSED, ["1111", "1111", "1111", "1111"]),
            (SCATTERED, ["0110", "1110", "1110", "0000"]),
        ],
    )
    def test_by_hand(self, case, kept):
        attention = as_map(HAND)
        found = Selection().kept(attention, torch.tensor([case]), strongest(attention, 0.8))
        assert found.dtype == torch.bool
        assert ["".join(str(int(v)) for v in row) for row in found[0]] == kept

    def test_more_may_be_hidden_than_the_peak(self):
        """Chapter 4 hides other regions beside it by the same rule."""
        attention = as_map(HAND).expand(3, 4, 4)
        hidden = torch.zeros(3, 4, 4, dtype=torch.bool)
        hidden[:, 1:3, 1] = True
        found = Selection().kept(attention, torch.tensor([HIDDEN, PASSED, SCATTERED]), hidden)
        assert torch.equal(~found[0], hidden[0])
        assert found[1].all()
        assert torch.equal(~found[2], hidden[2] | (attention[2] < 2))


class TestOddMaps:
    def test_zeros_at_pool3_are_scattered_and_nothing_is_left(self):
        attention = torch.zeros(1, 28, 28)
        peak = strongest(attention, 0.8)
        cases = Selection().cases(attention, peak)
        assert cases.tolist() == [SCATTERED]
        assert not Selection().kept(attention, cases, peak).any()  # of zeros

    def test_one_position_passes(self):
        assert decide(torch.ones(1, 1, 1)) == "passed"
        assert decide(torch.zeros(1, 1, 1)) == "passed"

    def test_equal_maxima_are_all_peak(self):
        attention = as_map([[10, 5, 5, 5], [5, 5, 5, 5], [5, 5, 5, 5], [5, 5, 5, 10]])
        peak = strongest(attention, 1.0)
        assert peak.nonzero()[:, 1:].tolist() == [[0, 0], [3, 3]]
        assert decide(attention) == "hidden"
        assert decide(attention, Selection(min_pixels=2, dispersion=4.5)) == "scattered"

    def test_a_map_of_nan_passes(self):
        assert decide(torch.full((1, 28, 28), torch.nan)) == "passed"


@settings(deadline=None, max_examples=200)
@given(
    sides.flatmap(lambda h: sides.flatmap(lambda w: arrays(np.uint8, (3, h, w)))),
    st.tuples(eighths, eighths, eighths, eighths, eighths),
    st.floats(0, 4),
    st.one_of(st.none(), st.integers(0, 4)),
    st.sampled_from([0.0, 0.5]),
)
def test_algorithm_1_against_a_slow_reference(batch, shares, spread, min_pixels, mu2):
    peak_share, target, background, small_target, large_peak = shares
    selection = Selection(
        target=target,
        background=background,
        dispersion=spread,
        min_pixels=min_pixels,
        small_target=small_target,
        large_peak=large_peak,
        mu2=mu2,
    )
    attention = torch.from_numpy(batch).float()
    peak = strongest(attention, peak_share)
    cases = selection.cases(attention, peak)
    kept = selection.kept(attention, cases, peak)
    for index, values in enumerate(batch):
        assert CASES[cases[index]] == slow_case(values, peak_share, selection)
        assert kept[index].tolist() == slow_kept(values, peak_share, background, cases[index])


def slow_case(values: np.ndarray, peak_share: float, selection: Selection) -> str:
    """Algorithm 1 of the thesis, one position after another, in fractions."""
    cells = {place: int(value) for place, value in np.ndenumerate(values)}
    top = max(cells.values())
    peak = [place for place, value in cells.items() if value >= Fraction(peak_share) * top]
    target = sum(value >= Fraction(selection.target) * top for value in cells.values())
    spread = variance([y for y, _ in peak]) + variance([x for _, x in peak])
    if selection.mu2:
        mask = (values >= float(Fraction(peak_share) * top)).astype(np.uint8)
        regions = cv2.connectedComponents(mask, connectivity=8)[0] - 1
        spread += Fraction(selection.mu2) * regions
    # Whole numbers over small ones: nearer than this, rounding would decide.
    assume(abs(spread - Fraction(selection.dispersion)) > 1e-4 or selection.dispersion == 0)
    least = selection.min_pixels
    if least is None:
        least = max(3, -(-len(cells) // 100))
    if len(peak) >= least and spread >= selection.dispersion:
        return "scattered"
    if target < Fraction(selection.small_target) * len(cells):
        return "passed"
    if len(peak) > Fraction(selection.large_peak) * target:
        return "passed"
    return "hidden"


def slow_kept(values: np.ndarray, peak: float, background: float, case: int) -> list[list[bool]]:
    top = int(values.max())
    rows = []
    for row in values.tolist():
        in_peak = [value >= Fraction(peak) * top for value in row]
        behind = [value < Fraction(background) * top for value in row]
        hidden = {SCATTERED: [a or b for a, b in zip(in_peak, behind, strict=True)]}
        hidden |= {PASSED: [False] * len(row), HIDDEN: in_peak}
        rows.append([not value for value in hidden[int(case)]])
    return rows


def test_the_defaults_are_those_of_section_3_3_1():
    given_there = Selection()
    assert (given_there.target, given_there.background) == (0.3, 0.2)
    assert (given_there.small_target, given_there.large_peak) == (0.2, 0.3)
    assert given_there.dispersion == 40
    assert not given_there.always_hide
