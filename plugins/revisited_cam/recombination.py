"""Class activation maps from recombined weights of the classifier, section 5.4.2.

B images, C channels, K classes, n asked classes, h x w the feature grid.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from wsoltool.errors import ConfigError
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.contracts import Backbone, CAMHead, MapSource


def signed_maps(features: Tensor, weights: Tensor, class_ids: Tensor) -> tuple[Tensor, Tensor]:
    r"""The positive and the negative CAM, whose sum is the CAM.

    Eq. (20), where p runs over the channels of positive weight and n over those of negative:

    .. math::
        M_c = M_p + M_n = \sum_p w_{p,c} F_p + \sum_n w_{n,c} F_n

    Args:
        features: ``(B, C, h, w)`` float, what the classifier pools.
        weights: ``(K, C)`` float, classifier weight, no bias.
        class_ids: ``(B, n)`` int64 in ``[0, K)``.

    Returns:
        :math:`M_p` and :math:`M_n`, ``(B, n, h, w)`` each; on features that are not negative
        (after a ReLU) :math:`M_p \ge 0 \ge M_n`.

    Raises:
        ShapeError: The arguments disagree, or a class is not in ``[0, K)``.
    """
    positive = class_activation_map(features, weights.clamp(min=0), class_ids)
    negative = class_activation_map(features, weights.clamp(max=0), class_ids)
    return positive, negative


def recombined_map(features: Tensor, weights: Tensor, class_ids: Tensor) -> Tensor:
    r"""The CAM that no channel inhibits: every weight counts by its magnitude.

    Eq. (21), with p and n as in :func:`signed_maps`:

    .. math::
        M_c = M_p - M_n = \sum_p w_{p,c} F_p - \sum_n w_{n,c} F_n = \sum_k |w_{k,c}| F_k

    Args:
        features: ``(B, C, h, w)`` float, what the classifier pools.
        weights: ``(K, C)`` float, classifier weight, no bias.
        class_ids: ``(B, n)`` int64 in ``[0, K)``.

    Returns:
        ``(B, n, h, w)`` float, unbounded; normalise before thresholding.

    Raises:
        ShapeError: The arguments disagree, or a class is not in ``[0, K)``.

    Example:
        >>> import torch
        >>> rows = torch.tensor([[1.0, -3.0]])
        >>> recombined_map(torch.ones(1, 2, 1, 1), rows, torch.tensor([[0]]))
        tensor([[[[4.]]]])
    """
    return class_activation_map(features, weights.abs(), class_ids)


class RecombinedWeights(MapSource):
    """Maps of any head that classifies one feature linearly, by its weights' magnitudes.

    Changes maps alone: class scores and training stay the head's. See :func:`recombined_map`.
    """

    def check(self, head: CAMHead) -> None:
        """Raise ConfigError where ``head`` has no weights of channels to recombine."""
        if head.class_weights() is None:
            raise ConfigError(
                f"RecombinedWeights finds no weights of classes in {type(head).__name__}",
                expected="a head that pools one feature and classifies it linearly",
                hint="take head=dict(type='cam.CAMHead'), or map_source=None",
            )

    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        """``cam``: raw maps ``(B, n, h, w)``, the :math:`M_p - M_n`."""
        weights = head.class_weights()
        assert weights is not None, "check() was asked when the localizer was built"
        (tap,) = head.taps
        return {"cam": recombined_map(features[tap], weights, class_ids)}
