"""Gather-Excite: Hu, Shen, Albanie, Sun and Vedaldi, NeurIPS 2018 (arXiv:1810.12348)."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError, check_choice
from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.attention import channel_mlp
from wsoltool.models.recalibrations.batch_norm import BatchNorm
from wsoltool.models.recalibrations.options import reduced_channels
from wsoltool.structures import Size


class GatherExcite(Recalibration):
    r"""Weigh each place by its own channel's surroundings, or by the whole map (section 2).

    .. math:: \hat{x} = \xi_G(x), \quad y = x \cdot \sigma(\mathrm{interp}(\hat{x}))

    The gathered map has a cell for each e x e cells of the input, rounded up, and is resized to the
    input by nearest neighbours.

    ============================================  ==============================================
    GE-:math:`\theta^-`, ``gather="average"``     average over the 2e-1 x 2e-1 cells round e u;
                                                  those beyond the map do not count
    GE-:math:`\theta`, ``gather="convolution"``   log2(e) depthwise 3x3 convolutions of stride 2;
                                                  extent 0: one as large as the map
    GE-:math:`\theta^+`, and ``mlp=True``         two 1x1 convolutions after the gathering
    ============================================  ==============================================

    ``gather="average", extent=0, mlp=True`` is Squeeze-and-Excitation.

    The paper leaves open, and the authors' networks answer: depthwise convolutions have no bias and
    are batch normalised; a ReLU stands between them, and before the MLP, not before the sigmoid;
    the MLP has biases.

    Args:
        channels: C of the insert point; injected.
        extent: e: 2, 4, 8, or 0 for the whole map.
        gather: ``average`` or ``convolution``.
        mlp: The 1x1 convolutions, C to C/r to C.
        reduction: r; C/r is rounded down.
        map_size: (h, w) in cells of the map, or one number for both; for ``convolution`` with
            ``extent=0`` alone, which has a weight for each cell and works at no other size.

    Raises:
        ConfigError: A value that cannot be used, or ``map_size`` missing or of no use.
    """

    def __init__(
        self,
        channels: int,
        extent: int = 0,
        gather: str = "average",
        mlp: bool = False,
        reduction: int = 16,
        map_size: int | Size | None = None,
    ) -> None:
        super().__init__()
        check_choice(f"GatherExcite: extent={extent!r}", extent, (0, 2, 4, 8))
        check_choice(f"GatherExcite: gather={gather!r}", gather, ("average", "convolution"))
        self.map_size = _sides(map_size, needed=gather == "convolution" and extent == 0)
        if gather == "average":
            self.gather = _average(extent)
        else:
            self.gather = _convolutions(channels, extent, self.map_size)
        self.excite = nn.Sequential()
        if mlp and gather == "convolution":
            self.excite.append(nn.ReLU())
        if mlp:
            hidden = reduced_channels("GatherExcite", channels, reduction)
            self.excite.extend(channel_mlp(channels, hidden))

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``.

        Raises:
            ShapeError: Another map than ``map_size``, or one value a channel to be normalised.
        """
        size = tuple(features.shape[2:])
        if self.map_size is not None and size != self.map_size:
            raise ShapeError(
                f"GatherExcite: a map of {size[0]} x {size[1]} cells",
                expected=f"map_size={self.map_size}, a weight for each cell",
                hint="extent=2, 4 or 8 and gather='average' take maps of any size",
            )
        gate = self.excite(self.gather(features)).sigmoid()
        return features * _nearest(gate, features.shape[2:])


def _nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """``(B, C, h', w')`` resized to ``size`` (h, w): cell i shows cell floor(i h' / h)."""
    if maps.shape[2:] == (1, 1):
        return maps  # broadcasts
    # In whole numbers: interpolate rounds, and shows cell 24 of 50 at cell 99 of 198, not cell 25.
    rows, columns = (
        torch.arange(to, device=maps.device) * before // to
        for before, to in zip(maps.shape[2:], size, strict=True)
    )
    return maps[:, :, rows[:, None], columns]


def _average(extent: int) -> nn.Module:
    if extent == 0:
        return nn.AdaptiveAvgPool2d(1)
    return nn.AvgPool2d(2 * extent - 1, extent, padding=extent - 1, count_include_pad=False)


def _convolutions(channels: int, extent: int, map_size: Size | None) -> nn.Sequential:
    if map_size is not None:
        whole = nn.Conv2d(channels, channels, map_size, groups=channels, bias=False)
        return nn.Sequential(whole, BatchNorm(channels))
    layers = nn.Sequential()
    for step in range(int(log2(extent))):
        if step:
            layers.append(nn.ReLU())
        layers.append(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
        )
        layers.append(BatchNorm(channels))
    return layers


def _sides(map_size: int | Size | None, needed: bool) -> Size | None:
    if (map_size is not None) != needed:
        raise ConfigError(
            f"GatherExcite: map_size={map_size!r}",
            expected="(h, w) of the map with gather='convolution' and extent=0, None with others",
        )
    if map_size is None:
        return None
    sides = (map_size, map_size) if isinstance(map_size, int) else tuple(map_size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ConfigError(f"GatherExcite: map_size={map_size!r}", expected="(h, w) in cells")
    return sides
