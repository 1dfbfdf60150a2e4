from __future__ import annotations

import pytest
import torch

from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.batch_norm import BatchNorm


def test_batch_norm_formula_and_running_statistics() -> None:
    torch.manual_seed(0)
    module = BatchNorm(3, momentum=0.25, eps=0.5)
    assert isinstance(module, Recalibration)
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    mean = x.mean(dim=(0, 2, 3))
    variance = x.var(dim=(0, 2, 3), unbiased=False)
    expected = (x - mean[:, None, None]) / (variance[:, None, None] + 0.5).sqrt()
    assert torch.allclose(module(x), expected, atol=1e-5)
    assert torch.allclose(module.running_mean, 0.25 * mean)
    unbiased = variance * 120 / 119
    assert torch.allclose(module.running_var, 0.75 + 0.25 * unbiased)


def test_batch_norm_at_test_uses_the_running_statistics() -> None:
    module = BatchNorm(2).eval()
    module.running_mean.copy_(torch.tensor([1.0, 2.0]))
    module.running_var.copy_(torch.tensor([4.0, 9.0]))
    out = module(torch.full((1, 2, 1, 1), 5.0))
    assert out.flatten().tolist() == pytest.approx([2.0, 1.0], rel=1e-4)


def test_batch_norm_names_are_flat() -> None:
    names = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert set(BatchNorm(4).state_dict()) == names
