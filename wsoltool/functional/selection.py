r"""Which images an eraser should touch: by where the strongest activations lie.

The selection strategy of Z. Zhang, "Localizing Object Position by Using only Image-level Labels",
Master's thesis, Concordia University, 2021, chapter 3; chapter 4 hides more by the same rule. Whole
batches at once: B images, C channels, h x w a feature grid. Attention is not negative (after a
ReLU).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from wsoltool.errors import ConfigError, ShapeError, check_number, is_whole

SCATTERED, PASSED, HIDDEN = range(3)
CASES = ("scattered", "passed", "hidden")
"""What Algorithm 1 does with an image, in the order in which it asks."""
MEANINGS = {
    "scattered": "the strongest positions lie far apart; they and the background are hidden",
    "passed": "the object looks small, or its strongest part covers much of it; nothing is hidden",
    "hidden": "the strongest positions are hidden, and nothing else",
}
"""Of the cases, in words."""


def self_attention(features: Tensor) -> Tensor:
    r"""The mean over the channels, Eq. 10: :math:`M = \frac{1}{C} \sum_i F_i`.

    Args:
        features: ``(B, C, h, w)`` float.

    Returns:
        ``(B, h, w)`` float32 or wider.
    """
    if features.ndim != 4:
        raise ShapeError(f"features {tuple(features.shape)}", expected="(B, C, h, w)")
    dtype = torch.promote_types(features.dtype, torch.float32)
    return features.mean(dim=1, dtype=dtype)


def strongest(attention: Tensor, share: float) -> Tensor:
    r"""Where :math:`l \ge \alpha \max l`, image by image: what Eq. 11 sets to zero.

    Args:
        attention: ``(B, h, w)``, not negative.
        share: The :math:`\alpha`, in [0, 1].

    Returns:
        ``(B, h, w)`` bool. Of a map of zeros it is everything.

    Example:
        >>> strongest(torch.tensor([[[1.0, 4.0, 5.0]]]), 0.8)
        tensor([[[False,  True,  True]]])
    """
    return attention >= share * attention.amax(dim=(1, 2), keepdim=True)


def dispersion(mask: Tensor, mu1: float = 1.0, mu2: float = 0.0) -> Tensor:
    r"""How far apart the positions of a mask lie, Eq. 12.

    .. math:: D = \mu_1 (\operatorname{Var} X + \operatorname{Var} Y) + \mu_2 P

    with the variances of the positions' columns and rows (over n, not n - 1), in squared feature
    pixels, and P the number of 8-connected regions. Spread evenly over 28 x 28 positions, the
    variances sum to 130.5, over 14 x 14 to 32.5.

    Args:
        mask: ``(B, h, w)`` bool.
        mu1: Weight of the variances.
        mu2: Weight of the regions.

    Returns:
        ``(B,)`` float32; 0 for an empty mask.

    Example:
        >>> dispersion(torch.tensor([[[True, False, False, False, True]]]))
        tensor([4.])
    """
    height, width = mask.shape[-2:]
    weights = mask.float()
    rows = torch.arange(height, dtype=torch.float32, device=mask.device)
    columns = torch.arange(width, dtype=torch.float32, device=mask.device)
    spread = _variance(weights.sum(dim=2), rows) + _variance(weights.sum(dim=1), columns)
    return mu1 * spread + (mu2 * count_regions(mask) if mu2 else 0.0)


def _variance(counts: Tensor, places: Tensor) -> Tensor:
    """Of ``places`` ``(n,)``, each of which row b has ``counts`` ``(B, n)`` times."""
    total = counts.sum(dim=1, keepdim=True).clamp(min=1)
    shares = counts / total
    centred = places - (shares * places).sum(dim=1, keepdim=True)
    return (shares * centred.square()).sum(dim=1)


def count_regions(mask: Tensor) -> Tensor:
    """The number of 8-connected regions of each mask, ``(B, h, w)`` bool to ``(B,)`` int64.

    Every position takes the highest number among its neighbours until none changes; what is left
    are as many numbers as regions.

    Example:
        >>> count_regions(torch.tensor([[[1, 0, 1], [0, 1, 0], [0, 0, 0]]], dtype=torch.bool))
        tensor([1])
    """
    own = torch.arange(1, mask[0].numel() + 1, device=mask.device).view(mask.shape[1:])
    own = own.double() * mask  # float32 would round the numbers of more than 2^24 positions
    numbers = own
    while True:
        spread = F.max_pool2d(numbers[:, None], 3, stride=1, padding=1)[:, 0] * mask
        if torch.equal(spread, numbers):
            return (mask & (numbers == own)).sum(dim=(1, 2))
        numbers = spread


@dataclass(frozen=True, slots=True)
class Selection:
    r"""Algorithm 1: what to do with each image, decided on its attention alone.

    With :math:`D_1` the peak, which an eraser would hide, and :math:`T` the estimated target,

    - ``scattered``, the peak covers no one thing: :math:`|D_1| \ge` ``min_pixels`` and a
      :func:`dispersion` of at least ``dispersion``. Peak and background are hidden.
    - ``passed``, else, where the target is small, :math:`|T| < small\_target \cdot h w`, or the
      peak is most of it already, :math:`|D_1| > large\_peak \cdot |T|`. Nothing is hidden.
    - ``hidden``, all others. The peak is hidden.

    Args:
        target: T is where the attention reaches this share of its maximum.
        background: The background is where it stays below this share.
        dispersion: In squared feature pixels. It depends on the map's size: 40 is reached on
            28 x 28 positions, hardly on 14 x 14; it grows as the square of the side.
        min_pixels: Of the peak; None: 1 % of the positions, at least 3.
        small_target: Share of the map.
        large_peak: Share of the target.
        mu1: See :func:`dispersion`.
        mu2: Likewise.
        always_hide: Take every image for ``hidden``, without asking (Table 2).

    Raises:
        ConfigError: A share outside [0, 1], a negative number, no whole one for ``min_pixels``, or
            neither True nor False for ``always_hide``.
    """

    target: float = 0.3
    background: float = 0.2
    dispersion: float = 40.0
    min_pixels: int | None = None
    small_target: float = 0.2
    large_peak: float = 0.3
    mu1: float = 1.0
    mu2: float = 0.0
    always_hide: bool = False

    def __post_init__(self) -> None:
        for name in ("target", "background", "small_target", "large_peak"):
            check_number(f"Selection: {name}", getattr(self, name), highest=1)
        for name in ("dispersion", "mu1", "mu2"):
            check_number(f"Selection: {name}", getattr(self, name))
        if self.min_pixels is not None and not is_whole(self.min_pixels, lowest=0):
            what = f"Selection: min_pixels={self.min_pixels!r}"
            raise ConfigError(what, expected="a whole number of 0 or more, or None")
        if not isinstance(self.always_hide, bool):
            what = f"Selection: always_hide={self.always_hide!r}"
            raise ConfigError(what, expected="True or False")

    def check_peak(self, peak: float) -> None:
        """Raise ConfigError unless ``peak`` is a share at which the peak is part of the target."""
        check_number("Selection: peak", peak, highest=1)
        if not self.background <= self.target <= peak:
            raise ConfigError(
                f"Selection: background={self.background}, target={self.target}, peak={peak}",
                expected="background <= target <= peak: the peak is part of the target",
            )

    def cases(self, attention: Tensor, peak: Tensor) -> Tensor:
        """``(B,)`` int64, indices into :data:`CASES`.

        Args:
            attention: ``(B, h, w)``, not negative.
            peak: ``(B, h, w)`` bool, :math:`D_1`.
        """
        if self.always_hide:
            return torch.full((len(peak),), HIDDEN, device=peak.device)
        positions = peak[0].numel()
        least = max(3, math.ceil(positions / 100)) if self.min_pixels is None else self.min_pixels
        peaks = peak.sum(dim=(1, 2))
        targets = strongest(attention, self.target).sum(dim=(1, 2))
        spread = dispersion(peak, self.mu1, self.mu2)
        scattered = (peaks >= least) & (spread >= self.dispersion)
        small = targets < self.small_target * positions
        passed = small | (peaks > self.large_peak * targets)
        return torch.where(scattered, SCATTERED, torch.where(passed, PASSED, HIDDEN))

    def kept(self, attention: Tensor, cases: Tensor, hidden: Tensor) -> Tensor:
        """``(B, h, w)`` bool: what each image's case leaves.

        Args:
            attention: ``(B, h, w)``, not negative.
            cases: ``(B,)`` as :meth:`cases` answers.
            hidden: ``(B, h, w)`` bool, what the eraser hides unless the image is passed.
        """
        cases = cases[:, None, None]
        background = ~strongest(attention, self.background)
        return ~((hidden & (cases != PASSED)) | (background & (cases == SCATTERED)))
