"""What CAM heads of several methods share."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from wsoltool.errors import ConfigError, check_choice, is_whole
from wsoltool.models.contracts import CAMHead, Loss
from wsoltool.models.losses import CrossEntropy
from wsoltool.structures import Samples


class SingleTapHead(CAMHead):
    """One feature read, one loss on the logits, probabilities as that loss trains them.

    Args:
        channels: Feature name -> channels.
        num_classes: K.
        tap: The feature that the head reads.
        loss: On the logits; ``CrossEntropy`` for None.

    Attributes:
        criterion: The loss.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "last",
        loss: Loss | None = None,
    ) -> None:
        super().__init__()
        check_choice(f"the backbone has no feature {tap!r} to tap", tap, channels)
        self.num_classes = checked_num_classes(num_classes)
        self.taps = (tap,)
        self.criterion = criterion_of(loss)

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        return {"loss_cls": self.criterion(self.logits(features), samples)}

    def scores(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: softmax with cross entropy, sigmoid with binary cross entropy."""
        return self.criterion.probabilities(self.logits(features))


def checked_num_classes(num_classes: int) -> int:
    """K, as a config gives it.

    Raises:
        ConfigError: It is no integer of 1 or more.
    """
    if not is_whole(num_classes, 1):
        raise ConfigError(f"num_classes={num_classes!r}", expected="an integer of 1 or more")
    return num_classes


def criterion_of(loss: Loss | None) -> Loss:
    """The loss on a head's logits: ``CrossEntropy`` where the config is silent.

    Raises:
        ConfigError: It is something else than a loss.
    """
    if loss is not None and not isinstance(loss, Loss):
        expected = "a loss, for example dict(type='CrossEntropy')"
        raise ConfigError(f"loss={loss!r}", expected=expected)
    return CrossEntropy() if loss is None else loss


def linear_classifier(channels: int, num_classes: int) -> nn.Linear:
    """``(B, C)`` pooled channels to ``(B, K)`` logits.

    The weight starts normal with deviation 0.01, the bias at zero, as linear layers do in
    wsolevaluation.
    """
    layer = nn.Linear(channels, num_classes)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
