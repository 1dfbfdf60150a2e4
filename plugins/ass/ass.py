"""The selection strategy, section 3.2 of Zhang's thesis."""

from __future__ import annotations

from torch import Tensor

from wsoltool.functional.selection import (
    CASES,
    MEANINGS,
    Selection,
    self_attention,
    strongest,
)
from wsoltool.models.contracts import MaskEraser
from wsoltool.structures import Hiding, Samples


class SelectionStrategy(MaskEraser):
    r"""Hides the most discriminative part, the background too, or nothing, image by image.

    On the self-attention l, the mean over the channels (Eq. 10), three sets are thresholded
    (Eq. 11): the peak :math:`D_1 = \{l \ge 0.8 \max l\}`, the background
    :math:`D_2 = \{l < 0.2 \max l\}` and the estimated target :math:`T = \{l \ge 0.3 \max l\}`.
    Algorithm 1 then asks in turn:

    1. ``scattered``: the peak has enough positions, and they lie far apart (Eq. 12). It covers
       things that are not the target: peak and background are hidden.
    2. ``passed``: the target is small, or the peak covers much of it: nothing is hidden.
    3. ``hidden``: all other images. The peak is hidden.

    The decision is each insert point's own. Features must not be negative: insert it behind a ReLU;
    training stops otherwise.

    Args:
        peak: :math:`D_1` is where the attention reaches this share of its maximum.
        background: :math:`D_2` is where it stays below this share.
        target: T is where it reaches this share.
        dispersion: The least Eq. 12 of a scattered peak, in squared feature pixels. It grows as the
            square of the map's side: 40 is reached on 28 x 28 positions, hardly on 14 x 14.
        min_pixels: The fewest positions of a scattered peak; None: 1 % of the map, at least 3.
        small_target: A target below this share of the map is small.
        large_peak: A peak above this share of the target covers much of it.
        mu1: Weight of the variances in Eq. 12.
        mu2: Weight of the number of 8-connected regions in Eq. 12. To count them breaks the graph
            of a compiled backbone.
        always_hide: Hide every image's peak without asking (Table 2, CAM + :math:`M_{drop1}`).

    Raises:
        ConfigError: A value out of range, or thresholds out of order.
    """

    cases = CASES
    meanings = MEANINGS

    def __init__(
        self,
        peak: float = 0.8,
        background: float = 0.2,
        target: float = 0.3,
        dispersion: float = 40.0,
        min_pixels: int | None = None,
        small_target: float = 0.2,
        large_peak: float = 0.3,
        mu1: float = 1.0,
        mu2: float = 0.0,
        always_hide: bool = False,
    ) -> None:
        super().__init__()
        self.selection = Selection(
            target=target,
            background=background,
            dispersion=dispersion,
            min_pixels=min_pixels,
            small_target=small_target,
            large_peak=large_peak,
            mu1=mu1,
            mu2=mu2,
            always_hide=always_hide,
        )
        self.selection.check_peak(peak)
        self.peak = peak

    def hide(self, features: Tensor, samples: Samples) -> Hiding:
        """Algorithm 1 on features ``(B, C, h, w)``; labels are not looked at."""
        attention = self_attention(features)
        peak = strongest(attention, self.peak)
        cases = self.selection.cases(attention, peak)
        return Hiding(self.selection.kept(attention, cases, peak), attention, cases)
