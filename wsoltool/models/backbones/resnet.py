"""ResNet without its classifier (He et al., CVPR 2016, arXiv:1512.03385), and its kin."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as Network

from wsoltool.models.backbones.published import PublishedBackbone, make_network
from wsoltool.models.pretrained import Pretrained
from wsoltool.models.recalibrations.squeeze_excitation import SqueezeExcitation

LAYERS = (3, 4, 6, 3)


class ResNet(PublishedBackbone):
    """A ResNet; subclasses say which, and what torchvision calls it.

    Layers and weights have torchvision's names. Steps: ``conv1``, ``bn1``, ``relu``, ``maxpool``,
    then every residual block: ``layer1.0``, ``layer1.1`` ... Shared names: ``stem`` (the ReLU at
    stride 2), ``pool1`` (the max pooling) and ``stage1..4``, which ``layer1..4`` mean too (the
    last block of each).

    The surgery for a finer last map is the one of Choe et al., CVPR 2020 (arXiv:2001.07437): at
    ``output_stride`` 16 the first block of ``layer4`` (its strided convolution and its shortcut)
    gets stride 1, at 8 that of ``layer3`` too. Nothing is dilated. ``mldfr``, for 16 alone, is
    the one of Wang et al., TIP 2021: that 3x3 convolution becomes a new 1x1 convolution.

    Args:
        output_stride: 32, 16 or 8; 224 pixels give a map of 7, 14 or 28 cells.
        surgery: ``stride`` or, the same, ``wsolevaluation``; ``mldfr`` with 50 layers.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`. torchvision's
            default (True) may be a newer recipe than the papers': ``'IMAGENET1K_V1'`` is theirs.

    Attributes:
        network: torchvision's name of the network that it is or derives from.
        has_weights: Whether torchvision publishes its weights.
        unused: Patterns of published weights that the network has no place for.
    """

    surgeries: ClassVar[Sequence[str]] = ("stride", "wsolevaluation", "mldfr")
    network: ClassVar[str] = "resnet50"
    has_weights: ClassVar[bool] = True
    unused: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        output_stride: int = 32,
        surgery: str = "stride",
        pretrained: Pretrained = False,
    ) -> None:
        published = self.network if self.has_weights else None
        super().__init__(
            self._make(), output_stride, surgery, pretrained, published, unused=self.unused
        )

    def _make(self) -> nn.Module:
        return make_network(self.network)

    def _operate(self, surgery: str) -> None:
        if surgery == "mldfr":
            self._only_at_16(surgery)
            block = self.get_submodule("layer4.0")
            assert isinstance(block, Bottleneck)
            width = block.conv2.out_channels
            transition = nn.Conv2d(width, width, 1, bias=False)
            nn.init.kaiming_normal_(transition.weight, mode="fan_out", nonlinearity="relu")
            # One level deeper than the convolution that it replaces: published weights of that
            # one are no use to it, and its own are told apart by their name.
            block.set_submodule("conv2", nn.Sequential(OrderedDict(transition=transition)))
        super()._operate(surgery)


class ResNet18(ResNet):
    """ResNet with 18 layers; ``last`` has 512 channels."""

    surgeries = ("stride", "wsolevaluation")
    network = "resnet18"


class ResNet50(ResNet):
    """ResNet with 50 layers; ``last`` has 2048 channels."""


class ResNet50X(ResNet):
    """ResNet50 with every BatchNorm removed (Wang et al., TIP 2021, section IV-D, Table IX).

    Nothing takes the place of the BatchNorms, no bias either: the convolutions are ResNet50's,
    whose published weights they can load. ``inserts=[dict(at="@Conv2d",
    module=dict(type="BatchNorm"))]`` makes it a ResNet50 again.
    """

    unused = ("bn1.*", "*.bn?.*", "*.downsample.1.*")

    def _make(self) -> nn.Module:
        return make_network(self.network, norm_layer=nn.Identity)


class SEBottleneck(Bottleneck):
    """A residual block whose channels are weighed before the shortcut is added.

    Hu et al., CVPR 2018 (arXiv:1709.01507), figure 3.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.se = SqueezeExcitation(self.conv3.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.se(self.bn3(self.conv3(out)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out + shortcut)


class SEResNet50(ResNet):
    """ResNet50 with squeeze and excitation in every block (Hu et al., CVPR 2018).

    torchvision publishes no weights; the names, ``layer1.0.se.fc1.weight`` and so on, are those
    of timm's ``seresnet50``.
    """

    has_weights = False

    def _make(self) -> nn.Module:
        return Network(SEBottleneck, list(LAYERS))
