"""The attention branch of ABN (Fukui et al., CVPR 2019), and what it acts on.

B images, C channels, K classes, h x w the grid of the feature that is attended to.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Attention(NamedTuple):
    """What the branch answers.

    Attributes:
        weights: M, ``(B, 1, h, w)`` in (0, 1).
        logits: ``(B, K)``.
    """

    weights: Tensor
    logits: Tensor


class AttentionBranch(nn.Module):
    r"""Layers of its own, then a map for each class, from which attention and class scores come.

    With :math:`F` what the layers make of x, and :math:`H = \operatorname{ReLU}(\operatorname{BN}
    (W_1 * \operatorname{BN}(F)))` with K channels:

    .. math::
        M = \sigma(\operatorname{BN}(W_3 * H)), \qquad z = \operatorname{GAP}(W_2 * H)

    with :math:`W_1, W_2` of 1 x 1 and :math:`W_3` of 3 x 3 positions, none with a bias.

    Args:
        channels: Of F.
        num_classes: K.
        layers: From x to F, on the same grid; set later, where they are not known yet.
    """

    def __init__(self, channels: int, num_classes: int, layers: Iterable[nn.Module] = ()) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.responses = nn.Sequential(
            _convolution(channels, num_classes, kernel_size=1),
            nn.BatchNorm2d(num_classes),
            nn.ReLU(),
        )
        self.attention = nn.Sequential(
            _convolution(num_classes, 1, kernel_size=3),
            nn.BatchNorm2d(1),
            nn.Sigmoid(),
        )
        self.classifier = _convolution(num_classes, num_classes, kernel_size=1)

    def forward(self, features: Tensor) -> Attention:
        """x, ``(B, C, h, w)``, to M and z."""
        responses = self.responses(self.norm(self.layers(features)))
        # The mean and a 1x1 convolution without bias may swap places.
        pooled = responses.mean(dim=(2, 3), keepdim=True)
        return Attention(self.attention(responses), self.classifier(pooled).flatten(1))


def _convolution(channels: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def attended(features: Tensor, attention: Tensor) -> Tensor:
    r"""What the perception branch gets: :math:`x' = (1 + M) \cdot x`.

    Args:
        features: x, ``(B, C, h, w)``.
        attention: M, ``(B, 1, h, w)``.

    Returns:
        ``(B, C, h, w)`` of the features' dtype.

    Example:
        >>> import torch
        >>> attended(torch.tensor([[[[2.0, 4.0]]]]), torch.tensor([[[[0.5, 0.0]]]]))
        tensor([[[[3., 4.]]]])
    """
    return features * (1 + attention).to(features.dtype)


def own_copies(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Copies with the same weights and nothing else: no inserts, all of them trainable."""
    # Hooks are not copied: an insert's leads to the inserts, and these to the whole backbone.
    parts = [part for module in modules for part in module.modules()]
    hooks = [h for p in parts for h in (*p._forward_hooks.values(), *p._forward_pre_hooks.values())]
    copies = copy.deepcopy(list(modules), {id(hook): hook for hook in hooks})
    for part in (part for module in copies for part in module.modules()):
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part.train()
        if getattr(part, "inplace", False):
            setattr(part, "inplace", False)  # noqa: B010  (x is read again)
    for module in copies:
        module.requires_grad_(True)
    return copies
