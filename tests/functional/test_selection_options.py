"""Which thresholds the selection refuses, and how."""

from __future__ import annotations

import pytest

from wsoltool.errors import ConfigError
from wsoltool.functional.selection import Selection


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("target", 1.1, "a number from 0 to 1"),
        ("background", -0.1, "a number from 0 to 1"),
        ("small_target", 20, "a number from 0 to 1"),
        ("large_peak", float("nan"), "a number from 0 to 1"),
        ("dispersion", -1, "a number of 0 or more"),
        ("dispersion", float("inf"), "a number of 0 or more"),
        ("mu1", "1", "a number of 0 or more"),
        ("mu2", None, "a number of 0 or more"),
        ("min_pixels", -1, "a whole number of 0 or more, or None"),
        ("min_pixels", True, "a whole number of 0 or more, or None"),
        ("min_pixels", 3.0, "a whole number of 0 or more, or None"),
        ("always_hide", 1, "True or False"),
        ("always_hide", None, "True or False"),
    ],
)
def test_values_out_of_range_are_refused(name, value, expected):
    with pytest.raises(ConfigError, match=f"Selection: {name}=") as caught:
        Selection(**{name: value})
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    ("thresholds", "peak", "message"),
    [
        ({}, 1.2, "Selection: peak=1.2"),
        ({}, "high", "Selection: peak='high'"),
        ({}, 0.25, "Selection: background=0.2, target=0.3, peak=0.25"),
        ({"background": 0.4}, 0.8, "Selection: background=0.4, target=0.3, peak=0.8"),
        ({"target": 0.9}, 0.8, "Selection: background=0.2, target=0.9, peak=0.8"),
    ],
)
def test_a_peak_that_is_no_part_of_the_target_is_refused(thresholds, peak, message):
    with pytest.raises(ConfigError) as caught:
        Selection(**thresholds).check_peak(peak)
    assert str(caught.value).splitlines()[0] == message


def test_equal_thresholds_are_in_order():
    Selection(target=0.3, background=0.3).check_peak(0.3)
    Selection(target=0, background=0).check_peak(1)
