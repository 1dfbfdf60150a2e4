"""What the tests of all networks need: seeds, statistics that show mistakes, a tolerance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def alive() -> Callable[[nn.Module], nn.Module]:
    """Puts a network into evaluation with weights and statistics that differ from the identity.

    Convolutions are scaled so that features neither vanish nor grow with depth.
    """

    def enliven(net: nn.Module) -> nn.Module:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
            elif isinstance(module, nn.Conv2d) and not _is_of_a_gate(module):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        return net.eval()

    return enliven


def _is_of_a_gate(conv: nn.Conv2d) -> bool:
    # Squeeze and excitation: larger weights would make the network chaotic.
    return conv.kernel_size == (1, 1) and conv.bias is not None


@pytest.fixture
def assert_close() -> Callable[[Tensor, Tensor], None]:
    """Equal to 1e-5 of the largest value."""

    def compare(ours: Tensor, theirs: Tensor) -> None:
        assert ours.shape == theirs.shape
        assert theirs.isfinite().all()
        assert theirs.abs().max() > 0
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()

    return compare
