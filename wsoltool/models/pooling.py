"""The core's poolings: a feature map to one value a channel."""

from __future__ import annotations

from torch import Tensor

from wsoltool.models.contracts import Pooling


class GlobalAveragePool(Pooling):
    """The mean over the grid (Lin et al., ICLR 2014, arXiv:1312.4400, section 3.2)."""

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C)``."""
        return features.mean(dim=(2, 3))


class GlobalMaxPool(Pooling):
    """The largest value of the grid (Oquab et al., CVPR 2015): one position answers for all."""

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C)``."""
        return features.amax(dim=(2, 3))
