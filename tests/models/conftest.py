"""A localizer of parts that can be followed by hand: the network shows its input."""

import pytest
import torch
from torch import nn

from wsoltool.models.backbones.base import Backbone
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer
from wsoltool.models.contracts import CAMHead
from wsoltool.models.fusion import SingleView
from wsoltool.models.localizer import Localizer
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.structures import Sample, Samples


class Mirror(Backbone):
    """``last`` is the image itself; counts the images of each size that it was shown."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()
        self.shown = []

    def steps(self):
        return [("same", self.same)]

    def forward(self, images):
        self.shown.append(tuple(images.shape))
        return super().forward(images)


class ChannelHead(CAMHead):
    """Three classes, one a channel: its map is the channel, its logit the channel's mean."""

    num_classes = 3

    def logits(self, features):
        return features["last"].mean(dim=(2, 3))

    def loss(self, features, samples):
        return {"loss_cls": nn.functional.cross_entropy(self.logits(features), samples.labels)}

    def maps(self, features, class_ids):
        index = class_ids[..., None, None].expand(*class_ids.shape, *features["last"].shape[2:])
        return {"cam": features["last"].gather(1, index)}


@pytest.fixture
def mirror():
    """A function that makes a localizer whose maps are its input; parts may be replaced."""

    def make(**parts):
        defaults = {
            "backbone": Mirror(),
            "head": ChannelHead(),
            "fusion": SingleView(),
            "boxes": ThresholdBoxes(),
            "preprocessor": Preprocessor(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        }
        return Localizer(**{**defaults, **parts}).eval()

    return make


@pytest.fixture
def batch():
    """A function that makes a batch of random uint8 images, one for each label."""

    def make(*labels, sizes=None):
        torch.manual_seed(0)
        sizes = sizes or [(6, 8)] * len(labels)
        images = [torch.randint(256, (*size, 3), dtype=torch.uint8) for size in sizes]
        items = [
            Sample(f"image-{i}", label, size, (0.0, 0.0, float(size[1]), float(size[0])))
            for i, (label, size) in enumerate(zip(labels, sizes, strict=True))
        ]
        alike = len(set(sizes)) == 1
        return {"inputs": torch.stack(images) if alike else images, "samples": Samples.of(items)}

    return make


@pytest.fixture
def small():
    """A function that builds a tiny localizer, always with the same weights."""

    def make(**model):
        torch.manual_seed(1)
        backbone = {"type": "SmallNet", "channels": (4, 6, 8)}
        head = {"type": "cam.CAMHead", "num_classes": 3}
        return build_localizer({"backbone": backbone, "head": head, **model})

    return make
