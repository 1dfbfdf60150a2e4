r"""Expected pixels and the areas around them, section 4.2 of Zhang's thesis, as functions.

The spatial softmax and its soft-argmax are those of Levine et al., JMLR 2016 (arXiv:1504.00702).
B images, C channels, n regions, h x w a feature grid. Results are float32 or wider.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wsoltool.errors import ShapeError

CHANNEL_SCORES = ("weighted", "peak", "gap", "logsumexp")

#: An expected pixel this near to the middle of two positions is in the middle: without it, the
#: rounding of a sum would decide, of a flat map with an even side for example.
_TIE = 1e-3


def spatial_softmax(maps: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Share each map out over its positions (Eq. 13).

    .. math:: s_{ij} = \frac{e^{a_{ij} / T}}{\sum_{i'j'} e^{a_{i'j'} / T}}

    The thesis prints the sum without its exponential; the softmax of its source is meant.

    Args:
        maps: a, ``(..., h, w)`` float.
        temperature: T, above 0; 1 as printed.

    Returns:
        ``(..., h, w)`` in [0, 1]; the sum over a map is 1.

    Example:
        >>> spatial_softmax(torch.tensor([[0.0, 0.0], [0.0, 1.0986]]))  # ln 3
        tensor([[0.1667, 0.1667],
                [0.1667, 0.5000]])
    """
    exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
    # Less the largest before the division: a small T would make infinities of large activations.
    below = exact - exact.amax(dim=(-2, -1), keepdim=True)
    return (below / temperature).flatten(-2).softmax(dim=-1).view_as(exact)


def soft_argmax(shares: Tensor) -> Tensor:
    r"""The expected pixel :math:`\sum_{ij} s_{ij} (i, j)` of each map.

    Args:
        shares: s, ``(..., h, w)``, as :func:`spatial_softmax` answers.

    Returns:
        ``(..., 2)``: row in [0, h - 1] and column in [0, w - 1].

    Example:
        >>> soft_argmax(torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5]]))
        tensor([1.0000, 1.5000])
    """
    # Products and sums, no matrix product: autocast would round that one to half precision.
    coordinates = [
        (shares.sum(dim=dim) * torch.arange(side, dtype=shares.dtype, device=shares.device)).sum(-1)
        for dim, side in ((-1, shares.shape[-2]), (-2, shares.shape[-1]))
    ]
    return torch.stack(coordinates, dim=-1)


def nearest_position(pixels: Tensor) -> Tensor:
    """Coordinates ``(..., 2)`` to the nearest int64 ones; from the middle, to the lower.

    Example:
        >>> nearest_position(torch.tensor([6.5, 2.51]))
        tensor([6, 3])
    """
    return torch.ceil(pixels - 0.5 - _TIE).long()


def area_masks(positions: Tensor, height: int, width: int, block_size: int) -> Tensor:
    """Squares around positions (Figure 20), cut at the border of the map.

    Args:
        positions: ``(..., 2)`` int64, row and column.
        height: h.
        width: w.
        block_size: Side of a square in positions, odd: it has a centre.

    Returns:
        ``(..., h, w)`` bool, true within.

    Example:
        >>> area_masks(torch.tensor([0, 2]), 3, 4, block_size=3).int()
        tensor([[0, 1, 1, 1],
                [0, 1, 1, 1],
                [0, 0, 0, 0]], dtype=torch.int32)
    """
    reach = block_size // 2
    rows = torch.arange(height, device=positions.device)
    columns = torch.arange(width, device=positions.device)
    near_rows = (rows - positions[..., :1]).abs() <= reach  # (..., h)
    near_columns = (columns - positions[..., 1:]).abs() <= reach  # (..., w)
    return near_rows[..., :, None] & near_columns[..., None, :]


