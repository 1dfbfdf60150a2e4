"""VGG16 without its classifier (Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn
from torchvision.models import VGG16_BN_Weights, VGG16_Weights

from wsoltool.errors import check_choice
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.layers import extra_convolutions, numbered_convolution
from wsoltool.models.pretrained import Pretrained, apply_pretrained

CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(Backbone):
    """The convolutional part of VGG16, its weights named as torchvision names them.

    Steps: ``conv1_1``, ``relu1_1``, ``conv1_2``, ``relu1_2``, ``pool1`` ... ``relu5_3``,
    ``pool5``; with ``batch_norm``, ``bn1_1`` after ``conv1_1`` and so on; with ``extra_conv``,
    ``conv6``, (``bn6``,) ``relu6`` at the end. Shared names: ``stem`` (``relu1_1``), ``pool1..5``,
    ``stage1..3`` (``relu3_3``, ``relu4_3``, ``relu5_3``) and at output stride 32 ``stage4``
    (``pool5``).

    The surgery for a finer last map is the one of Choe et al., CVPR 2020 (arXiv:2001.07437): at
    ``output_stride`` 16 the last pooling is left out, at 8 the last two. Nothing is dilated, so
    that the pretrained layers behind a missing pooling see half the context.

    Args:
        output_stride: 32, 16 or 8; 224 pixels give a map of 7, 14 or 28 cells.
        surgery: ``stride``, ``wsolevaluation`` and ``mldfr`` are the same here.
        extra_conv: Channels of a new 3x3 convolution at the end (1024 in VGG-GAP), or of several;
            0 for none.
        batch_norm: BatchNorm after each convolution (torchvision's ``vgg16_bn``).
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
    """

    def __init__(
        self,
        output_stride: int = 16,
        surgery: str = "stride",
        extra_conv: int | Sequence[int] = 0,
        batch_norm: bool = False,
        pretrained: Pretrained = False,
    ) -> None:
        super().__init__()
        what = f"{type(self).__name__} has no surgery={surgery!r}"
        check_choice(what, surgery, ("stride", "wsolevaluation", "mldfr"))
        self._set_output_stride(output_stride, (8, 16, 32))
        layers = dict(_layers(output_stride, batch_norm))
        self._layer_names = tuple(layers)
        self.features = nn.Sequential(*layers.values())
        extra = dict(extra_convolutions(6, CHANNELS[-1][-1], extra_conv, batch_norm))
        self._extra_names = tuple(extra)
        for name, module in extra.items():
            self.add_module(name, module)
        stages = {"stage1": "relu3_3", "stage2": "relu4_3", "stage3": "relu5_3"}
        self.canonical = {"stem": "relu1_1", **stages}
        if output_stride == 32:
            self.canonical["stage4"] = "pool5"
        apply_pretrained(
            self,
            pretrained,
            published=VGG16_BN_Weights if batch_norm else VGG16_Weights,
            classifier=("classifier.*",),
            new=[name for name in self.state_dict() if not name.startswith("features.")],
        )

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        for name, module in zip(self._layer_names, self.features, strict=True):
            if not isinstance(module, nn.Identity):
                yield name, module
        for name in self._extra_names:
            yield name, getattr(self, name)


def _layers(output_stride: int, batch_norm: bool) -> Iterator[tuple[str, nn.Module]]:
    previous = 3
    for stage, widths in enumerate(CHANNELS, start=1):
        for index, width in enumerate(widths, start=1):
            yield from numbered_convolution(f"{stage}_{index}", previous, width, batch_norm)
            previous = width
        # A pooling left out keeps its place: the weights' names count the layers.
        kept = 2**stage <= output_stride
        yield f"pool{stage}", nn.MaxPool2d(2) if kept else nn.Identity()
