"""MobileNets without their classifiers (Howard et al., 2017; Sandler et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.published import PublishedBackbone, make_network
from wsoltool.models.pretrained import Pretrained, apply_pretrained

CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
STEM_CHANNELS = 32
BN_EPS = 1e-3


class MobileNetV1(Backbone):
    """MobileNetV1 as Keras publishes its weights: padding, BatchNorm and preprocessing.

    Steps: ``stem`` and ``blocks.0`` ... ``blocks.12``; inside a block ``dw``, ``dw_bn``,
    ``dw_relu``, ``pw``, ``pw_bn``, ``pw_relu``. Shared names: ``stem`` and ``stage1..4``, the
    last blocks at strides 4, 8, 16 and 32. Strided 3x3 convolutions are padded at the right and
    the bottom alone, the others all round. Pixels are scaled to [-1, 1] (``x / 127.5 - 1``).

    At ``output_stride`` 16, ``blocks.11`` gets stride 1, at 8 ``blocks.5`` too. With ``dilate``,
    the depthwise convolutions behind a removed stride are dilated by it, so that the pretrained
    layers keep the context they were trained with: every second cell of the finer map is
    exactly the coarse one.

    Args:
        width: Multiplier of all channels, 0.25 to 1. Keras' ``int(channels * width)`` at the
            published widths 0.25, 0.5, 0.75 and 1; in between, the nearest multiple of 8.
        output_stride: 32, 16 or 8; 224 pixels give a map of 7, 14 or 28 cells.
        dilate: Dilate behind removed strides.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`; torchvision has none.
    """

    canonical = {
        "stage1": "blocks.2",
        "stage2": "blocks.4",
        "stage3": "blocks.10",
        "stage4": "blocks.12",
    }
    input_mean = (127.5, 127.5, 127.5)
    input_std = (127.5, 127.5, 127.5)

    def __init__(
        self,
        width: float = 1.0,
        output_stride: int = 32,
        dilate: bool = False,
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        if isinstance(width, str) or not 0.25 <= width <= 1:
            raise ConfigError(f"MobileNetV1 has no width={width!r}", expected="0.25 to 1.0")
        self._set_output_stride(output_stride, (8, 16, 32))
        previous = _scaled(STEM_CHANNELS, width)
        self.stem = _Stem(previous)
        blocks = []
        for channels, (stride, dilation) in zip(
            CHANNELS, _strides(output_stride, dilate), strict=True
        ):
            blocks.append(_Block(previous, _scaled(channels, width), stride, dilation))
            previous = _scaled(channels, width)
        self.blocks = nn.Sequential(*blocks)
        apply_pretrained(self, pretrained, classifier=("fc.*",), shape_hint=_width_hint)

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        yield "stem", self.stem
        for index, block in enumerate(self.blocks):
            yield f"blocks.{index}", block


class MobileNetV2(PublishedBackbone):
    """MobileNetV2 (Sandler et al., CVPR 2018, arXiv:1801.04381); ``last`` has 1280 channels.

    Steps: ``features.0.0``, ``features.0.1``, ``features.0.2`` (convolution, BatchNorm, ReLU6),
    the blocks ``features.1`` ... ``features.17``, and ``features.18.0..2``; ``features.0`` and
    ``features.18`` mean their last parts. Shared names: ``stem`` (``features.0``) and
    ``stage1..4`` (``features.3``, ``6``, ``13``, ``18``).

    Args:
        width: Multiplier of the channels.
        output_stride: 32, 16 or 8.
        surgery: ``stride`` gives ``features.14``, at 8 ``features.7`` too, stride 1. ``mldfr``,
            for 16 alone, puts a 1x1 convolution with BatchNorm and ReLU, step ``transition``, in
            the place of ``features.14``, by the rule of Wang et al., TIP 2021, section IV-B.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
    """

    surgeries: ClassVar = ("stride", "mldfr")

    def __init__(
        self,
        width: float = 1.0,
        output_stride: int = 32,
        surgery: str = "stride",
        pretrained: Pretrained = False,
    ) -> None:
        if isinstance(width, bool) or not isinstance(width, int | float) or not 0.1 <= width <= 4:
            raise ConfigError(f"MobileNetV2 has no width={width!r}", expected="0.1 to 4.0")
        network = make_network("mobilenet_v2", width_mult=width)
        super().__init__(
            network, output_stride, surgery, pretrained, "mobilenet_v2", shape_hint=_v2_width_hint
        )

    def _operate(self, surgery: str) -> None:
        if surgery == "mldfr":
            self._put_transition(surgery, instead_of="features.14")
        else:
            super()._operate(surgery)


class _KerasConv2d(nn.Conv2d):
    """A 3x3 convolution, padded at the right and the bottom alone where it strides."""

    def __init__(
        self, channels: int, width: int, stride: int, dilation: int = 1, groups: int = 1
    ) -> None:
        padding = dilation if stride == 1 else 0
        super().__init__(channels, width, 3, stride, padding, dilation, groups, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        if self.stride != (1, 1):
            features = F.pad(features, (0, 1, 0, 1))
        return super().forward(features)


class _Stem(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _KerasConv2d(3, width, stride=2)
        self.bn = nn.BatchNorm2d(width, eps=BN_EPS)
        self.relu = nn.ReLU6()


class _Block(nn.Sequential):
    """Depthwise, then pointwise convolution."""

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.dw = _KerasConv2d(channels, channels, stride, dilation, groups=channels)
        self.dw_bn = nn.BatchNorm2d(channels, eps=BN_EPS)
        self.dw_relu = nn.ReLU6()
        self.pw = nn.Conv2d(channels, width, 1, bias=False)
        self.pw_bn = nn.BatchNorm2d(width, eps=BN_EPS)
        self.pw_relu = nn.ReLU6()


def _strides(output_stride: int, dilate: bool) -> Iterator[tuple[int, int]]:
    """(stride, dilation) of each block's depthwise convolution."""
    reached, removed = 2, 1
    for stride in STRIDES:
        dilation = removed if dilate else 1
        if reached * stride > output_stride:
            removed *= stride
            yield 1, dilation
        else:
            reached *= stride
            yield stride, dilation


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width + 4) // 8 * 8)


def _width_hint(state: Mapping[str, Tensor], name: str = "stem.conv.weight") -> str | None:
    stem = state.get(name)
    return None if stem is None else f"the file looks like width={len(stem) / STEM_CHANNELS:g}"


def _v2_width_hint(state: Mapping[str, Tensor]) -> str | None:
    return _width_hint(state, "features.0.0.weight")
