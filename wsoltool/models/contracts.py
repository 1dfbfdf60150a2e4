"""Base classes of the extension points: what a component receives and must answer.

A component subclasses exactly one of these, takes its options as keyword arguments, never changes
the arguments it was given, and raises :class:`~wsoltool.errors.WsolError` for values it cannot
use. B images, K classes, n asked classes, C channels, h x w a feature grid, H x W an image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from wsoltool.models.backbones.base import Backbone
from wsoltool.structures import BoxContext, Boxes, Hiding, Samples, Size, View, ViewMaps

__all__ = [
    "Backbone",
    "BatchAugmentation",
    "BoxExtractor",
    "CAMHead",
    "Eraser",
    "Fusion",
    "Loss",
    "MapSource",
    "MaskEraser",
    "Pooling",
    "Recalibration",
]


class Recalibration(nn.Module):
    """Feature map in, feature map of the same shape out, in training and at test.

    ``channels`` (int) and ``stride`` (int) of the insert point are injected into the constructor
    where its signature asks for them and the config does not give them.
    """

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``."""
        raise NotImplementedError


class Eraser(nn.Module):
    """Hides part of a feature map in training; the identity at test.

    Implement :meth:`erase` alone: :meth:`forward` keeps evaluation untouched. Random numbers come
    from torch's generator; no Python loop over the batch. ``channels`` and ``stride`` are injected
    as for :class:`Recalibration`.
    """

    @abstractmethod
    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C, h, w)``, called in training only."""

    def forward(self, features: Tensor, samples: Samples) -> Tensor:
        return self.erase(features, samples) if self.training else features


class MaskEraser(Eraser):
    """Hides positions, the same at every channel, chosen by looking at the features.

    Implement :meth:`hide` alone. The mask is a constant to the gradient, which passes where the
    features do. What was hidden is told in the training log (the shares of ``cases`` and of the
    hidden area, for each insert point) and drawn in galleries.

    Attributes:
        cases: Names of what it may do with an image, if there are several.
        meanings: Case -> what it means in words, for the legend of galleries.
        hiding: What it did with the last batch in training.
    """

    cases: Sequence[str] = ()
    meanings: Mapping[str, str] = {}
    hiding: Hiding | None = None

    @abstractmethod
    def hide(self, features: Tensor, samples: Samples) -> Hiding:
        """Features ``(B, C, h, w)``, without autograd, to what is to be hidden of them."""

    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        with torch.no_grad():
            self.hiding = self.hide(features, samples)
        return features * self.hiding.kept[:, None].to(features.dtype)


class Pooling(nn.Module):
    """Feature map to one value a channel, in heads that pool before they classify."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C)``."""


class BatchAugmentation(ABC):
    """Changes a training batch after normalisation, on the device."""

    @abstractmethod
    def __call__(self, images: Tensor, samples: Samples) -> tuple[Tensor, Samples]:
        """``(B, 3, H, W)`` normalised images and their samples; labels may become soft."""


class Loss(nn.Module):
    """Compares class scores with the samples' labels."""

    def forward(self, logits: Tensor, samples: Samples) -> Tensor:
        """``(B, K)`` logits to a scalar, the batch mean."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """``(B, K)`` logits to the probabilities that this loss trains; softmax by default."""
        return logits.softmax(dim=1)


class CAMHead(nn.Module):
    """Features to class scores and localization maps.

    ``channels``, a mapping from every feature name to its channel count, is injected into the
    constructor where its signature asks for it.

    Attributes:
        taps: The feature names that the head reads; set before the first forward.
        num_classes: K.
    """

    taps: Sequence[str] = ("last",)
    num_classes: int

    def bind(self, backbone: Backbone) -> None:
        """Called once after building, for heads that run later layers of ``backbone`` again.

        Keep it out of the module tree (``object.__setattr__`` or a tuple), or its weights appear
        twice in the checkpoint.
        """

    @abstractmethod
    def logits(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)`` class scores before softmax or sigmoid."""

    @abstractmethod
    def loss(self, features: Mapping[str, Tensor], samples: Samples) -> dict[str, Tensor]:
        """Scalars by name; those with ``loss`` in their name are summed and minimised.

        What is kept between batches belongs into buffers, which checkpoints hold; a head that
        changes them reduces over the ranks itself.
        """

    @abstractmethod
    def maps(self, features: Mapping[str, Tensor], class_ids: Tensor) -> dict[str, Tensor]:
        """Raw maps ``(B, n, h, w)`` by branch, for ``class_ids`` ``(B, n)`` int64.

        A class-agnostic head answers every asked class with the same map (``expand``).
        """

    def part_maps(self, features: Mapping[str, Tensor]) -> Tensor | None:
        """Maps of P object parts ``(B, P, h, w)`` in [0, 1], for pictures alone; None by default.

        The gallery draws each part in its own colour.
        """
        return None

    def class_weights(self) -> Tensor | None:
        """``(K, C)``: how classes weigh the channels of the one tapped feature; None by default.

        For map sources that read the classifier. A head whose scores are not linear in the pooled
        channels, or that has several taps, has none.
        """
        return None

    def class_vectors(self) -> Tensor | None:
        """``(K, D)``: a vector for each class, by which classes can be compared; None if none.

        The rows of :meth:`class_weights` by default; a head of several classifiers puts their
        rows side by side.
        """
        return self.class_weights()

    def scores(self, features: Mapping[str, Tensor]) -> Tensor:
        """``(B, K)`` probabilities for ranking classes; softmax of the logits by default."""
        return self.logits(features).softmax(dim=1)


class MapSource(ABC):
    """Where the maps come from; the head's own by default.

    Attributes:
        features: Names of backbone features that it needs besides the head's taps.
    """

    features: Sequence[str] = ()

    def check(self, head: CAMHead) -> None:  # noqa: B027  (most can read any head)
        """Raise ConfigError where it cannot read maps from ``head``; called before any training."""

    @abstractmethod
    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Mapping[str, Tensor],
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        """Raw maps ``(B, n, h, w)`` by branch.

        Called without autograd; a gradient method opens ``torch.enable_grad()`` itself and may run
        the backbone again on ``images`` ``(B, 3, H, W)``, which are normalised.
        """


class Fusion(ABC):
    """Chooses the views of an image and makes one map of views and branches.

    Normalisation to [0, 1] happens here and nowhere else.
    """

    @abstractmethod
    def views(self) -> tuple[View, ...]:
        """The views to run, at least one of them with ``scores``."""

    @abstractmethod
    def fuse(self, maps: Sequence[ViewMaps], size: Size) -> Tensor:
        """Maps of one image to ``(n, H, W)`` float32 in [0, 1] at ``size``.

        A constant map becomes zeros.
        """

    def pictured(self, maps: Sequence[ViewMaps], size: Size) -> dict[str, Tensor]:
        """Maps ``(n, H, W)`` in [0, 1] at ``size`` by name, for pictures alone; none by default.

        What the fused map was made of, as far as it helps to see it: the gallery draws each
        beside the fused map, under its name.
        """
        return {}


class BoxExtractor(ABC):
    """Turns one localization map into boxes.

    Attributes:
        features: Names of backbone features that it wants to find in the context.
    """

    features: Sequence[str] = ()

    @abstractmethod
    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        """``(H, W)`` float32 in [0, 1] at the original image's size to its boxes.

        No box is a valid answer. Boxes come surest first; an extractor that chooses a threshold
        for each image says which in ``thresholds``. (One that cuts all images at the same has it
        as its attribute ``threshold`` instead.)
        """
