"""Convolutional block attention: Woo, Park, Lee and Kweon, ECCV 2018 (arXiv:1807.06521)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.attention import SpatialAttention, channel_mlp, ordered_parts
from wsoltool.models.recalibrations.options import reduced_channels


class ChannelAttention(nn.Module):
    r"""Weigh each channel by the mean and the maximum of all of them (Eq. 2).

    .. math:: X \cdot \sigma(MLP(\mathrm{mean}_{ij} X) + MLP(\max_{ij} X))

    Args:
        channels: C.
        hidden: Channels between the two layers of the MLP, which both descriptors share.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = channel_mlp(channels, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``."""
        average = features.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        largest = features.amax(dim=(2, 3), keepdim=True)
        return features * (self.mlp(average) + self.mlp(largest)).sigmoid()


class CBAM(nn.Sequential, Recalibration):
    r"""Channel attention, then spatial attention (Eqs. 1-3).

    .. math:: F' = F \cdot M_c(F), \quad F'' = F' \cdot M_s(F'), \quad
              M_s(F') = \sigma(f^{7 \times 7}([\mathrm{mean}_c F'; \max_c F']))

    The paper leaves open: biases (the MLP has them, as released: only so ResNet50 comes to the
    28.09 million parameters of Table 4; the 7x7 convolution has none) and a batch normalisation
    before the spatial sigmoid, which the release has and no equation (``norm``).

    Args:
        channels: C of the insert point; injected.
        reduction: r; the MLP has C/r hidden channels, rounded down.
        kernel_size: Of the spatial attention in cells, odd.
        parts: ``channel``, ``spatial`` or both, in their order (Table 3 tries the other one).
        norm: As in the release, with its momentum 0.01.

    Raises:
        ConfigError: ``reduction`` leaves no channel, an even kernel, or no such part.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        kernel_size: int = 7,
        parts: str | Sequence[str] = ("channel", "spatial"),
        norm: bool = False,
    ) -> None:
        made: OrderedDict[str, nn.Module] = OrderedDict()
        for part in ordered_parts("CBAM", parts):
            if part == "channel":
                hidden = reduced_channels("CBAM", channels, reduction)
                made[part] = ChannelAttention(channels, hidden)
            else:
                made[part] = SpatialAttention("CBAM", kernel_size, norm, momentum=0.01)
        super().__init__(made)
