from __future__ import annotations

import pytest

from wsoltool.errors import ConfigError
from wsoltool.models.recalibrations.options import check_kernel_size, reduced_channels


@pytest.mark.parametrize(
    ("channels", "reduction", "left"), [(16, 16, 1), (31, 16, 1), (33, 16, 2), (7, 1, 7)]
)
def test_reduced_channels(channels: int, reduction: int, left: int) -> None:
    assert reduced_channels("SE", channels, reduction) == left


@pytest.mark.parametrize("reduction", [17, 0, -16, 16.0, False, None])
def test_a_reduction_that_leaves_nothing_is_an_error(reduction: object) -> None:
    with pytest.raises(ConfigError, match=r"SE: reduction=.* of 16 channels") as error:
        reduced_channels("SE", 16, reduction)
    assert "from 1 to 16" in str(error.value)


def test_kernel_sizes() -> None:
    for good in (1, 3, 7):
        check_kernel_size("CBAM", good)
    for bad in (0, 2, -3, 3.0, True, (3, 3)):
        with pytest.raises(ConfigError, match="CBAM: kernel_size=") as error:
            check_kernel_size("CBAM", bad)
        assert "odd" in str(error.value)
