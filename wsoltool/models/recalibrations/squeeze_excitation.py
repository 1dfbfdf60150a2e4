"""Squeeze-and-Excitation: Hu, Shen and Sun, CVPR 2018 (arXiv:1709.01507)."""

from __future__ import annotations

from torchvision import ops

from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.options import reduced_channels


class SqueezeExcitation(ops.SqueezeExcitation, Recalibration):
    r"""Weigh each channel by what all of them hold on average (Eqs. 2-4).

    .. math:: z_c = \frac{1}{hw} \sum_{ij} x_{c,ij}, \quad
              s = \sigma(W_2\,\mathrm{ReLU}(W_1 z)), \quad \tilde{x}_c = s_c x_c

    With C/r hidden channels, r = 16 as in the paper. Its equations have no biases, its networks
    and torchvision's module, which this is, do: ResNet50 with one in each block then has the 28.09
    million parameters that are published for it (Woo et al., ECCV 2018, Table 4).

    Where ``reduction`` does not divide the channels, C/r is rounded down; the paper leaves it open.
    A block of a residual network takes it before the addition: insert it at the last normalisation
    of the residual branch (``layer*.*.bn3`` of ResNet50), not at the block.

    Args:
        channels: C of the insert point; injected.
        reduction: r, at most C.

    Raises:
        ConfigError: ``reduction`` leaves no channel.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__(channels, reduced_channels("SqueezeExcitation", channels, reduction))
