"""Maps weighted by gradients of the class score, for any head and any feature below it.

B images, C channels, n asked classes, h x w the target's grid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

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

    A head that reads the target and nothing else is differentiated on the features at hand, and so
    is one that reads all of several targets, where none is computed from another (those of
    networks side by side). Any other needs the backbone's layers between, so the backbone is run
    once more. One pass backwards serves all targets. Parameters may be frozen and get no
    ``.grad``; the caller may have turned autograd off.

    Args:
        target: The feature whose channels are weighted, a name that the backbone offers; or
            several, each of which gives a branch of its name.

    Raises:
        ConfigError: No name, or one twice.
    """

    def __init__(self, target: str | Sequence[str] = "last") -> None:
        self.target = target
        self.features = (target,) if isinstance(target, str) else _distinct(target)

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

        Of a list of targets, one branch each, named after it.

        Raises:
            ConfigError: The head's scores do not depend on a target.
            ShapeError: A class that the head has not.
        """
        check_class_ids(class_ids, len(images), head.num_classes)
        with torch.inference_mode(False), torch.enable_grad():
            activations, logits = self._forward(backbone, head, images, features)
            weights = self._weights(logits.gather(1, class_ids), activations)
        names = ("cam",) if isinstance(self.target, str) else self.features
        parts = zip(names, activations, weights, strict=True)
        return {name: weighted_channel_sum(a.detach(), w).relu() for name, a, w in parts}

    def _forward(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
    ) -> tuple[list[Tensor], Tensor]:
        """Each target's activations, and the logits ``(B, K)`` with a graph from there on."""
        if set(head.taps) == set(self.features) and backbone.apart(self.features):
            leaves = {name: _leaf(features[name]) for name in self.features}
            return list(leaves.values()), head.logits(leaves)
        # A leaf at the input makes a graph even where every parameter is frozen. A call of the
        # backbone would run compiled, where features are all alike outputs, none before another.
        with backbone.also((*self.features, *head.taps)):
            features = backbone.forward(_leaf(images))
        return [features[name] for name in self.features], head.logits(features)

    def _weights(self, scores: Tensor, activations: list[Tensor]) -> list[Tensor]:
        """``(B, n, C)`` for each target."""
        for name, activation in zip(self.features, activations, strict=True):
            if not (scores.requires_grad and activation.requires_grad):
                raise self._independent(name)
        weights = [[a.new_empty(len(a), 0, a.shape[1])] for a in activations]
        # Images do not see each other at test, so one pass serves the whole batch. One class after
        # the other: the gradients of many would be the largest tensor of a test by far.
        for of_class in scores.unbind(dim=1):
            gradients = torch.autograd.grad(
                of_class.sum(), activations, retain_graph=True, allow_unused=True
            )
            for index, gradient in enumerate(gradients):
                if gradient is None:
                    raise self._independent(self.features[index])
                activation = activations[index].detach()
                weights[index].append(self.channel_weights(activation, gradient[:, None]))
        return [torch.cat(of_target, dim=1) for of_target in weights]

    def _independent(self, name: str) -> ConfigError:
        return ConfigError(
            f"the head's scores have no gradient by feature {name!r}",
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
        target: The feature A: a name that the backbone offers. Or several, each a branch.
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
        target: The feature A, not negative (after a ReLU): a name that the backbone offers. Or
            several, each a branch.
    """

    def channel_weights(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return grad_cam_plus_plus_weights(activations, gradients)


def _distinct(targets: Sequence[str]) -> tuple[str, ...]:
    names = tuple(targets) if isinstance(targets, (list, tuple)) else ()
    if not names or not all(isinstance(n, str) for n in names) or len(set(names)) != len(names):
        expected = "a feature's name, or a list of names, each once"
        raise ConfigError(f"target={targets!r}", at="model.map_source.target", expected=expected)
    return names


def _leaf(tensor: Tensor) -> Tensor:
    # The copy turns a tensor made in inference mode into one that autograd accepts.
    return tensor.detach().clone().requires_grad_()
