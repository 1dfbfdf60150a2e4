"""Foreground activation maps, section 3 of Meng et al., ICCV 2021."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, check_choice, check_number, is_whole
from wsoltool.models.contracts import Loss
from wsoltool.models.heads import SingleTapHead
from wsoltool.structures import Samples
from wsoltool_plugins.fam.attention import (
    SIMILARITIES,
    foreground_map,
    part_features,
    part_similarity,
    sparsity,
    template_similarity,
)

#: Channels of the features for each one of a query (section 3.1).
REDUCTION = 16

#: What the parts' features are averages of (Eq. 7): X, or X times M.
POOLED = ("features", "foreground")


class ForegroundMemory(nn.Module):
    """Foreground by templates and their classifiers, both learnt (section 3.1, Eqs. 1-3).

    Args:
        channels: C.
        templates: N, the number of keys and values.
        similarity: See :func:`~wsoltool_plugins.fam.attention.template_similarity`.

    Attributes:
        encoder: 1x1 convolution to the queries.
        keys: ``(N, C / 16)``.
        values: ``(N, C)``.
    """

    def __init__(self, channels: int, templates: int, similarity: str) -> None:
        super().__init__()
        width = _query_width(channels)
        self.similarity = similarity
        self.encoder = nn.Conv2d(channels, width, kernel_size=1)
        self.keys = nn.Parameter(torch.randn(templates, width))
        # Deviation as of a convolution of this size, so that the sigmoid starts unsaturated.
        self.values = nn.Parameter(torch.randn(templates, channels) / (3 * channels) ** 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to the foreground ``(B, 1, h, w)`` in (0, 1)."""
        similarity = template_similarity(self.encoder(features), self.keys, self.similarity)
        return foreground_map(features, similarity, self.values)


