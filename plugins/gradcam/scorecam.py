"""Maps weighted by the score that the image keeps when seen through each channel alone.

B images, C channels, n asked classes, h x w the target's grid, H x W the input.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from wsoltool.errors import ConfigError
from wsoltool.functional.cams import (
    channel_masks,
    check_class_ids,
    score_cam_weights,
    weighted_channel_sum,
)
from wsoltool.functional.maps import minmax_normalize
from wsoltool.models.contracts import Backbone, CAMHead, MapSource


class ScoreCAM(MapSource):
    r"""Weigh channels by the score of the masked image (Wang et al., Algorithm 1).

    .. math::
        H_k = s(\operatorname{Up}(A_k)), \qquad
        w_k^c = \operatorname{softmax}_k\bigl(f^c(X \circ H_k)\bigr), \qquad
        L^c = \operatorname{ReLU}\Bigl(\sum_k w_k^c A_k\Bigr)

    f is the logit (the softmax takes its difference to any baseline, which cancels). A channel that
    is constant masks nothing: it gets no weight and costs no forward. The masked images are
    normalised ones, so that what a mask hides becomes the mean colour.

    Every image takes C forwards (512 for VGG16, 2048 for ResNet50).

    Args:
        target: The feature A: a name that the backbone offers.
        batch_size: Masked images in one forward; bounds the memory, does not change the result.
        max_channels: Use no more than this many channels of each image, those of the largest
            standard deviation over the grid, and leave the others out of the softmax. Not in the
            paper: an approximation to save time. None uses all.
    """

    def __init__(
        self, target: str = "last", batch_size: int = 32, max_channels: int | None = None
    ) -> None:
        _check_count("batch_size", batch_size)
        if max_channels is not None:
            _check_count("max_channels", max_channels)
        self.target = target
        self.features = (target,)
        self.batch_size = batch_size
        self.max_channels = max_channels

    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        """``cam``: raw maps ``(B, n, h, w)``.

        Raises:
            ShapeError: A class that the head has not.
        """
        check_class_ids(class_ids, len(images), head.num_classes)
        activations = features[self.target]
        with torch.no_grad(), backbone.also(head.taps):
            scores = self._channel_scores(backbone, head, images, activations, class_ids)
            maps = weighted_channel_sum(activations, score_cam_weights(scores)).relu()
        return {"cam": maps}

    def _channel_scores(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        activations: Tensor,
        class_ids: Tensor,
    ) -> Tensor:
        """``(B, C, n)`` logits of the masked images; -inf for channels that are left out."""
        used = self._used_channels(activations)
        scores = activations.new_full((*used.shape, class_ids.shape[1]), -torch.inf)
        # (image, channel) pairs of the whole batch fill the forwards without gaps.
        pairs = used.nonzero()
        height, width = images.shape[-2:]
        for start in range(0, len(pairs), self.batch_size):
            image, channel = pairs[start : start + self.batch_size].unbind(dim=1)
            masks = channel_masks(activations[image, channel], (height, width))
            masked = images[image] * masks[:, None].to(images.dtype)
            logits = head.logits(backbone(masked))
            scores[image, channel] = logits.gather(1, class_ids[image]).to(scores.dtype)
        return scores

    def _used_channels(self, activations: Tensor) -> Tensor:
        """``(B, C)`` bool: the channels that vary, at most ``max_channels`` an image."""
        used = minmax_normalize(activations).amax((2, 3)) > 0
        spread = activations.flatten(2).std(dim=2, correction=0)
        if self.max_channels is not None and self.max_channels < spread.shape[1]:
            strongest = spread.topk(self.max_channels, dim=1).indices
            used &= torch.zeros_like(used).scatter(1, strongest, True)
        return used


def _check_count(key: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key}={value!r}", expected="an integer of 1 or more")
