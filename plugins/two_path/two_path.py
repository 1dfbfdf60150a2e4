"""Two-path attention, section 3 of Park and Ko, Applied Sciences 2021."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from wsoltool.errors import check_choice, check_number
from wsoltool.functional.cams import check_class_ids, weighted_channel_sum
from wsoltool.models.contracts import Loss
from wsoltool.models.heads import SingleTapHead, linear_classifier
from wsoltool.structures import Samples
from wsoltool_plugins.two_path.attention import (
    NORMALIZATIONS,
    SCHEMES,
    adjusted_attention,
    attended,
    attended_mean,
    attention_loss,
    label_shares,
    normalized_map,
    predicted_shares,
)

SCORES = ("mean", "upper", "lower")


class TwoPathHead(SingleTapHead):
    r"""Two classifiers, the lower one on features that the upper one's map has adjusted.

    With M the upper classifier's class activation map, M' what Eq. 5 makes of it, and M'' the lower
    classifier's map (section 3, Eq. 7):

    .. math::
        L = L_{cls_1}(y, g) + L_{cls_2}(y, (1 + M') g) + \alpha \, \overline{(M - M'')^2}

    Both classifiers are global average pooling and a linear layer, which starts as in CAM: weights
    normal with deviation 0.01, bias 0. In training M is the map of the image's class. Where it has
    several, or soft ones, their maps are averaged by their targets; an image without a label
    has M = 0, so that its lower classifier sees g. The maps of an asked class are its own M and
    the M'' that follows from it. Class scores need one M: that of the upper classifier's likeliest
    class, averaged with those of all other classes above a probability of 0.5, which only losses
    for several labels give.

    For the paper's map, the mean of both, ask for ``fusion.branches="mean"`` and
    ``fusion.normalize_branches=True``.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: K.
        tap: The feature g.
        loss: :math:`L_{cls}` of both; ``CrossEntropy`` unless given.
        scheme: What Eq. 5 does with large values: ``reduce``, ``invert``, ``zero`` or ``none``; see
            :func:`~wsoltool_plugins.two_path.attention.adjusted_attention`.
        normalize: How M is scaled before Eq. 5, and both maps before they are compared:
            ``minmax``, ``sigmoid`` or ``none``.
        weight: :math:`\alpha`; 0 leaves the term out.
        scores: Class scores are the ``mean`` of both classifiers' probabilities, or those of the
            ``upper`` or the ``lower`` one. Logits follow, as the mean of both logits.

    Attributes:
        upper: The linear layer on pooled g.
        lower: The linear layer on pooled (1 + M') g.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "last",
        loss: Loss | None = None,
        scheme: str = "reduce",
        normalize: str = "minmax",
        weight: float = 5.0,
        scores: str = "mean",
    ) -> None:
        super().__init__(channels, num_classes, tap, loss)
        check_choice(f"TwoPathHead: scheme={scheme!r}", scheme, SCHEMES)
        check_choice(f"TwoPathHead: normalize={normalize!r}", normalize, NORMALIZATIONS)
        check_choice(f"TwoPathHead: scores={scores!r}", scores, SCORES)
        check_number("TwoPathHead: weight", weight)
        self.scheme, self.normalize = scheme, normalize
        self.weight, self.scored = float(weight), scores
        self.upper = linear_classifier(channels[tap], num_classes)
        self.lower = linear_classifier(channels[tap], num_classes)

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """The terms of Eq. 7, weighted."""
        g, shares = features[self.taps[0]], label_shares(samples, self.num_classes)
        rows = torch.stack([_rows(self.upper, shares), _rows(self.lower, shares)], dim=1)
        upper, plain = _class_maps(g, rows).unbind(dim=1)  # M and the lower map of g, unscaled
        attention = normalized_map(upper, self.normalize)
        adjusted = adjusted_attention(attention, self.scheme)
        logits = self.upper(g.mean(dim=(2, 3))), self.lower(attended_mean(g, adjusted))
        losses = {
            "loss_upper": self.criterion(logits[0], samples),
            "loss_lower": self.criterion(logits[1], samples),
        }
        if self.weight:
            lower = normalized_map(attended(plain, adjusted), self.normalize)
            losses["loss_attention"] = self.weight * attention_loss(attention, lower)
        return losses

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: the mean of both classifiers', or those of the one that is scored."""
        return torch.stack(self._scored_logits(features)).mean(dim=0)

    def scores(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: the mean of both probabilities, or those of the one that is scored."""
        probabilities = map(self.criterion.probabilities, self._scored_logits(features))
        return torch.stack([*probabilities]).mean(dim=0)

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """``upper``: M, and ``lower``: M'', both before any scaling."""
        g = features[self.taps[0]]
        check_class_ids(class_ids, len(g), self.num_classes)
        weights = torch.cat([self.upper.weight[class_ids], self.lower.weight[class_ids]], dim=1)
        upper, plain = _class_maps(g, weights).chunk(2, dim=1)
        adjusted = adjusted_attention(normalized_map(upper, self.normalize), self.scheme)
        return {"upper": upper, "lower": attended(plain, adjusted)}

    def class_weights(self) -> Tensor | None:
        """The upper classifier's rows where it alone is scored: else scores are not linear."""
        return self.upper.weight if self.scored == "upper" else None

    def class_vectors(self) -> Tensor:
        """``(K, 2C)``: the rows of both classifiers side by side."""
        return torch.cat([self.upper.weight, self.lower.weight], dim=1)

    def _scored_logits(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        g = features[self.taps[0]]
        upper = self.upper(g.mean(dim=(2, 3)))
        if self.scored == "upper":
            return [upper]
        shares = predicted_shares(self.criterion.probabilities(upper))
        attention = _class_maps(g, _rows(self.upper, shares)[:, None])[:, 0]
        attention = normalized_map(attention, self.normalize)
        lower = self.lower(attended_mean(g, adjusted_attention(attention, self.scheme)))
        return [lower] if self.scored == "lower" else [upper, lower]


def _rows(classifier: nn.Linear, shares: Tensor) -> Tensor:
    """``(B, C)``: each image's mean of the classes' rows, by its shares ``(B, K)``."""
    with _exact(classifier.weight):
        return shares.to(classifier.weight.dtype) @ classifier.weight


def _class_maps(features: Tensor, rows: Tensor) -> Tensor:
    """``(B, C, h, w)`` by ``(B, n, C)`` to ``(B, n, h, w)``, float32 of half precision, too."""
    # Min-max stretches a map that is nearly flat: the rounding of half precision would be all of
    # it, and make an attention of 0 and 1 out of nothing.
    with _exact(features):
        wide = torch.promote_types(features.dtype, torch.float32)
        return weighted_channel_sum(features.to(wide), rows.to(wide))


def _exact(tensor: Tensor) -> AbstractContextManager[None]:
    """Without the half precision of autocast's matrix products."""
    return torch.autocast(tensor.device.type, enabled=False)
