"""Algorithm 1 on maps as a network has them: uniform, one peak, two far ones, a broad object."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.functional.selection import (
    CASES,
    Selection,
    dispersion,
    strongest,
)


def decide(attention: torch.Tensor) -> str:
    """The case of one map, by the thesis's own thresholds."""
    (case,) = Selection().cases(attention, strongest(attention, 0.8)).tolist()
    return CASES[case]


def bell(y: float, x: float, width: float, side: int = 28) -> torch.Tensor:
    places = torch.arange(side, dtype=torch.float32)
    squares = (places[:, None] - y) ** 2 + (places - x) ** 2
    return torch.exp(-squares / (2 * width**2))[None]


class TestTheThesissCases:
    """28 x 28 positions, as pool3 has them, and the thresholds of section 3.3.1."""

    def test_a_uniform_map_is_scattered(self):
        assert decide(torch.ones(1, 28, 28)) == "scattered"

    def test_a_uniform_map_passes_where_40_is_out_of_reach(self):
        # Dispersion 32.5 at most; all of the target is peak.
        assert decide(torch.ones(1, 14, 14)) == "passed"

    @pytest.mark.parametrize("width", [0.3, 1.5, 3.0])
    def test_a_single_peak_passes(self, width):
        # The target is a small part of the map: the object is small.
        assert decide(bell(14, 14, width)) == "passed"

    def test_two_far_peaks_are_scattered(self):
        two = torch.maximum(bell(4, 4, 3.0), bell(23, 23, 3.0))
        assert decide(two) == "scattered"
        assert dispersion(strongest(two, 0.8)).item() > 2 * 9**2  # nine positions from the middle

    def test_two_near_peaks_are_not(self):
        assert decide(torch.maximum(bell(12, 12, 3.0), bell(16, 16, 3.0))) == "passed"

    def test_two_far_peaks_of_one_position_are_too_few(self):
        # At least 1 % of 784 positions, rounded up.
        few, enough = torch.zeros(1, 28, 28), torch.zeros(1, 28, 28)
        few[0, 2, 2:5] = few[0, 25, 20:24] = 1
        enough[0, 2, 2:6] = enough[0, 25, 20:24] = 1
        assert [strongest(m, 0.8).sum().item() for m in (few, enough)] == [7, 8]
        assert decide(few) == "passed"
        assert decide(enough) == "scattered"

    @pytest.mark.parametrize("width", [5.0, 6.0, 8.0])
    def test_a_broad_object_with_a_peak_is_hidden(self, width):
        assert decide(bell(13, 15, width)) == "hidden"

    def test_a_broad_object_that_is_found_as_a_whole_passes(self):
        # Equally strong on 16 x 16 positions: all of the target is peak; dispersion 42.5 is too
        # much already, on 14 x 14 it is 32.5.
        block = torch.zeros(1, 28, 28)
        block[0, 5:19, 7:21] = 1
        assert decide(block) == "passed"
        block[0, 4:20, 6:22] = 1
        assert decide(block) == "scattered"


def test_the_combined_mask_leaves_what_is_neither_peak_nor_background():
    """Section 3.2: what is stronger than the object, in opposite corners, goes."""
    things, thing = torch.maximum(bell(3, 3, 2.0), bell(24, 24, 2.0)), 0.5 * bell(13, 13, 3.0)
    attention = torch.maximum(things, thing)
    selection, peak = Selection(), strongest(attention, 0.8)
    assert decide(attention) == "scattered"
    kept = selection.kept(attention, selection.cases(attention, peak), peak)
    assert kept[0, 13, 13]
    assert not kept[peak].any()
    assert not kept[attention < 0.2].any()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_a_batch_is_decided_image_by_image(count, seed):
    generator = torch.Generator().manual_seed(seed)
    bells = [
        bell(*torch.rand(2, generator=generator) * 27, 1 + 6 * n / count) for n in range(count)
    ]
    attention = torch.cat([*bells, torch.rand(count, 28, 28, generator=generator)])
    selection, peak = Selection(mu2=0.1), strongest(attention, 0.8)
    together = selection.cases(attention, peak)
    alone = [selection.cases(a[None], p[None]) for a, p in zip(attention, peak, strict=True)]
    assert together.tolist() == torch.cat(alone).tolist()
    kept = selection.kept(attention, together, peak)
    for index, case in enumerate(alone):
        own = selection.kept(attention[index : index + 1], case, peak[index : index + 1])
        assert torch.equal(own[0], kept[index])


def test_always_hiding_asks_nothing():
    attention = torch.cat([torch.ones(1, 28, 28), bell(14, 14, 1.5), bell(13, 15, 6.0)])
    peak = strongest(attention, 0.8)
    assert [CASES[case] for case in Selection().cases(attention, peak)] == list(CASES)
    hides = Selection(always_hide=True)
    cases = hides.cases(attention, peak)
    assert [CASES[case] for case in cases] == ["hidden"] * 3
    assert torch.equal(hides.kept(attention, cases, peak), ~peak)
