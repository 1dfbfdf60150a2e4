"""CAM in its two equal forms: pooling before a linear classifier, or after a convolutional one.

Zhou et al., CVPR 2016 (arXiv:1512.04150), section 2. B images, C channels, K classes, n asked
classes, h x w the feature grid.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from wsoltool.errors import ConfigError
from wsoltool.functional.cams import class_activation_map, select_class_maps
from wsoltool.models import contracts
from wsoltool.models.heads import SingleTapHead, linear_classifier
from wsoltool.models.pooling import GlobalAveragePool


class CAMHead(SingleTapHead):
    r"""Pool the features, classify linearly, map by the classifier's rows.

    With :math:`F_k` the pooled channel k, section 2:

    .. math::
        F_k = \frac{1}{hw} \sum_{x,y} f_k(x, y), \qquad S_c = \sum_k w_k^c F_k + b_c, \qquad
        M_c(x, y) = \sum_k w_k^c f_k(x, y)

    The classifier's weight starts normal with deviation 0.01, its bias at zero, as linear layers
    do in wsolevaluation.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: K.
        tap: The feature to classify.
        loss: A loss on the logits; ``CrossEntropy`` unless given.
        pooling: ``GlobalAveragePool`` unless given. The map stays that of the formula.

    Attributes:
        classifier: The linear layer, ``(K, C)`` weight and ``(K,)`` bias.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "last",
        loss: contracts.Loss | None = None,
        pooling: contracts.Pooling | None = None,
    ) -> None:
        super().__init__(channels, num_classes, tap, loss)
        if pooling is not None and not isinstance(pooling, nn.Module):
            raise ConfigError(f"pooling={pooling!r}", expected="dict(type='GlobalAveragePool')")
        self.pooling = GlobalAveragePool() if pooling is None else pooling
        self.classifier = linear_classifier(channels[tap], num_classes)

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``, the :math:`S_c`."""
        return self.classifier(self.pooling(features[self.taps[0]]))

    def class_weights(self) -> Tensor:
        """The :math:`w_k^c`."""
        return self.classifier.weight

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """``cam``: the :math:`M_c`, without the bias."""
        tapped = features[self.taps[0]]
        return {"cam": class_activation_map(tapped, self.classifier.weight, class_ids)}


class ConvHead(SingleTapHead):
    r"""Classify every position by a 1x1 convolution; its output is the map, its mean the logit.

    Equal to :class:`CAMHead` by linearity (section 2: the sums over k and over x, y swap places):

    .. math::
        M_c(x, y) = \sum_k w_k^c f_k(x, y) \; [+\, b_c], \qquad
        S_c = \frac{1}{hw} \sum_{x,y} M_c(x, y)

    The weight starts by He's normal scheme over the outputs (``fan_out``, ReLU), a bias at zero,
    as convolutions do in wsolevaluation.

    Args:
        channels: Feature name -> channels; the builder fills it in.
        num_classes: K.
        tap: The feature to classify.
        loss: A loss on the logits; ``CrossEntropy`` unless given.
        bias: Give the convolution a bias; it lifts the raw map by a constant, which min-max undoes.

    Attributes:
        classifier: The convolution, ``(K, C, 1, 1)`` weight.

    Raises:
        ConfigError: A value that cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        num_classes: int,
        tap: str = "last",
        loss: contracts.Loss | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__(channels, num_classes, tap, loss)
        self.classifier = nn.Conv2d(channels[tap], num_classes, kernel_size=1, bias=bias)
        nn.init.kaiming_normal_(self.classifier.weight, mode="fan_out", nonlinearity="relu")
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def class_maps(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K, h, w)``: the maps of all classes."""
        return self.classifier(features[self.taps[0]])

    def class_weights(self) -> Tensor:
        """The :math:`w_k^c`."""
        return self.classifier.weight.flatten(1)

    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)``, the :math:`S_c`."""
        return self.class_maps(features).mean(dim=(2, 3))

    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """``cam``: the :math:`M_c` of the asked classes."""
        return {"cam": select_class_maps(self.class_maps(features), class_ids)}
