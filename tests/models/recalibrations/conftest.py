"""What the tests of several recalibrations use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def randomize() -> Callable[[nn.Module], nn.Module]:
    """A function that draws every parameter and statistic, so that none is 0 or 1 by default."""

    def draw(module: nn.Module) -> nn.Module:
        torch.manual_seed(5)
        with torch.no_grad():
            for name, tensor in module.state_dict().items():
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 2.0)
                elif tensor.is_floating_point():
                    tensor.normal_(std=0.7)
        return module

    return draw


@pytest.fixture
def features() -> Callable[..., Tensor]:
    """A function that draws features ``(B, C, h, w)`` float64, always the same."""

    def draw(*shape: int) -> Tensor:
        torch.manual_seed(7)
        return torch.randn(*shape, dtype=torch.float64)

    return draw
