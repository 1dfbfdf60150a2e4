"""Non-local block: Wang, Girshick, Gupta and He, CVPR 2018 (arXiv:1711.07971)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError, check_choice
from wsoltool.models.contracts import Recalibration
from wsoltool.models.recalibrations.batch_norm import BatchNorm


class NonLocal(Recalibration):
    r"""Add to each place what places like it hold, wherever they are (Eqs. 1-4 and 6).

    .. math:: z_i = W_z y_i + x_i, \quad
              y_i = \frac{1}{\mathcal{C}(x)} \sum_j f(x_i, x_j)\,g(x_j)

    ======================  ==============================================  =====================
    ``pairwise``            f                                               normalised by
    ======================  ==============================================  =====================
    ``embedded_gaussian``   :math:`e^{\theta(x_i)^T \phi(x_j)}`             its sum over j (softmax)
    ``gaussian``            :math:`e^{x_i^T x_j}`                           its sum over j (softmax)
    ``dot_product``         :math:`\theta(x_i)^T \phi(x_j)`                 the number of places
    ======================  ==============================================  =====================

    :math:`\theta, \phi, g` are 1x1 convolutions to half the channels; after :math:`W_z` stands a
    batch normalisation with scale 0 at the start, so that a pretrained network stays as it is.

    The paper leaves open: biases (all convolutions have them) and their start (weights normal with
    deviation 0.01, biases 0), both as released; and what pooling does with an odd last row or
    column: here it is pooled alone, so that every place counts. The release pools before
    :math:`\phi` and g, here as printed after.

    Args:
        channels: C of the insert point, 2 or more; injected. Half of an odd one is rounded down.
        pairwise: f, see above. The paper's concatenation is not here.
        subsample: Pool :math:`\phi` and g by their maximum over 2x2 cells (section 3.3).
        scaled: Divide the exponents by the root of their channels, as the release does and no
            equation.

    Raises:
        ConfigError: One channel, no such ``pairwise``, or a dot product to be ``scaled``.
    """

    def __init__(
        self,
        channels: int,
        pairwise: str = "embedded_gaussian",
        subsample: bool = False,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        known = ("embedded_gaussian", "gaussian", "dot_product")
        check_choice(f"NonLocal: pairwise={pairwise!r}", pairwise, known)
        if channels < 2:
            raise ConfigError(f"NonLocal: {channels} channels", expected="2 or more, to be halved")
        if scaled and pairwise == "dot_product":
            raise ConfigError("NonLocal: scaled=True", expected="False: dot_product has no softmax")
        self.pairwise, self.scaled = pairwise, scaled
        inner = channels // 2
        embedded = pairwise != "gaussian"
        self.query = _projection(channels, inner) if embedded else nn.Identity()
        self.key = _projection(channels, inner) if embedded else nn.Identity()
        self.value = _projection(channels, inner)
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if subsample else nn.Identity()
        self.output = _projection(inner, channels)
        self.norm = BatchNorm(channels)
        self.norm.weight.data.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``.

        Raises:
            ShapeError: One image and one cell in training.
        """
        queries = _places(self.query(features))  # (B, h w, C / 2)
        keys = _places(self.pool(self.key(features)))
        values = _places(self.pool(self.value(features)))
        found = self._attend(queries, keys, values).transpose(1, 2)
        return features + self.norm(self.output(found.unflatten(2, features.shape[2:])))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """``(B, N, d)``, ``(B, M, d)``, ``(B, M, e)`` to ``(B, N, e)``."""
        if self.pairwise == "dot_product":
            # Keys and values first: no (N, M) matrix.
            return queries @ (keys.transpose(1, 2) @ (values / values.shape[1]))
        # With a dimension of one head: torch's fused kernels take no fewer.
        query, key, value = (tensor.unsqueeze(1) for tensor in (queries, keys, values))
        scale = None if self.scaled else 1.0
        return F.scaled_dot_product_attention(query, key, value, scale=scale).squeeze(1)


def _projection(channels: int, to: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, to, 1)
    weight, bias = conv.parameters()
    nn.init.normal_(weight, std=0.01)
    nn.init.zeros_(bias)
    return conv


def _places(maps: Tensor) -> Tensor:
    """``(B, C, h, w)`` to ``(B, h w, C)``."""
    return maps.flatten(2).transpose(1, 2)
