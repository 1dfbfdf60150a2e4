"""A small network for first steps and tests, trained from nothing on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2

from torch import nn

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.pretrained import Pretrained, apply_pretrained


class SmallNet(Backbone):
    """Stages of 3x3 convolution, BatchNorm and ReLU; the first ones halve the map.

    Steps: ``conv1``, ``bn1``, ``relu1``, ``conv2`` ...; ``stage1``, ``stage2`` ... are the ReLUs.
    Without ``norm`` nothing takes the place of the BatchNorms, no bias either, and
    ``inserts=[dict(at="@Conv2d", module=dict(type="BatchNorm"))]`` makes it the same network again.

    Args:
        channels: Of each stage.
        output_stride: A power of two; its stages with stride 2 come first. 96 pixels at 4 give a
            map of 24 cells.
        norm: A BatchNorm behind each convolution.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`; torchvision has none.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32, 48, 48),
        output_stride: int = 4,
        norm: bool = True,
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        counts = channels if isinstance(channels, list | tuple) else ()
        if not counts or any(not isinstance(count, int) or count < 1 for count in counts):
            raise ConfigError(f"channels={channels!r}", expected="a positive count for each stage")
        self._set_output_stride(output_stride, (2**k for k in range(len(channels) + 1)))
        self.canonical = {f"stage{i}": f"relu{i}" for i in range(1, len(channels) + 1)}
        halvings = int(log2(output_stride))
        self.layers = nn.Sequential()
        for i, (before, width) in enumerate(zip((3, *channels), channels, strict=False), start=1):
            stride = 2 if i <= halvings else 1
            conv = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            self.layers.add_module(f"conv{i}", conv)
            if norm:
                self.layers.add_module(f"bn{i}", nn.BatchNorm2d(width))
            self.layers.add_module(f"relu{i}", nn.ReLU())
        apply_pretrained(self, pretrained)

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        return self.layers.named_children()
