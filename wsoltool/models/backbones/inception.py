"""GoogLeNet and InceptionV3 without their classifiers (Szegedy et al., CVPR 2015 and 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import InceptionB, InceptionD

from wsoltool.models.backbones.published import PublishedBackbone, make_network, remove_stride
from wsoltool.models.pretrained import Pretrained


class GoogLeNet(PublishedBackbone):
    """GoogLeNet with BatchNorm, as torchvision has it; the auxiliary classifiers are left out.

    Szegedy et al., CVPR 2015 (arXiv:1409.4842). Steps: ``conv1``, ``maxpool1``, ``conv2``,
    ``conv3``, ``maxpool2``, ``inception3a`` ... ``inception5b``. Shared names: ``stem``
    (``conv1``), ``pool1..4`` and ``stage1..4`` (``conv3``, ``inception3b``, ``4e``, ``5b``).
    Pixels are scaled to [-1, 1].

    Args:
        output_stride: 32, 16 or 8; 224 pixels give a map of 7, 14 or 28 cells.
        surgery: ``stride`` leaves out the last pooling, at 8 the last two. For 16 alone: ``mldfr``
            puts a 1x1 convolution with BatchNorm and ReLU, step ``transition``, in the last
            pooling's place (Wang et al., TIP 2021, section IV-B). ``cam`` ends the network at
            ``inception4e`` (Zhou et al., CVPR 2016, section 3.1, with ``extra_conv=1024``).
        batch_norm: False removes every BatchNorm; recalibrations can take their place.
        extra_conv: Channels of new 3x3 convolutions at the end: ``conv6``, ``relu6``, ``conv7`` ...
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
    """

    surgeries: ClassVar = ("stride", "cam", "mldfr")

    def __init__(
        self,
        output_stride: int = 32,
        surgery: str = "stride",
        batch_norm: bool = True,
        extra_conv: int | Sequence[int] = 0,
        pretrained: Pretrained = False,
    ) -> None:
        self.batch_norm = batch_norm
        network = make_network("googlenet")
        super().__init__(
            network, output_stride, surgery, pretrained, "googlenet", extra_conv=extra_conv
        )

    def _operate(self, surgery: str) -> None:
        if surgery == "mldfr":
            self._put_transition(surgery, instead_of="maxpool4")
        elif surgery == "cam":
            self._only_at_16(surgery)
            self._leave_out("maxpool4", "inception5a", "inception5b")
        else:
            super()._operate(surgery)
        if not self.batch_norm:
            _remove_norms(self)


class InceptionV3(PublishedBackbone):
    """InceptionV3 without its auxiliary classifier (Szegedy et al., CVPR 2016, arXiv:1512.00567).

    Steps: ``Conv2d_1a_3x3``, ``Conv2d_2a_3x3``, ``Conv2d_2b_3x3``, ``maxpool1``,
    ``Conv2d_3b_1x1``, ``Conv2d_4a_3x3``, ``maxpool2``, ``Mixed_5b`` ... ``Mixed_7c``. Shared
    names: ``stem``, ``pool1``, ``pool2`` and ``stage1..4`` (``Conv2d_4a_3x3``, ``Mixed_5d``,
    ``6e``, ``7c``). Pixels are scaled to [-1, 1]. Its published input is 299 pixels; 75 is the
    least. Unpadded layers cut the borders off: 299 pixels give 8 cells, or 17 at stride 16.

    Args:
        output_stride: 32, 16 or 8.
        surgery: ``stride`` gives ``Mixed_7a``, at 8 ``Mixed_6a`` too, stride 1 and padding.
            ``wsolevaluation`` is the standard benchmark's network (Choe et al., CVPR 2020):
            padded stem and poolings, ``Mixed_6a`` at stride 1 behind a pooling of its own
            (``maxpool3``, left out at 8), nothing behind ``Mixed_6e``; its two convolutions are
            ``extra_conv=(1024, 1024)``; 224 pixels give 14 or 28 cells. ``mldfr``, for 16 alone,
            puts a 1x1 convolution with BatchNorm and ReLU, step ``transition``, in
            ``Mixed_7a``'s place (Wang et al., TIP 2021, section IV-B).
        extra_conv: Channels of new 3x3 convolutions at the end: ``conv8``, ``relu8``, ``conv9`` ...
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
    """

    surgeries: ClassVar = ("stride", "wsolevaluation", "mldfr")
    first_extra = 8

    def __init__(
        self,
        output_stride: int = 32,
        surgery: str = "stride",
        extra_conv: int | Sequence[int] = 0,
        pretrained: Pretrained = False,
    ) -> None:
        network = make_network("inception_v3")
        super().__init__(
            network, output_stride, surgery, pretrained, "inception_v3", extra_conv=extra_conv
        )

    def _operate(self, surgery: str) -> None:
        if surgery == "mldfr":
            self._put_transition(surgery, instead_of="Mixed_7a")
        elif surgery == "wsolevaluation":
            self._follow_wsolevaluation()
        else:
            if self.output_stride < 32:
                self._refine("Mixed_7a", FineInceptionD(768))
            if self.output_stride < 16:
                self._refine("Mixed_6a", FineInceptionB(288))

    def _follow_wsolevaluation(self) -> None:
        first = self.get_submodule("Conv2d_1a_3x3.conv")
        assert isinstance(first, nn.Conv2d)
        first.padding = (1, 1)
        for name in ("maxpool1", "maxpool2"):
            self.set_submodule(name, nn.MaxPool2d(3, 2, padding=1, ceil_mode=True))
        if self.output_stride == 16:
            self._put("maxpool3", nn.MaxPool2d(3, 2, ceil_mode=True), after="Mixed_5d")
        self._refine("Mixed_6a", FineInceptionB(288))
        self._leave_out("Mixed_7a", "Mixed_7b", "Mixed_7c")

    def _refine(self, name: str, fine: nn.Module) -> None:
        """Put ``fine`` in a layer's place, with its weights and at stride 1."""
        fine.load_state_dict(self.get_submodule(name).state_dict())
        remove_stride(fine)
        self.set_submodule(name, fine)


class FineInceptionB(InceptionB):
    """``Mixed_6a`` at stride 1, padded so that the map keeps its size."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        tower = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch3x3(x), tower, F.max_pool2d(x, 3, stride=1, padding=1)]


class FineInceptionD(InceptionD):
    """``Mixed_7a`` at stride 1, padded so that the map keeps its size."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_2(self.branch7x7x3_1(x))
        large = self.branch7x7x3_4(self.branch7x7x3_3(large))
        return [small, large, F.max_pool2d(x, 3, stride=1, padding=1)]


def _remove_norms(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, nn.Identity())
