"""The equations of two-path attention (Park and Ko, 2021, section 3) as functions of tensors.

B images, C channels, K classes, h x w the feature grid. M is the upper classifier's map, M' what
is made of it, M'' the lower classifier's map, g the features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from wsoltool.functional.maps import minmax_normalize
from wsoltool.structures import Samples

SCHEMES = ("reduce", "invert", "zero", "none")
NORMALIZATIONS = ("minmax", "sigmoid", "none")


def normalized_map(maps: Tensor, how: str = "minmax") -> Tensor:
    """M before Eq. 5, each map for itself; the paper does not say how it is scaled.

    Args:
        maps: ``(..., h, w)`` float, raw class activation maps.
        how: ``minmax`` to [0, 1], a constant map to zeros with zero gradients; ``sigmoid`` to
            (0, 1); ``none``: as they are.

    Returns:
        ``(..., h, w)`` float; half precision is computed and answered in float32.

    Example:
        >>> normalized_map(torch.tensor([[1.0, 2.0, 5.0]]))
        tensor([[0.0000, 0.2500, 1.0000]])
    """
    if how == "minmax":
        return minmax_normalize(maps, check=False)
    exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return exact.sigmoid() if how == "sigmoid" else exact


def adjusted_attention(attention: Tensor, scheme: str = "reduce") -> Tensor:
    r"""M', the attention with its large values taken back (Eq. 5).

    Large is what exceeds the map's own mean:

    .. math::
        M'(x, y) = \begin{cases}
            M(x, y) - \overline{M} & M(x, y) > \overline{M} \\
            M(x, y) & \text{else}
        \end{cases}

    The gradient passes through the mean, too.

    Args:
        attention: M, ``(..., h, w)`` float.
        scheme: ``reduce`` as printed; ``invert``: large and small change places,
            :math:`\max M + \min M - M`, which is 1 - M after min-max; ``zero``: large values become
            0; ``none``: M itself, the attention branch network's form.

    Returns:
        ``(..., h, w)``.

    Example:
        >>> adjusted_attention(torch.tensor([[0.0, 0.5, 0.5, 1.0]]))  # mean 0.5
        tensor([[0.0000, 0.5000, 0.5000, 0.5000]])
        >>> adjusted_attention(torch.tensor([[0.0, 0.5, 0.5, 1.0]]), "zero")
        tensor([[0.0000, 0.5000, 0.5000, 0.0000]])
    """
    if scheme == "none":
        return attention
    if scheme == "invert":
        ends = attention.amax((-2, -1), keepdim=True) + attention.amin((-2, -1), keepdim=True)
        return ends - attention
    mean = attention.mean((-2, -1), keepdim=True)
    less = attention - mean if scheme == "reduce" else torch.zeros_like(attention)
    return torch.where(attention > mean, less, attention)


def attended(features: Tensor, adjusted: Tensor) -> Tensor:
    r"""g', the lower classifier's input (Eq. 6).

    .. math:: g'_c(x, y) = (1 + M'(x, y)) \cdot g_c(x, y)

    Linear maps of g commute with the factor, so that this serves a class activation map as well:
    the lower classifier's map of g' is its map of g times :math:`1 + M'`.

    Args:
        features: g, ``(B, C, h, w)``; or maps made linearly of it, ``(B, n, h, w)``.
        adjusted: M', ``(B, 1, h, w)``; or of each map its own, ``(B, n, h, w)``.
    """
    return (1 + adjusted) * features


def attended_mean(features: Tensor, adjusted: Tensor) -> Tensor:
    r"""g' of Eq. 6, averaged over the grid; g' itself is never made.

    Args:
        features: g, ``(B, C, h, w)``.
        adjusted: M', ``(B, h, w)``.

    Returns:
        ``(B, C)`` of the features' dtype.

    Example:
        >>> attended_mean(torch.tensor([[[[2.0, 4.0]]]]), torch.tensor([[[0.5, 0.0]]]))
        tensor([[3.5000]])
    """
    cells = features.shape[-2] * features.shape[-1]
    # The division comes first: float16 would not hold the sum.
    shares = ((1 + adjusted) / cells).to(features.dtype)
    return torch.einsum("bchw,bhw->bc", features, shares)


def attention_loss(upper: Tensor, lower: Tensor) -> Tensor:
    r"""The mean squared difference of both attentions, a scalar (:math:`L_{att}` of Eq. 7).

    Args:
        upper: M, ``(B, h, w)``, normalised.
        lower: M'', likewise; gradients reach both.
    """
    return F.mse_loss(upper, lower)


def label_shares(samples: Samples, num_classes: int) -> Tensor:
    """``(B, K)``: how the classes share in an image's M in training, summing to 1.

    One class: that one. Soft or multi-hot labels: by their targets, divided by their sum. An image
    without any label has zeros.

    Example:
        >>> label_shares(Samples(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])), 3)
        tensor([[0.5000, 0.0000, 0.5000],
                [0.0000, 0.0000, 0.0000]])
    """
    return _shares(samples.targets(num_classes))


def predicted_shares(probabilities: Tensor) -> Tensor:
    """``(B, K)``: how the classes share in an image's M at test, where labels are unknown.

    Alike among those that are predicted: the likeliest class, and any other above 0.5. Where
    classes compete (softmax) that is the likeliest alone.

    Args:
        probabilities: ``(B, K)`` in [0, 1], of the upper classifier.

    Example:
        >>> predicted_shares(torch.tensor([[0.1, 0.9, 0.8], [0.1, 0.3, 0.2]]))
        tensor([[0.0000, 0.5000, 0.5000],
                [0.0000, 1.0000, 0.0000]])
    """
    likeliest = F.one_hot(probabilities.argmax(dim=1), probabilities.shape[1]).bool()
    return _shares((likeliest | (probabilities > 0.5)).to(probabilities.dtype))


def _shares(targets: Tensor) -> Tensor:
    totals = targets.sum(dim=1, keepdim=True)
    return targets / torch.where(totals > 0, totals, torch.ones_like(totals))
