"""Losses on class scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from wsoltool.errors import ConfigError, ShapeError, check_choice
from wsoltool.models.contracts import Loss
from wsoltool.structures import Samples

MULTI_LABEL_HINT = (
    "for multi-label data use loss=dict(type='BinaryCrossEntropy'), or "
    "dict(type='CrossEntropy', multi_label='share')"
)


class CrossEntropy(Loss):
    r"""Softmax cross entropy, for one class an image, or several that share it.

    .. math:: L = -\frac{1}{B} \sum_b \sum_c t_{bc} \log \operatorname{softmax}(z_b)_c

    with t one-hot, or the soft labels of a mixed batch. Under ``multi_label="share"`` labels are
    divided by their sum, so that each of an image's n classes gets 1 / n; images without a class
    contribute nothing, and B counts the others. A batch without any class costs 0. Probabilities
    stay a softmax: of n classes that an image shows each tends to 1 / n, so thresholds for
    probabilities are to be set lower than with :class:`BinaryCrossEntropy`.

    Args:
        label_smoothing: Share of each target, in [0, 1), that is spread evenly over all classes.
        multi_label: What becomes of labels that do not sum to 1: ``error`` or ``share``.

    Raises:
        ConfigError: A value outside its range.

    Example:
        >>> loss = CrossEntropy()
        >>> loss(torch.zeros(1, 4), Samples(torch.tensor([2])))  # ln 4
        tensor(1.3863)
    """

    def __init__(self, label_smoothing: float = 0.0, multi_label: str = "error") -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"label_smoothing={label_smoothing!r}", expected="0 <= value < 1")
        check_choice(f"CrossEntropy: multi_label={multi_label!r}", multi_label, ("error", "share"))
        self.label_smoothing = float(label_smoothing)
        self.multi_label = multi_label

    def forward(self, logits: Tensor, samples: Samples) -> Tensor:
        """``(B, K)`` logits to a scalar, the batch mean.

        Raises:
            ShapeError: Logits and labels disagree on B or K.
            ConfigError: Rows of soft labels do not sum to 1 (multi-hot labels), and are not to
                share.
        """
        labels = samples.labels
        _check_batch(logits, labels)
        if labels.ndim == 2 and self.multi_label == "share":
            return self._shared(logits, labels.to(logits.dtype))
        if labels.ndim == 2:
            _check_distributions(labels)
            labels = labels.to(logits.dtype)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def _shared(self, logits: Tensor, labels: Tensor) -> Tensor:
        sums = labels.sum(dim=1, keepdim=True)
        shows = sums[:, 0] > 0
        targets = labels / sums.where(sums > 0, torch.ones_like(sums))
        smoothing = self.label_smoothing
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        return losses.where(shows, torch.zeros_like(losses)).sum() / shows.sum().clamp(min=1)


class BinaryCrossEntropy(Loss):
    r"""Sigmoid cross entropy of every class on its own, for any number of classes an image.

    .. math::
        L = -\frac{1}{BK} \sum_{b,c} t_{bc} \log \sigma(z_{bc})
            + (1 - t_{bc}) \log (1 - \sigma(z_{bc}))

    with t multi-hot or soft; class indices are taken as one-hot.

    Example:
        >>> loss = BinaryCrossEntropy()
        >>> loss(torch.zeros(1, 4), Samples(torch.tensor([[1.0, 0.0, 1.0, 0.0]])))  # ln 2
        tensor(0.6931)
    """

    def forward(self, logits: Tensor, samples: Samples) -> Tensor:
        """``(B, K)`` logits to a scalar, the mean over batch and classes.

        Raises:
            ShapeError: Logits and labels disagree on B or K.
        """
        _check_batch(logits, samples.labels)
        targets = samples.targets(logits.shape[1]).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, targets)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid: classes do not compete."""
        return logits.sigmoid()


def _check_batch(logits: Tensor, labels: Tensor) -> None:
    wanted = logits.shape if labels.ndim == 2 else logits.shape[:1]
    if logits.ndim != 2 or labels.ndim not in (1, 2) or labels.shape != wanted:
        raise ShapeError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} disagree",
            expected="(B, K), and (B,) or (B, K)",
            hint="is the head's num_classes the data set's number of classes?",
        )


def _check_distributions(labels: Tensor) -> None:
    sums = labels.float().sum(dim=1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise ConfigError(
            "CrossEntropy got labels that do not sum to 1",
            expected="one class an image, or a mixture of classes",
            hint=MULTI_LABEL_HINT,
        )
