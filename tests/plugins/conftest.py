"""A backbone small enough to reason about, for the tests of every plugin."""

import pytest
import torch
from torch import nn

from wsoltool.models.backbones.base import Backbone


class TinyBackbone(Backbone):
    """Two convolutions with ReLU and a pool: ``stem`` (4 channels), ``pool1``, ``last`` (6)."""

    canonical = {"stem": "conv1", "pool1": "pool"}

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.AvgPool2d(2)
        self.conv2 = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())

    def steps(self):
        return [("conv1", self.conv1), ("pool", self.pool), ("conv2", self.conv2)]


@pytest.fixture
def tiny_backbone():
    """Seeded, in evaluation mode; its features: conv1 4, pool1 4 (stride 2), last 6 (stride 2)."""
    torch.manual_seed(0)
    return TinyBackbone().eval()