class ForegroundConvs(nn.Sequential):
    """Foreground by three 1x1 convolutions instead of the memory (Table 2, second row).

    C to C / 16 to 16 N to 1 channels, ReLU between them: with N templates the memory's number of
    parameters up to ``N (C / 16 - 32)``.

    Args:
        channels: C.
        templates: N of the memory that is replaced.
    """

    def __init__(self, channels: int, templates: int) -> None:
        width, hidden = _query_width(channels), REDUCTION * templates
        super().__init__(
            nn.Conv2d(channels, width, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(width, hidden, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, kernel_size=1),
            nn.Sigmoid(),
        )


class PartAttention(nn.Module):
    """Parts of the foreground, and the object's feature made of them (section 3.2, Eqs. 5-9).

    Args:
        channels: C.
        parts: K.
        importance: Weigh parts by the softmax of a linear layer; otherwise alike.
        kernel_size: Of the convolution that finds the parts, odd.
    """

    def __init__(self, channels: int, parts: int, importance: bool, kernel_size: int) -> None:
        super().__init__()
        self.discovery = nn.Conv2d(channels, parts, kernel_size, padding=kernel_size // 2)
        self.importance = nn.Linear(channels, 1) if importance else None

    def parts(self, features: Tensor, foreground: Tensor) -> Tensor:
        """A of Eqs. 5 and 6, ``(B, K, h, w)`` in (0, 1)."""
        return self.discovery(features * foreground).sigmoid()

    def object_feature(self, part_features: Tensor) -> Tensor:
        """The parts' features ``(B, K, C)`` to o of Eq. 9, ``(B, C)``."""
        if self.importance is None:
            return part_features.mean(dim=1)
        weights = self.importance(part_features).softmax(dim=1)  # t, (B, K, 1)
        return (weights * part_features).sum(dim=1)


class FAMHead(SingleTapHead):
    r"""Foreground map for the place, parts of the foreground for the class (section 3, Eq. 11).

    .. math:: L = L_{cla} + \lambda_{spa} L_{spa} + \lambda_{div} L_{div}

    The map is the foreground M itself: one for all classes and in (0, 1) already. To localize as
    the paper does, ask for ``fusion.normalize="none"`` and ``boxes.threshold=0.5``.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: L in the paper.
        tap: The feature to attend to.
        loss: :math:`L_{cla}`; ``CrossEntropy`` unless given.
        memory: Foreground by the memory, or by three convolutions (Table 2).
        templates: N of the memory.
        similarity: ``softmax``, or ``ratio`` as Eq. 1 is printed.
        sparsity: :math:`\lambda_{spa}`; 0 leaves the loss out (Table 2).
        parts: K.
        part_kernel_size: Of the convolution that finds the parts, odd.
        pooled: Average the ``foreground`` features of Eq. 5 under the parts' attention, or the
            ``features``, as Eq. 7 is printed. As printed the class can be told without any
            foreground (M = 0 makes every part the mean of X): where that is easy, the sparsity
            loss empties the map.
        importance: Weigh the parts (Table 3).
        diversity: :math:`\lambda_{div}`; 0 leaves the loss out (Table 3).

    Attributes:
        foreground: The object-aware attention.
        attention: The part-aware attention.
        classifier: The linear layer on o.

    Raises:
        ConfigError: A value that cannot be used, or diversity asked of a single part.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "last",
        loss: Loss | None = None,
        memory: bool = True,
        templates: int = 3,
        similarity: str = "softmax",
        sparsity: float = 0.04,
        parts: int = 5,
        part_kernel_size: int = 1,
        pooled: str = "foreground",
        importance: bool = True,
        diversity: float = 0.01,
    ) -> None:
        super().__init__(channels, num_classes, tap, loss)
        width = channels[tap]
        check_choice(f"FAMHead: pooled={pooled!r}", pooled, POOLED)
        check_choice(f"FAMHead: similarity={similarity!r}", similarity, SIMILARITIES)
        _check_count("templates", templates)
        _check_count("parts", parts)
        _check_count("part_kernel_size", part_kernel_size, odd=True)
        self.sparsity = _weight("sparsity", sparsity)
        self.diversity = _weight("diversity", diversity)
        if self.diversity and parts == 1:
            raise ConfigError(
                f"FAMHead: diversity={diversity!r} with parts=1: one part differs from none",
                expected="diversity=0, or parts of 2 or more",
            )
        self.pooled = pooled
        self.foreground = (
            ForegroundMemory(width, templates, similarity)
            if memory
            else ForegroundConvs(width, templates)
        )
        self.attention = PartAttention(width, parts, importance, part_kernel_size)
        self.classifier = nn.Linear(width, num_classes)

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, L)``."""
        tapped = features[self.taps[0]]
        return self._classify(self._part_features(tapped, self.foreground(tapped)))

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """The terms of Eq. 11, weighted, and ``foreground``, the mean of M, for the log."""
        tapped = features[self.taps[0]]
        foreground = self.foreground(tapped)
        parts = self._part_features(tapped, foreground)
        losses = {"loss_cls": self.criterion(self._classify(parts), samples)}
        covered = sparsity(foreground)
        if self.sparsity:
            losses["loss_sparsity"] = self.sparsity * covered
        if self.diversity:
            losses["loss_diversity"] = self.diversity * part_similarity(parts)
        return losses | {"foreground": covered.detach()}

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """``fam``: M, the same for every asked class."""
        foreground = self.foreground(features[self.taps[0]])
        return {"fam": foreground.expand(-1, class_ids.shape[1], -1, -1)}

    def part_maps(self, features: Mapping[str, Tensor]) -> Tensor:
        """A, ``(B, K, h, w)`` in (0, 1)."""
        tapped = features[self.taps[0]]
        return self.attention.parts(tapped, self.foreground(tapped))

    def _part_features(self, tapped: Tensor, foreground: Tensor) -> Tensor:
        parts = self.attention.parts(tapped, foreground)
        if self.pooled == "foreground":
            parts = parts * foreground  # X~ A = X (A M), and A M has fewer channels
        return part_features(tapped, parts)

    def _classify(self, parts: Tensor) -> Tensor:
        return self.classifier(self.attention.object_feature(parts))


def _query_width(channels: int) -> int:
    return max(1, channels // REDUCTION)


def _check_count(name: str, value: Any, odd: bool = False) -> None:
    if not is_whole(value, lowest=1) or (odd and value % 2 == 0):
        kind = "an odd number of 1 or more" if odd else "1 or more"
        raise ConfigError(f"FAMHead: {name}={value!r}", expected=kind)


def _weight(name: str, value: Any) -> float:
    check_number(f"FAMHead: {name}", value)
    return float(value)
