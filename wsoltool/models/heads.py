"""What CAM heads of several methods share."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from wsoltool.errors import ConfigError, check_choice
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
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ConfigError(f"num_classes={num_classes!r}", expected="an integer of 1 or more")
        check_choice(f"the backbone has no feature {tap!r} to tap", tap, channels)
        if loss is not None and not isinstance(loss, Loss):
            raise ConfigError(
                f"loss={loss!r}", expected="a loss, for example dict(type='CrossEntropy')"
            )
        self.num_classes = num_classes
        self.taps = (tap,)
        self.criterion = CrossEntropy() if loss is None else loss

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        return {"loss_cls": self.criterion(self.logits(features), samples)}

    def scores(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: softmax with cross entropy, sigmoid with binary cross entropy."""
        return self.criterion.probabilities(self.logits(features))
