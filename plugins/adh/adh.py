"""Attention-based dual hiding, section 4.2 of Zhang's thesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from wsoltool.errors import ConfigError, check_choice, check_number, is_whole
from wsoltool.functional.selection import (
    CASES,
    MEANINGS,
    Selection,
    self_attention,
    strongest,
)
from wsoltool.models.contracts import MaskEraser
from wsoltool.structures import Hiding, Samples
from wsoltool_plugins.adh.regions import CHANNEL_SCORES, channel_regions, spatial_regions

#: A softmax is not sharper than this; at 0 it would be a maximum.
_LOWEST_TEMPERATURE = 1e-6


class DualHiding(MaskEraser):
    r"""Hides the peak of the attention, and squares around where features are expected.

    Three parts make one mask, the same at every channel:

    - the peak of the self-attention :math:`l`, the mean over the channels (Eqs. 10, 11):
      :math:`\{l \ge 0.8 \max l\}`;
    - the areas around the expected pixels of the self-attention: the soft-argmax of its spatial
      softmax (Eq. 13), and the square of ``block_size`` around it (Figure 20);
    - the areas around the expected pixels of the channels with the highest scores (Eq. 14).

    Which images it acts on is the rule of the selection strategy, asked of the peak alone: this
    mask takes the place of :math:`M_{drop1}` in Algorithm 1. In ``hidden`` images it is hidden, in
    ``scattered`` ones the background too, in ``passed`` ones nothing. Each insert point decides
    alone. Features must not be negative: insert it behind a ReLU; training stops otherwise.

    **The expected pixel is a mean.** At the printed ``temperature`` of 1, a map whose values differ
    by less than 1 or so has a softmax that is nearly uniform, and its expected pixel lies near the
    middle of the map, whatever the image; with two peaks it lies between them. The self-attention
    is such a map in many networks, single channels are less so. A low ``temperature`` finds the
    strongest position, which may be an artefact of the map's border. The plugin's README has
    figures.

    Args:
        peak: The peak is where the attention reaches this share of its maximum; the thesis has 0.8
            with VGG16 and 0.9 with ResNet50.
        block_size: Side of the areas in positions, odd: a square has a centre. They are cut at the
            border of the map. The configs have 3 on 14 x 14 positions and 5 on 28 x 28.
        spatial: Areas of the self-attention, see
            :func:`~wsoltool_plugins.adh.regions.spatial_regions`; 0 for none.
        channel: Areas of channels, one for each of as many; 0 for none.
        channel_score: ``weighted``, ``peak``, ``gap`` or ``logsumexp``, see
            :func:`~wsoltool_plugins.adh.regions.channel_scores`.
        temperature: T of every spatial softmax, in units of the features.
        selection: What differs from the defaults of
            :class:`~wsoltool.functional.selection.Selection`, by name.
        always_hide: Hide in every image, without asking.

    Raises:
        ConfigError: A value out of range, an unknown name, or thresholds out of order.
    """

    cases = CASES
    meanings = MEANINGS

    def __init__(
        self,
        peak: float = 0.8,
        block_size: int = 3,
        spatial: int = 1,
        channel: int = 1,
        channel_score: str = "weighted",
        temperature: float = 1.0,
        selection: Mapping[str, Any] | None = None,
        always_hide: bool = False,
    ) -> None:
        super().__init__()
        check_number("DualHiding: temperature", temperature, lowest=_LOWEST_TEMPERATURE)
        _check_areas(block_size, spatial=spatial, channel=channel)
        what = f"DualHiding: unknown channel_score={channel_score!r}"
        check_choice(what, channel_score, CHANNEL_SCORES)
        self.peak = peak
        self.block_size = block_size
        self.spatial = spatial
        self.channel = channel
        self.channel_score = channel_score
        self.temperature = temperature
        self.selection = _selection(selection, peak, always_hide)

    def hide(self, features: Tensor, samples: Samples) -> Hiding:
        """The three parts and Algorithm 1 on features ``(B, C, h, w)``; labels are not looked at.

        Raises:
            ShapeError: The features have fewer channels than there are to be areas of them.
        """
        attention = self_attention(features)
        peak = strongest(attention, self.peak)
        cases = self.selection.cases(attention, peak)
        hidden = peak | self._areas(features, attention)
        return Hiding(self.selection.kept(attention, cases, hidden), attention, cases)

    def _areas(self, features: Tensor, attention: Tensor) -> Tensor:
        spatial = spatial_regions(attention, self.spatial, self.block_size, self.temperature)
        channel = channel_regions(
            features, self.channel, self.block_size, self.channel_score, self.temperature
        )
        return spatial | channel


def _check_areas(block_size: object, **counts: object) -> None:
    if not is_whole(block_size, lowest=1) or block_size % 2 == 0:
        what = f"DualHiding: block_size={block_size!r}"
        raise ConfigError(what, expected="an odd number of positions: a square has a centre")
    for name, count in counts.items():
        if not is_whole(count, lowest=0):
            what = f"DualHiding: {name}={count!r}"
            raise ConfigError(what, expected="a whole number of areas; 0 for none")


def _selection(changes: Mapping[str, Any] | None, peak: float, always_hide: bool) -> Selection:
    known = [field.name for field in fields(Selection) if field.name != "always_hide"]
    if changes is not None and not isinstance(changes, Mapping):
        expected = f"a dict of {', '.join(known)}"
        raise ConfigError(f"DualHiding: selection={changes!r}", expected=expected)
    for name in changes or ():
        check_choice(f"DualHiding: unknown key {name!r} in selection", name, known)
    selection = Selection(**(changes or {}), always_hide=always_hide)
    selection.check_peak(peak)
    return selection
