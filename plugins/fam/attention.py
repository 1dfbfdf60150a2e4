"""The equations of FAM (Meng et al., ICCV 2021, sections 3.1 and 3.2) as functions of tensors.

B images, C channels, N foreground templates, K parts, h x w the feature grid.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIMILARITIES = ("softmax", "ratio")

#: The ratio's divisor stays this far from zero.
_SMALLEST_TOTAL = 1e-6


def template_similarity(queries: Tensor, keys: Tensor, how: str = "softmax") -> Tensor:
    r"""How much each position looks like each foreground template (Eq. 1).

    .. math::
        \beta^n_{ij} = \frac{q_{ij}^T k_n}{\sqrt{d}}, \qquad
        s^n_{ij} = \frac{\beta^n_{ij}}{\sum_m \beta^m_{ij}}

    with d the queries' channels, C / 16 in the paper. As printed, the sum may be near zero or
    negative; ``softmax`` puts :math:`e^\beta` in the place of :math:`\beta`.

    Args:
        queries: ``(B, d, h, w)``.
        keys: ``(N, d)``.
        how: ``softmax``, or ``ratio`` as printed, whose sum is kept 1e-6 away from zero.

    Returns:
        ``(B, N, h, w)``, summing to 1 over N; positive with ``softmax`` alone.

    Example:
        >>> q = torch.tensor([3.0, 1.0]).view(1, 1, 1, 2)
        >>> template_similarity(q, torch.tensor([[1.0], [3.0]]), "ratio")[0, :, 0]
        tensor([[0.2500, 0.2500],
                [0.7500, 0.7500]])
    """
    beta = F.conv2d(queries, keys[:, :, None, None]) / keys.shape[1] ** 0.5
    if how == "softmax":
        return beta.softmax(dim=1)
    total = beta.sum(dim=1, keepdim=True)
    smallest = torch.full_like(total, _SMALLEST_TOTAL).copysign(total)
    return beta / torch.where(total.abs() < _SMALLEST_TOTAL, smallest, total)


def foreground_map(features: Tensor, similarity: Tensor, values: Tensor) -> Tensor:
    r"""The probability that a position is foreground (Eqs. 2 and 3).

    .. math:: w_{ij} = \sum_n s^n_{ij} v_n, \qquad M_{ij} = \sigma(w_{ij}^T x_{ij})

    The position's classifier :math:`w_{ij}` is never made: by linearity
    :math:`w_{ij}^T x_{ij} = \sum_n s^n_{ij} (v_n^T x_{ij})`, a 1x1 convolution with N outputs.

    Args:
        features: X, ``(B, C, h, w)``.
        similarity: s, ``(B, N, h, w)``.
        values: v, ``(N, C)``.

    Returns:
        M, ``(B, 1, h, w)`` in (0, 1).

    Example:
        >>> x, s = torch.full((1, 1, 1, 1), 2.0), torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)
        >>> foreground_map(x, s, torch.tensor([[1.0], [-1.0]]))  # sigmoid(-1)
        tensor([[[[0.2689]]]])
    """
    responses = F.conv2d(features, values[:, :, None, None])  # (B, N, h, w)
    return (similarity * responses).sum(dim=1, keepdim=True).sigmoid()


def sparsity(foreground: Tensor) -> Tensor:
    r"""The foreground's mean, a scalar (Eq. 4).

    .. math:: L_{spa} = \frac{1}{hw} \sum_{i,j} |M_{ij}|

    Args:
        foreground: M, ``(B, 1, h, w)``; the mean is over images too.
    """
    return foreground.abs().mean()


def part_features(features: Tensor, parts: Tensor) -> Tensor:
    r"""The features, averaged over the grid under each part's attention (Eq. 7).

    .. math:: p^k_c = \frac{1}{hw} \sum_{i,j} X_{ijc} A^k_{ij}

    Args:
        features: X, ``(B, C, h, w)``.
        parts: A, ``(B, K, h, w)``.

    Returns:
        p, ``(B, K, C)``.

    Example:
        >>> part_features(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[1.0, 0.0]]]]))
        tensor([[[0.5000]]])
    """
    cells = features.shape[-2] * features.shape[-1]
    return parts.flatten(2) @ features.flatten(2).transpose(1, 2) / cells


def part_similarity(part_features: Tensor) -> Tensor:
    r"""The mean cosine between two different parts of an image, the diversity loss (Eq. 8).

    .. math::
        L_{div} = \frac{1}{K (K - 1)} \sum_k \sum_{m \neq k}
                  \frac{\langle p^k, p^m \rangle}{\|p^k\|_2 \|p^m\|_2}

    Args:
        part_features: p, ``(B, K, C)`` with K of 2 or more; the mean is over images too.

    Returns:
        A scalar in [-1, 1].

    Example:
        >>> part_similarity(torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]]))  # 0, 1 and 0
        tensor(0.3333)
    """
    parts = part_features.shape[1]
    exact = torch.promote_types(part_features.dtype, torch.float32)
    directions = F.normalize(part_features.to(exact), dim=2)
    # All K * K cosines, less those of a part and itself; autocast would round matrix products.
    every = directions.sum(dim=1).square().sum(dim=1)
    own = directions.square().sum(dim=(1, 2))
    return (every - own).mean() / (parts * (parts - 1))
