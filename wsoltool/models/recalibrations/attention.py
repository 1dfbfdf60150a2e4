"""What several attention modules are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.models.recalibrations.options import check_kernel_size

#: The parts of an attention over channels and places.
PARTS = ("channel", "spatial")


class SpatialAttention(nn.Module):
    r"""Weigh the places of a map by what their channels hold.

    Eq. (3) of Woo et al., ECCV 2018 (arXiv:1807.06521), with ``norm`` Eq. (6) of Wang et al., 2021:

    .. math:: X \cdot \sigma(BN(f^{k \times k}([\max_c X; \mathrm{mean}_c X])))

    The convolution has no bias. The maximum comes first, as in the releases of both papers; their
    equations name the mean first, which is the same network with its two input channels swapped.

    Args:
        owner: Whom messages name.
        kernel_size: k in cells, odd.
        norm: Normalise the one channel before the sigmoid.
        momentum: Weight of the newest batch in the running statistics.

    Raises:
        ConfigError: An even kernel.
    """

    def __init__(self, owner: str, kernel_size: int, norm: bool, momentum: float) -> None:
        super().__init__()
        check_kernel_size(owner, kernel_size)
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = BatchNorm(1, momentum) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``."""
        described = torch.stack((features.amax(dim=1), features.mean(dim=1)), dim=1)
        return features * self.norm(self.conv(described)).sigmoid()  # (B, 1, h, w)


def channel_mlp(channels: int, hidden: int) -> nn.Sequential:
    """Two 1x1 convolutions with bias and a ReLU between: C to ``hidden`` to C."""
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))


def ordered_parts(owner: str, parts: str | Sequence[str]) -> tuple[str, ...]:
    """The parts to apply, in their order; one name stands for itself.

    Raises:
        ConfigError: No part, one twice, or one that does not exist.
    """
    names = (parts,) if isinstance(parts, str) else tuple(parts)
    if not names or len(set(names)) < len(names) or not set(names) <= set(PARTS):
        raise ConfigError(
            f"{owner}: parts={parts!r}", expected="'channel', 'spatial' or both, in their order"
        )
    return names
