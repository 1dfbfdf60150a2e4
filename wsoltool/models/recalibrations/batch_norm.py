"""Batch normalisation: Ioffe and Szegedy, ICML 2015 (arXiv:1502.03167)."""

from __future__ import annotations

from torch import Tensor, nn

from wsoltool.errors import ShapeError
from wsoltool.models.contracts import Recalibration


class BatchNorm(nn.BatchNorm2d, Recalibration):
    """Batch normalisation where the backbone has none; other recalibrations are made of it too.

    In training a channel needs two values or more, or its variance says nothing: a pooled 1x1 map
    of a batch of one image cannot be normalised.

    Args:
        channels: Of the insert point; injected.
        momentum: Weight of the newest batch in the running statistics.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``.

        Raises:
            ShapeError: One value a channel, in training.
        """
        if self.training and features.numel() == features.shape[1]:
            raise ShapeError(
                f"batch normalisation in training of features {tuple(features.shape)}",
                expected="two values a channel or more: the variance of one is 0",
                hint="train on two images or more at a time (batch_size; drop_last=True where"
                " one image is left over)",
            )
        return super().forward(features)
