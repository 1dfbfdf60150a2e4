"""The attention branch network as a head, Fukui et al., CVPR 2019."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.contracts import Backbone, Loss
from wsoltool.models.heads import SingleTapHead, linear_classifier
from wsoltool.structures import Samples
from wsoltool_plugins.abn.branch import Attention, AttentionBranch, attended, own_copies


class AttentionBranchHead(SingleTapHead):
    r"""An attention branch beside the last layers, which work on what it has weighted.

    .. math:: L = L_{att}(z) + L_{per}(s), \qquad s = W \operatorname{GAP}(f((1 + M) x)) + b

    x is the feature at ``tap``, M and z are the branch's (:class:`~wsoltool_plugins.abn.branch.
    AttentionBranch`), f the layers of the backbone behind ``tap``: its ``last`` is what they make
    of the weighted feature. Class scores are those of s.

    The branch has a copy of the layers behind ``tap`` for its own, made when the head is bound to
    its backbone, which starts with their weights; ``model.frozen`` and ``model.norm_eval`` do not
    reach it. Inserts act behind ``tap`` in the backbone alone, and at ``tap`` on x.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: K.
        tap: x. Behind it there must be layers, none of which may change the grid.
        loss: Of both branches; ``CrossEntropy`` unless given.

    Attributes:
        branch: The attention branch.
        classifier: The linear layer W, b of the perception branch.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "stage3",
        loss: Loss | None = None,
    ) -> None:
        super().__init__(channels, num_classes, tap, loss)
        self.taps = (tap, "last")
        self.branch = AttentionBranch(channels["last"], num_classes)
        self.classifier = linear_classifier(channels["last"], num_classes)
        self._seen: list[tuple[weakref.ref[Tensor], Attention]] = []

    def bind(self, backbone: Backbone) -> None:
        """Copy the layers behind ``tap``, and weigh what they get from now on.

        Raises:
            ConfigError: There are none, they change the grid, or ``last`` is another network's.
        """
        tap, points = self.taps[0], backbone.insert_points
        # Names begin with the input, which is no step.
        behind = backbone.step_names.index(backbone.step_of(tap))
        steps = [module for _, module in backbone.steps()][behind:]
        behind_it = bool(steps) and not backbone.apart(self.taps)
        if not behind_it or points[tap][1] != points["last"][1]:
            raise ConfigError(
                f"attention to {tap!r} of {type(backbone).__name__} does not fit",
                at="model.head.tap",
                expected="a feature that `last` is made from by layers that keep its grid",
                hint="a smaller model.backbone.output_stride lets later layers keep theirs",
            )
        self.branch.layers = nn.Sequential(*own_copies(steps))
        steps[0].register_forward_pre_hook(_Gate(self))

    def gate(self, features: Tensor) -> Tensor:
        """x to (1 + M) x, on its way to the layers behind ``tap``."""
        answer = self.branch(features)
        self._keep(features, answer)  # the loss, or the map, asks for the same
        return attended(features, answer.weights)

    def _keep(self, features: Tensor, answer: Attention) -> None:
        """Of a training step the last answer; at test those of all views that are still there."""
        if self.training:
            self._seen = [(weakref.ref(features), answer)]
        elif not torch.is_grad_enabled():
            alive = [pair for pair in self._seen if pair[0]() is not None]
            self._seen = [*alive, (weakref.ref(features), answer)]
        # Else a gradient map's pass: nobody asks again, and its graph would stay.

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """``loss_attention`` and ``loss_perception``."""
        attention = self._attention(features)
        return {
            "loss_attention": self.criterion(attention.logits, samples),
            "loss_perception": self.criterion(self.logits(features), samples),
        }

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """s, ``(B, K)``."""
        return self.classifier(features["last"].mean(dim=(2, 3)))

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """``attention``: M, the same for every asked class; ``perception``: CAM of ``last``."""
        attention = self._attention(features).weights
        return {
            "attention": attention.expand(-1, class_ids.shape[1], -1, -1),
            "perception": class_activation_map(features["last"], self.classifier.weight, class_ids),
        }

    def class_vectors(self) -> Tensor:
        """The rows of W."""
        return self.classifier.weight

    def _attention(self, features: Mapping[str, Tensor]) -> Attention:
        """The branch's answer to x; that of the backbone's own pass, where it is still there."""
        x = features[self.taps[0]]
        found = next((answer for seen, answer in self._seen if seen() is x), None)
        self._seen = [pair for pair in self._seen if pair[0]() is not x and not self.training]
        return self.branch(x) if found is None else found

    def __getstate__(self) -> dict[str, Any]:
        # A copy of the head, or of its file, holds no features of a batch.
        return {**self.__dict__, "_seen": []}


class _Gate:
    """A hook that copies and pickles with its model, as a closure would not."""

    def __init__(self, head: AttentionBranchHead) -> None:
        self.head = head

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
        return self.head.gate(inputs[0])