def channel_scores(features: Tensor, how: str = "weighted", temperature: float = 1.0) -> Tensor:
    r"""How much each channel says about the class (Eq. 14).

    As printed, a channel's weight is the mean of its own spatial softmax, which is 1 / hw for every
    channel: there is no top one. Of the channel's activations a and its softmax s, instead:

    - ``weighted``: :math:`\sum_{ij} s_{ij} a_{ij}`, the mean activation, weighted by the softmax;
    - ``peak``: :math:`\max_{ij} s_{ij}`, how much of the softmax one position takes;
    - ``gap``: the mean of a, global average pooling before the softmax;
    - ``logsumexp``: :math:`\ln \sum_{ij} e^{a_{ij} / T}`, the printed mean with the printed
      denominator of Eq. 13, which has no channel: all channels share it, and it ranks none.

    Args:
        features: a, ``(B, C, h, w)`` float.
        how: One of :data:`CHANNEL_SCORES`.
        temperature: T of the softmax; ``gap`` has none.

    Returns:
        ``(B, C)``; higher is more.
    """
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    if how == "gap":
        return exact.mean(dim=(2, 3))
    if how == "logsumexp":
        return torch.logsumexp(exact / temperature, dim=(2, 3))
    shares = spatial_softmax(exact, temperature)
    return shares.amax(dim=(2, 3)) if how == "peak" else (shares * exact).sum(dim=(2, 3))


def top_channels(features: Tensor, scores: Tensor, count: int) -> Tensor:
    """The maps of the channels with the highest scores; of equal ones, the first.

    Args:
        features: ``(B, C, h, w)``.
        scores: ``(B, C)``.
        count: n, at most C.

    Returns:
        ``(B, n, h, w)``, the highest first.

    Raises:
        ShapeError: There are fewer channels.
    """
    if count > features.shape[1]:
        what = f"the top {count} of {features.shape[1]} channels"
        raise ShapeError(what, expected=f"features {tuple(features.shape)} with more channels")
    top = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    return features.gather(1, top[:, :, None, None].expand(-1, -1, *features.shape[2:]))


def spatial_regions(
    attention: Tensor, count: int, block_size: int, temperature: float = 1.0
) -> Tensor:
    """The areas around the first ``count`` expected pixels of the self-attention, together.

    One map has one expected pixel. The next one is that of the softmax over the positions that the
    areas before have left, as if there were no others (Table 8, "+ Top-2 spatial region").

    Args:
        attention: ``(B, h, w)``.
        count: n; 0 for none.
        block_size: See :func:`area_masks`.
        temperature: See :func:`spatial_softmax`.

    Returns:
        ``(B, h, w)`` bool.
    """
    height, width = attention.shape[-2:]
    regions = torch.zeros_like(attention, dtype=torch.bool)
    # Lowest, not minus infinity: a map that is covered as a whole still has a softmax.
    lowest = torch.finfo(attention.dtype).min
    for _ in range(count):
        shares = spatial_softmax(attention.masked_fill(regions, lowest), temperature)
        centres = nearest_position(soft_argmax(shares))
        regions = regions | area_masks(centres, height, width, block_size)
    return regions


def channel_regions(
    features: Tensor,
    count: int,
    block_size: int,
    how: str = "weighted",
    temperature: float = 1.0,
) -> Tensor:
    """The areas around the expected pixels of the ``count`` top channels, together.

    Args:
        features: ``(B, C, h, w)``.
        count: n; 0 for none.
        block_size: See :func:`area_masks`.
        how: See :func:`channel_scores`.
        temperature: See :func:`spatial_softmax`.

    Returns:
        ``(B, h, w)`` bool.

    Raises:
        ShapeError: There are fewer channels.
    """
    height, width = features.shape[-2:]
    if count == 0:
        return features.new_zeros((len(features), height, width), dtype=torch.bool)
    top = top_channels(features, channel_scores(features, how, temperature), count)
    centres = nearest_position(soft_argmax(spatial_softmax(top, temperature)))  # (B, n, 2)
    return area_masks(centres, height, width, block_size).any(dim=1)
