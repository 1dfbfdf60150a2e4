"""For the tests of every plugin: a backbone small enough to reason about, and configs' networks."""

from functools import cache

import pytest
import torch
from torch import nn

from wsoltool.commands.options import parse_options
from wsoltool.config import load_config, plain
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.preflight import check

INITIALIZERS = ("kaiming_uniform_", "kaiming_normal_", "trunc_normal_", "normal_", "uniform_")


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


@pytest.fixture(scope="session")
def network():
    """A function that builds the localizer of a config with options, once and only to be looked at.

    The config is checked; weights are never filled, which makes large networks cheap.
    """

    @cache
    def built(name, *options):
        config = load_config(name, parse_options(options))
        check(config, "train")
        with pytest.MonkeyPatch.context() as patch:
            for initializer in INITIALIZERS:
                patch.setattr(nn.init, initializer, lambda tensor, *args, **kwargs: tensor)
            return build_localizer(without_pretrained(plain(config.model)))

    return built


@pytest.fixture(scope="session")
def inserts(network):
    """A function: the inserts of a config with options by their point, one each, as they run."""

    def by_point(name, *options):
        model = network(name, *options)
        if model.inserts is None:
            return {}
        points = model.inserts.points
        found = {point: model.inserts[key] for key, point in points.items()}
        assert len(found) == len(points), "two inserts at one point"
        return {point: found[point] for point in model.backbone.insert_points if point in found}

    return by_point
