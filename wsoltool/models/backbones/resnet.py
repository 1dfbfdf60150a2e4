"""ResNet without its classifier (He et al., CVPR 2016, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsoltool.models.backbones.base import Backbone
from wsoltool.models.pretrained import Pretrained, apply_pretrained

LAYERS = ("layer1", "layer2", "layer3", "layer4")


class ResNet(Backbone):
    """A ResNet of torchvision, named by the subclass, with torchvision's names of weights.

    Steps: ``conv1``, ``bn1``, ``relu``, ``maxpool``, then every residual block: ``layer1.0``,
    ``layer1.1`` ... Shared names: ``stem`` (the ReLU at stride 2), ``pool1`` (the max pooling),
    ``stage1..4`` and ``layer1..4`` (the last block of each layer).

    The surgery for a finer last map is the one of Choe et al., CVPR 2020 (arXiv:2001.07437): at
    ``output_stride`` 16 the first block of ``layer4`` (its strided convolution and its shortcut)
    gets stride 1, at 8 that of ``layer3`` too. Nothing is dilated.

    Args:
        output_stride: 32, 16 or 8; 224 pixels give a map of 7, 14 or 28 cells.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`. torchvision's
            default (True) may be a newer recipe than the papers': ``'IMAGENET1K_V1'`` is theirs.

    Attributes:
        network: torchvision's name.
    """

    network: str
    canonical = {
        "stem": "relu",
        "pool1": "maxpool",
    }

    def __init__(self, output_stride: int = 32, pretrained: Pretrained = False) -> None:
        super().__init__()
        self._set_output_stride(output_stride, (8, 16, 32))
        net = get_model(self.network, weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = (getattr(net, n) for n in LAYERS)
        ends = {name: f"{name}.{len(getattr(self, name)) - 1}" for name in LAYERS}
        stages = {f"stage{i}": ends[name] for i, name in enumerate(LAYERS, start=1)}
        self.canonical = {**self.canonical, **stages, **ends}
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # captured features stay what they were
        for layer, stride in ((self.layer4, 32), (self.layer3, 16)):
            if output_stride < stride:
                _remove_stride(layer[0])
        weights = get_model_weights(self.network)
        apply_pretrained(self, pretrained, published=weights, classifier=("fc.*",))

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        for name in ("conv1", "bn1", "relu", "maxpool"):
            yield name, getattr(self, name)
        for name in LAYERS:
            for index, block in enumerate(getattr(self, name)):
                yield f"{name}.{index}", block


def _remove_stride(block: BasicBlock | Bottleneck) -> None:
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    block.stride = 1


class ResNet50(ResNet):
    """ResNet with 50 layers; ``last`` has 2048 channels."""

    network = "resnet50"


class ResNet18(ResNet):
    """ResNet with 18 layers; ``last`` has 512 channels."""

    network = "resnet18"
