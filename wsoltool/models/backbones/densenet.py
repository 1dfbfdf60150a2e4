"""DenseNet without its classifier (Huang et al., CVPR 2017, arXiv:1608.06993)."""

from __future__ import annotations

from typing import ClassVar

from wsoltool.models.backbones.published import PublishedBackbone, make_network
from wsoltool.models.pretrained import Pretrained


class DenseNet161(PublishedBackbone):
    """DenseNet with 161 layers and growth rate 48; ``last`` has 2208 channels.

    Steps: ``conv0``, ``norm0``, ``relu0``, ``pool0``, ``denseblock1``, ``transition1.norm``,
    ``.relu``, ``.conv``, ``.pool``, ``denseblock2`` ... ``denseblock4``, ``norm5``, ``relu``.
    Shared names: ``stem`` (``relu0``), ``pool1..4`` (``pool0`` and the transitions' poolings),
    ``stage1..4`` (the dense blocks, and for the last one the final ReLU); ``transition1`` means
    the whole transition.

    Args:
        output_stride: 32, 16 or 8; the pooling of ``transition3``, at 8 that of ``transition2``
            too, is left out.
        surgery: ``stride``, or ``mldfr``, for 16 alone, which is the same (Wang et al., TIP 2021).
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
    """

    surgeries: ClassVar = ("stride", "mldfr")

    def __init__(
        self,
        output_stride: int = 32,
        surgery: str = "stride",
        pretrained: Pretrained = False,
    ) -> None:
        network = make_network("densenet161")
        super().__init__(network, output_stride, surgery, pretrained, "densenet161")

    def _operate(self, surgery: str) -> None:
        if surgery == "mldfr":
            self._only_at_16(surgery)
        super()._operate(surgery)

    def _name_steps(self) -> None:
        super()._name_steps()
        stages = {f"stage{i}": f"denseblock{i}" for i in (1, 2, 3)}
        self.canonical = {**self.canonical, **stages, "stage4": "relu"}
