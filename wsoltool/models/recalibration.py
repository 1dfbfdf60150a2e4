"""The core's recalibrations; attention modules come with their papers' plugins."""

from __future__ import annotations

from torch import nn

from wsoltool.models.contracts import Recalibration


class BatchNorm(nn.BatchNorm2d, Recalibration):
    """Batch normalisation (Ioffe and Szegedy, ICML 2015) where the backbone has none.

    Args:
        channels: Of the insert point; injected.
        momentum: Weight of the newest batch in the running statistics.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
