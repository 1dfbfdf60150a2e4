"""Recalibration of pooled features, section III-B of Wang et al., 2021 (mLDFR)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.attention import SpatialAttention, ordered_parts
from wsoltool.models.recalibrations.batch_norm import BatchNorm


class ChannelAttention(nn.Module):
    r"""Weigh each channel by what all of them hold on average (Eq. 5).

    .. math:: X \cdot \sigma(BN(W^{fc} F^c_{avg})), \quad W^{fc} \in \mathbb{R}^{K \times K}

    Args:
        channels: K.
        norm: Normalise before the sigmoid, as the release does and the equation does not.
        momentum: Weight of the newest batch in the running statistics.
    """

    def __init__(self, channels: int, norm: bool, momentum: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = BatchNorm(channels, momentum) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """``(B, K, h, w)`` to ``(B, K, h, w)``.

        Raises:
            ShapeError: One image in training with ``norm``.
        """
        average = features.mean(dim=(2, 3), keepdim=True)  # (B, K, 1, 1)
        return features * self.norm(self.conv(average)).sigmoid()


class SelfAttention(nn.Sequential, Recalibration):
    r"""The paper's self-attention: weigh the channels, then the places (Eqs. 5-7).

    .. math:: \tilde{X} = FR_s(Att_{spatial}, FR_c(Att_{channel}, X))

    Insert it after the 2nd, 3rd and 4th downsampling with ``kernel_size`` 7, 5 and 3.

    Args:
        channels: K of the insert point; injected.
        kernel_size: Of the spatial attention in cells, odd.
        norm: Batch normalisation before each sigmoid, as in the release; the equations have none.
        parts: ``channel``, ``spatial`` or both, in their order.
        momentum: Of ``norm``: weight of the newest batch in the running statistics. The release's
            0.01 needs hundreds of batches to leave their initial values; short runs want 0.1.
        start: Initial bias of each ``norm``. At 0 the attentions begin by halving all features,
            which suits networks that are trained with them from the beginning, as the paper's are
            on ILSVRC. Weights that were trained without them keep what they know at 4: the
            sigmoids begin around 0.98.

    Raises:
        ConfigError: An even kernel, no such part, or a ``start`` without ``norm``.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 7,
        norm: bool = True,
        parts: str | Sequence[str] = ("channel", "spatial"),
        momentum: float = 0.01,
        start: float = 0.0,
    ) -> None:
        if start and not norm:
            raise ConfigError(
                f"SelfAttention: start={start!r} without norm, whose bias it is",
                expected="norm=True, or start=0",
            )
        made: OrderedDict[str, nn.Module] = OrderedDict()
        for part in ordered_parts("SelfAttention", parts):
            if part == "channel":
                made[part] = ChannelAttention(channels, norm, momentum)
            else:
                made[part] = SpatialAttention("SelfAttention", kernel_size, norm, momentum)
        super().__init__(made)
        for module in self.modules():
            if isinstance(module, BatchNorm):
                nn.init.constant_(module.bias, start)
