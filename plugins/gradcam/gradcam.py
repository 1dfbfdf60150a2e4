"""Maps weighted by gradients of the class score, for any head and any feature below it.

B images, C channels, n asked classes, h x w the target's grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from wsoltool.errors import ConfigError
from wsoltool.functional.cams import (
    check_class_ids,
    grad_cam_plus_plus_weights,
    grad_cam_weights,
    weighted_channel_sum,
)
from wsoltool.models.contracts import Backbone, CAMHead, MapSource


class GradientSource(MapSource):
    """Finds the class scores' gradients by the target feature; subclasses weigh channels by them.

    A head that reads the target and nothing else is differentiated on the features at hand. Any
    other needs the backbone's layers between, so the backbone is run once more. Parameters may be
    frozen and get no ``.grad``; the caller may have turned autograd off.

    Args:
        target: The feature whose channels are weighted: a name that the backbone offers.
    """

    def __init__(self, target: str = "last") -> None:
        self.target = target
        self.features = (target,)

    @abstractmethod
    def channel_weights(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """``(B, C, h, w)`` features, ``(B, n, C, h, w)`` gradients to ``(B, n, C)`` weights."""

    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        """``cam``: raw maps ``(B, n, h, w)``, the ReLU of the weighted sum of channels.

        Raises:
            ConfigError: The head's scores do not depend on the target.
            ShapeError: A class that the head has not.
        """
        check_class_ids(class_ids, len(images), head.num_classes)
        with torch.inference_mode(False), torch.enable_grad():
            activations, logits = self._forward(backbone, head, images, features)
            gradients = self._gradients(logits.gather(1, class_ids), activations)
        activations = activations.detach()
        weights = self.channel_weights(activations, gradients)
        return {"cam": weighted_channel_sum(activations, weights).relu()}

    def _forward(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        if tuple(head.taps) == (self.target,):
            activations = _leaf(features[self.target])
            return activations, head.logits({self.target: activations})
        # A leaf at the input makes a graph even where every parameter is frozen. A call of the
        # backbone would run compiled, where features are all alike outputs, none before another.
        with backbone.also((self.target, *head.taps)):
            features = backbone.forward(_leaf(images))
        return features[self.target], head.logits(features)

    def _gradients(self, scores: Tensor, activations: Tensor) -> Tensor:
        # Images do not see each other at test, so one pass serves the whole batch.
        if not (scores.requires_grad and activations.requires_grad):
            raise self._independent()
        gradients = [
            torch.autograd.grad(of_class.sum(), activations, retain_graph=True, allow_unused=True)
            for of_class in scores.unbind(dim=1)
        ]
        if any(gradient is None for (gradient,) in gradients):
            raise self._independent()
        if not gradients:
            return activations.new_empty(len(activations), 0, *activations.shape[1:])
        return torch.stack([gradient for (gradient,) in gradients], dim=1)

    def _independent(self) -> ConfigError:
        return ConfigError(
            f"the head's scores have no gradient by feature {self.target!r}",
            at="model.map_source.target",
            expected="a feature that the head's scores are computed from",
            hint="target='last' works with every head that reads the last feature",
        )


class GradCAM(GradientSource):
    r"""Weigh channels by their mean gradient (Selvaraju et al., Eqs. 1 and 2).

    .. math::
        \alpha_k^c = \frac{1}{hw} \sum_{ij} \frac{\partial y^c}{\partial A^k_{ij}}, \qquad
        L^c = \operatorname{ReLU}\Bigl(\sum_k \alpha_k^c A^k\Bigr)

    On global average pooling and a linear layer this is ReLU(CAM) / (h w).

    Args:
        target: The feature A: a name that the backbone offers.
    """

    def channel_weights(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return grad_cam_weights(gradients)


class GradCAMPlusPlus(GradientSource):
    r"""Weigh channels by positive gradients, pixel by pixel (Chattopadhay et al., Eq. 19).

    .. math::
        L^c = \operatorname{ReLU}\Bigl(\sum_k w_k^c A^k\Bigr), \qquad
        w_k^c = \sum_{ij} \alpha_{ij}^{kc} \operatorname{ReLU}(g_{ij}), \qquad
        \alpha_{ij}^{kc} = \frac{g_{ij}^2}{2 g_{ij}^2 + g_{ij}^3 \sum_{ab} A^k_{ab}}

    with g the logit's gradient. See
    :func:`~wsoltool.functional.cams.grad_cam_plus_plus_weights` for what is cancelled.

    Args:
        target: The feature A, not negative (after a ReLU): a name that the backbone offers.
    """

    def channel_weights(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return grad_cam_plus_plus_weights(activations, gradients)


def _leaf(tensor: Tensor) -> Tensor:
    # The copy turns a tensor made in inference mode into one that autograd accepts.
    return tensor.detach().clone().requires_grad_()
