"""Bottleneck attention: Park, Woo, Lee and Kweon, BMVC 2018 (arXiv:1807.06514)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, check_choice
from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.models.recalibrations.options import reduced_channels

_COMBINED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": torch.add,
    "product": torch.mul,
    "max": torch.maximum,
}


class BAM(Recalibration):
    r"""Strengthen features by a gate from a channel branch and a spatial one (Eqs. 1-4).

    .. math:: F' = F + F \cdot \sigma(M_c(F) + M_s(F)), \quad
              M_c(F) = BN(W_1(W_0\,\mathrm{mean}_{ij} F + b_0) + b_1), \quad
              M_s(F) = BN(f_3^{1 \times 1}(f_2^{3 \times 3}(f_1^{3 \times 3}(f_0^{1 \times 1}(F)))))

    Both branches pass through C/r channels; the two 3x3 convolutions are dilated; the spatial
    branch ends in one channel. All layers have biases.

    The paper leaves open: the nonlinearities (a ReLU after every layer but the last of a branch,
    as released). Its release differs from its equations: ``norm="hidden", combine="product"``.

    Args:
        channels: C of the insert point; injected.
        reduction: r; C/r is rounded down.
        dilation: d of the 3x3 convolutions.
        norm: Batch normalisation where the equations have it, at the ``output`` of each branch,
            or where the release has it, after each ``hidden`` layer and not at the output.
        combine: ``sum``, ``product`` or ``max`` of the branches (the paper tries all three).

    Raises:
        ConfigError: ``reduction`` leaves no channel, or another value that cannot be used.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        dilation: int = 4,
        norm: str = "output",
        combine: str = "sum",
    ) -> None:
        super().__init__()
        hidden = reduced_channels("BAM", channels, reduction)
        check_choice(f"BAM: norm={norm!r}", norm, ("output", "hidden"))
        check_choice(f"BAM: combine={combine!r}", combine, _COMBINED)
        if not isinstance(dilation, int) or dilation < 1:
            raise ConfigError(f"BAM: dilation={dilation!r}", expected="1 cell or more")
        self.combine = combine
        wide = partial(nn.Conv2d, kernel_size=3, padding=dilation, dilation=dilation)
        channel = [nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)]
        spatial = [
            nn.Conv2d(channels, hidden, 1),
            wide(hidden, hidden),
            wide(hidden, hidden),
            nn.Conv2d(hidden, 1, 1),
        ]
        self.channel = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_branch(channel, norm))
        self.spatial = _branch(spatial, norm)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``.

        Raises:
            ShapeError: One image in training: its pooled channels cannot be normalised.
        """
        combine = _COMBINED[self.combine]
        gate = combine(self.channel(features), self.spatial(features)).sigmoid()  # (B, C, h, w)
        return features * (1 + gate)


def _branch(convolutions: list[nn.Conv2d], norm: str) -> nn.Sequential:
    """The convolutions with ReLU between, normalised at the ``output`` or the ``hidden`` layers."""
    branch = nn.Sequential()
    for conv in convolutions:
        branch.append(conv)
        last = conv is convolutions[-1]
        if last == (norm == "output"):
            branch.append(BatchNorm(conv.out_channels))
        if not last:
            branch.append(nn.ReLU())
    return branch
