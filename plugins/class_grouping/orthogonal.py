"""Networks side by side that are kept from looking at the same: section II-C of the paper.

B images, C channels, K classes, n asked classes, h x w a feature grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from wsoltool.errors import ConfigError, ShapeError, check_choice, check_number
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.contracts import CAMHead, Loss
from wsoltool.models.heads import checked_num_classes, criterion_of
from wsoltool.structures import Samples


def orthogonality(first: Tensor, second: Tensor) -> Tensor:
    r"""Sum the products of two networks' features, position by position and channel by channel.

    Eq. (3):

    .. math:: L_o = \lVert f_1 \odot f_2 \rVert_{sum}

    for each image; the mean over the batch. It is a sum, not a mean: it grows with C h w, and its
    weight has to shrink with them (the paper's is 1e-4, at 2048 x 7 x 7 numbers if its ResNet50 is
    the published one). Of features that are not negative (after a ReLU) the least is 0, where no
    cell of a channel is active in both networks; of others it has no least.

    Args:
        first: ``(B, C, h, w)`` float, :math:`f_1`.
        second: The same shape, :math:`f_2`.

    Returns:
        A scalar; float32 where the features are of half precision, whose sums would overflow.

    Raises:
        ShapeError: The features are no two maps of one shape.

    Example:
        >>> first = torch.tensor([1.0, 0.0, 2.0, 3.0]).view(1, 1, 2, 2)
        >>> orthogonality(first, torch.tensor([0.0, 5.0, 1.0, 2.0]).view(1, 1, 2, 2))
        tensor(8.)
    """
    if first.ndim != 4 or first.shape != second.shape:
        raise ShapeError(
            f"features {tuple(first.shape)} and {tuple(second.shape)} cannot be multiplied",
            expected="(B, C, h, w), the same of both networks",
            hint="networks of one kind and one output_stride, or taps of the same shape",
        )
    return (_wide(first) * _wide(second)).sum(dim=(1, 2, 3)).mean()


def pairwise_orthogonality(features: Iterable[Tensor]) -> Tensor:
    """Sum :func:`orthogonality` over all pairs: for any head that reads several networks.

    Args:
        features: Two or more, each ``(B, C, h, w)``.

    Returns:
        A scalar.

    Raises:
        ShapeError: There is no pair, or shapes differ.
    """
    pairs = list(combinations(features, 2))
    if not pairs:
        raise ShapeError("no two features to compare", expected="features of two networks or more")
    return torch.stack([orthogonality(first, second) for first, second in pairs]).sum()


class BranchesHead(CAMHead):
    r"""A pooled linear classifier for each network of a ``Parallel`` backbone.

    Eq. (4), with one classification loss a network:

    .. math:: L_{all} = \sum_c L_c + \lambda \sum_{c < d} L_o(f_c, f_d)

    Each network makes class activation maps of its own. On a backbone of one network nothing is
    left of the second term: ``model.backbone.networks.b=None`` goes without it.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: K.
        taps: A feature for each network; all that are named ``<network>.last`` unless given, or
            ``last`` where the backbone is a single network.
        loss: On each network's logits; ``CrossEntropy`` unless given. The paper's is
            ``BinaryCrossEntropy``.
        orthogonal: The weight :math:`\lambda`, see :func:`orthogonality` on its scale; 0 leaves
            the networks alone.

    Attributes:
        branches: Names of the networks, of their losses and of their maps.
        classifiers: A linear layer each, ``(K, C)`` weight and ``(K,)`` bias; the weight starts by
            He's normal scheme, the bias at zero. With CAM's small start (deviation 0.01) a small
            network hardly learned twenty classes at once.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        taps: Sequence[str] | None = None,
        loss: Loss | None = None,
        orthogonal: float = 1e-4,
    ) -> None:
        super().__init__()
        check_number("BranchesHead: orthogonal", orthogonal)
        self.num_classes = checked_num_classes(num_classes)
        self.criterion = criterion_of(loss)
        self.taps = network_taps(channels) if taps is None else _checked_taps(taps, channels)
        self.branches = tuple(tap.removesuffix(".last") for tap in self.taps)
        self.orthogonal = float(orthogonal)
        self._check_shapes(channels)
        self.classifiers = nn.ModuleList(nn.Linear(channels[t], num_classes) for t in self.taps)
        for classifier in self.classifiers:
            nn.init.kaiming_normal_(classifier.get_parameter("weight"), nonlinearity="relu")
            nn.init.zeros_(classifier.get_parameter("bias"))

    def _check_shapes(self, channels: Mapping[str, int]) -> None:
        if self.orthogonal and len({channels[tap] for tap in self.taps}) > 1:
            found = ", ".join(f"{tap}: {channels[tap]}" for tap in self.taps)
            raise ConfigError(
                f"the networks' features differ in channels ({found})",
                expected="features of one shape, which Eq. (3) multiplies",
                hint="orthogonal=0 trains networks of any kinds side by side",
            )

    def network_logits(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """``(B, K)`` of each network."""
        pairs = zip(self.taps, self.classifiers, strict=True)
        return [classifier(features[tap].mean(dim=(2, 3))) for tap, classifier in pairs]

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: the mean over the networks."""
        return torch.stack(self.network_logits(features)).mean(dim=0)

    def scores(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``: the mean over the networks' probabilities, as the loss trains them."""
        found = [self.criterion.probabilities(logits) for logits in self.network_logits(features)]
        return torch.stack(found).mean(dim=0)

    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """``loss_<network>`` of each; ``loss_orthogonal``, weighted, where there are several."""
        pairs = zip(self.branches, self.network_logits(features), strict=True)
        losses = {f"loss_{name}": self.criterion(logits, samples) for name, logits in pairs}
        if self.orthogonal and len(self.taps) > 1:
            between = pairwise_orthogonality(features[tap] for tap in self.taps)
            losses["loss_orthogonal"] = self.orthogonal * between
        return losses

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """A branch for each network, named after it: its class activation maps, no bias."""
        parts = zip(self.branches, self.taps, self._rows(), strict=True)
        return {name: class_activation_map(features[tap], w, class_ids) for name, tap, w in parts}

    def class_weights(self) -> Tensor | None:
        """The classifier of a single network; None where there are several."""
        rows = self._rows()
        return rows[0] if len(rows) == 1 else None

    def class_vectors(self) -> Tensor:
        """``(K, sum of C)``: each class's rows of all classifiers, side by side."""
        return torch.cat(self._rows(), dim=1)

    def _rows(self) -> list[Tensor]:
        """``(K, C)`` of each classifier."""
        return [classifier.get_parameter("weight") for classifier in self.classifiers]


def network_taps(channels: Mapping[str, int]) -> tuple[str, ...]:
    """The last feature of each network: names that end in ``.last``, of nested networks too.

    Where a network is itself made of networks, its own ``last`` is one of theirs: the innermost
    are taken.

    Example:
        >>> network_taps({"last": 4, "a.last": 4, "a.stage4": 4, "b.last": 4, "b.x.last": 4})
        ('a.last', 'b.x.last')
        >>> network_taps({"stage4": 4, "last": 4})
        ('last',)
    """
    found = [name for name in channels if name.endswith(".last")]
    outer = {name for name in found if any(_inside(other, name) for other in found)}
    return tuple(name for name in found if name not in outer) or ("last",)


def _inside(name: str, outer: str) -> bool:
    return name != outer and name.startswith(outer.removesuffix("last"))


def _checked_taps(taps: Sequence[str], channels: Mapping[str, int]) -> tuple[str, ...]:
    if isinstance(taps, str) or not taps or len(set(taps)) != len(taps):
        raise ConfigError(f"taps={taps!r}", expected="a list of features, each once")
    for tap in taps:
        check_choice(f"the backbone has no feature {tap!r} to tap", tap, channels)
    return tuple(taps)


def _wide(features: Tensor) -> Tensor:
    half = features.dtype in (torch.float16, torch.bfloat16)
    return features.float() if half else features
