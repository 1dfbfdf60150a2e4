"""Weighted global average pooling (WGAP), section 5.4.1."""

from __future__ import annotations

import torch
from torch import Tensor

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.contracts import Pooling


def weighted_average(features: Tensor) -> Tensor:
    r"""Average each channel, every position weighted by the softmax of its own value.

    Eqs. (18) and (19) without the latter's division by h w:

    .. math::
        F_c = \sum_{ij} P_{cij} S_{cij}, \qquad
        S_{cij} = \frac{e^{P_{cij}}}{\sum_{i'j'} e^{P_{ci'j'}}}

    The softmax and the sum are taken in float32 at least, and no value is too large for them.

    Args:
        features: ``(B, C, h, w)`` float, the P.

    Returns:
        ``(B, C)`` in the dtype of ``features``: the mean of a constant channel, near the mean of
        one whose values are close together, near the maximum of one with a high peak.

    Raises:
        ShapeError: ``features`` has not four dimensions, or no position.

    Example:
        >>> weighted_average(torch.tensor([0.0, 1.0986123]).view(1, 1, 1, 2))  # weights 1/4, 3/4
        tensor([[0.8240]])
    """
    if features.ndim != 4 or 0 in features.shape[2:]:
        raise ShapeError(
            f"features of shape {tuple(features.shape)}",
            expected="(B, C, h, w) with h and w of 1 or more",
        )
    values = features.flatten(2)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    return (values * values.softmax(dim=2)).sum(dim=2).to(features.dtype)


class WeightedGlobalAveragePool(Pooling):
    """The mean over the grid, each position weighted by the softmax of its channel.

    WGAP of the thesis, in place of a head's global average pooling. See :func:`weighted_average`.

    Args:
        literal: Divide by the number of positions, as Eq. (19) is printed. The weights sum to 1
            already, so that this shrinks what is pooled 196 times on a grid of 14 x 14.

    Raises:
        ConfigError: ``literal`` is neither True nor False.
    """

    def __init__(self, literal: bool = False) -> None:
        super().__init__()
        if not isinstance(literal, bool):
            raise ConfigError(
                f"WeightedGlobalAveragePool: literal={literal!r}", expected="True or False"
            )
        self.literal = literal

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C)``."""
        pooled = weighted_average(features)
        return pooled / features.shape[2:].numel() if self.literal else pooled
