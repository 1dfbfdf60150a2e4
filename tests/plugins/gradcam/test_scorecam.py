import math

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.contracts import CAMHead
from wsoltool.testing import check_map_source
from wsoltool_plugins.gradcam.scorecam import ScoreCAM


class TwoChannels(Backbone):
    """Channels: the first colour, and the second one mirrored; no parameter."""

    class Swap(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0], x[:, 1].flip(-1)], dim=1)

    def __init__(self):
        super().__init__()
        self.swap = self.Swap()
        self.batches = []

    def steps(self):
        return [("swap", self.swap)]

    def forward(self, images):
        self.batches.append(len(images))
        return super().forward(images)


class SumHead(CAMHead):
    """Class 0 scores the first channel's sum, class 1 minus the second's."""

    num_classes = 2

    def logits(self, features):
        sums = features["last"].sum(dim=(2, 3))
        return torch.stack([sums[:, 0], -sums[:, 1]], dim=1)

    def loss(self, features, samples):
        return {"loss": nn.functional.cross_entropy(self.logits(features), samples.labels)}

    def maps(self, features, class_ids):
        raise AssertionError("Score-CAM asks the head for no map")


def scorecam(images, class_ids, **options):
    backbone, head, source = TwoChannels().eval(), SumHead().eval(), ScoreCAM(**options)
    with torch.no_grad():
        features = backbone(images)
        backbone.batches.clear()
        maps = source.maps(backbone, head, images, features, torch.tensor(class_ids))["cam"]
    return maps, backbone.batches


@pytest.mark.parametrize("target", ["last", "pool1"])
@pytest.mark.parametrize("options", [{}, {"batch_size": 5}, {"max_channels": 2}])
def test_contract(target, options, tiny_backbone):
    class Head(SumHead):
        def logits(self, features):
            return features["last"].mean(dim=(2, 3))[:, :2]

    check_map_source(ScoreCAM(target, **options), tiny_backbone, Head())


def test_by_hand():
    # Colour 0 is (1, 3), colour 1 is (2, 0); the features are A_0 = (1, 3) and A_1 = (0, 2).
    # Their min-max masks are H_0 = (0, 1) and H_1 = (0, 1): here equal, so each weighs a half.
    images = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]], [[0.0, 0.0]]]])
    maps, _ = scorecam(images, [[0]])
    torch.testing.assert_close(maps, torch.tensor([[[[0.5, 2.5]]]]))
    # Colour 1 is (0, 2): A_1 = (2, 0), H_1 = (1, 0).
    # Class 0: colour 0 seen through H_0 sums to 3, through H_1 to 1: softmax(3, 1).
    # Class 1: minus colour 1 through H_0 is -2, through H_1 0: softmax(-2, 0).
    images = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]], [[0.0, 0.0]]]])
    maps, _ = scorecam(images, [[0, 1]])
    first = 1 / (1 + math.exp(1 - 3))
    second = 1 / (1 + math.exp(0 + 2))
    expected = [
        [[first * 1 + (1 - first) * 2, first * 3]],
        [[second * 1 + (1 - second) * 2, second * 3]],
    ]
    torch.testing.assert_close(maps, torch.tensor([expected]))


def test_batches_are_full_and_do_not_change_the_result():
    images, class_ids = torch.rand(3, 3, 4, 4), [[0], [1], [0]]
    expected, batches = scorecam(images, class_ids)
    assert batches == [6]
    for size, wanted in ((1, [1] * 6), (4, [4, 2])):
        maps, batches = scorecam(images, class_ids, batch_size=size)
        assert batches == wanted
        torch.testing.assert_close(maps, expected)


def test_every_image_is_scored_by_its_own_classes():
    images, class_ids = torch.rand(3, 3, 4, 4), [[0, 1], [1, 1], [1, 0]]
    together, _ = scorecam(images, class_ids)
    for i in range(3):
        alone, _ = scorecam(images[i : i + 1], class_ids[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1])
    assert not torch.allclose(together[0, 0], together[0, 1])


def test_the_head_gets_every_feature_that_it_taps(tiny_backbone):
    class Head(SumHead):
        taps = ("pool1", "last")

        def logits(self, features):
            return sum(features[tap].mean(dim=(2, 3))[:, :2] for tap in self.taps)

    images, class_ids = torch.randn(1, 3, 6, 6), torch.tensor([[1]])
    with torch.no_grad():
        features = tiny_backbone(images)  # the backbone was not told what the head taps
        maps = ScoreCAM().maps(tiny_backbone, Head(), images, features, class_ids)["cam"]
    assert maps.any()


def test_a_constant_channel_is_left_out_and_costs_nothing():
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0] = torch.tensor([[1.0, 3.0]])
    images[0, 1] = 5.0
    maps, batches = scorecam(images, [[0]])
    assert batches == [1]
    torch.testing.assert_close(maps, torch.tensor([[[[1.0, 3.0]]]]))
    for options in ({}, {"max_channels": 1}):
        maps, batches = scorecam(torch.ones(1, 3, 2, 2), [[0]], **options)
        assert batches == []
        assert torch.equal(maps, torch.zeros(1, 1, 2, 2))


def test_max_channels_keeps_the_most_varying_of_each_image():
    images = torch.zeros(2, 3, 1, 2)
    images[0, 0], images[0, 1] = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 9.0]])
    images[1, 0], images[1, 1] = torch.tensor([[1.0, 7.0]]), torch.tensor([[0.0, 2.0]])
    maps, batches = scorecam(images, [[0], [0]], max_channels=1)
    assert batches == [2]
    torch.testing.assert_close(maps, torch.tensor([[[[9.0, 0.0]]], [[[1.0, 7.0]]]]))


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"batch_size": None}, {"batch_size": 1.5}, {"max_channels": 0}],
)
def test_bad_options_are_errors(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        ScoreCAM(**options)


def test_an_unknown_class_is_an_error():
    with pytest.raises(ShapeError, match="class ids from"):
        scorecam(torch.rand(1, 3, 2, 2), [[2]])
