"""What travels between the parts: samples, batches, views and predictions.

Boxes are always xyxy float32, pixels of the original image, x1 and y1 exclusive, unless a field
says otherwise. Sizes are always (height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    # Scoring maps needs records but no torch, which takes seconds to import.
    import torch
    from torch import Tensor

Size = tuple[int, int]
Region = tuple[float, float, float, float]


@dataclass(slots=True)
class Truth:
    """What is known of the objects in one image; never present in train-weaksup.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy, pixels of the original image, x1 y1 exclusive.
        annotated_boxes: ``(N, 4)`` float32, the numbers as the annotation writes them: the
            wsolevaluation protocol scores these, whatever convention they follow.
        part_boxes: ``(M, 4)`` float32 like ``boxes``, of the discriminative part, or None.
        mask: ``(H, W)`` uint8: 1 object, 0 background, 255 ignored; or None. It shows the whole
            original image, and where its file has another resolution, it keeps that one.
        labels: ``(N,)`` int64, the class of each box; None where all have the image's one label.
        difficult: ``(N,)`` bool, boxes that detection metrics neither demand nor punish (PASCAL
            VOC); None where there are none.
        segments: ``(H, W)`` int16: class index + 1, 0 background, -1 ignored; or None.
    """

    boxes: np.ndarray
    annotated_boxes: np.ndarray
    part_boxes: np.ndarray | None = None
    mask: np.ndarray | None = None
    labels: np.ndarray | None = None
    difficult: np.ndarray | None = None
    segments: np.ndarray | None = None


@dataclass(slots=True)
class Sample:
    """One image's record, light enough to be pickled from worker to trainer.

    Attributes:
        image_id: Unique in its data set; file-based sets use the path below the image root.
        label: Class index; or ``(K,)`` float32 multi-hot for multi-label sets; -1 if unknown.
        size: (height, width) of the original image.
        region: xyxy of the original-image rectangle that the network's input shows.
        flipped: The input shows ``region`` mirrored left to right.
        truth: Boxes and masks where the split has them.
    """

    image_id: str
    label: int | np.ndarray
    size: Size
    region: Region
    flipped: bool = False
    truth: Truth | None = None


@dataclass(slots=True)
class Samples:
    """The samples of a batch, with their labels as one tensor.

    Attributes:
        labels: ``(B,)`` int64 class indices, or ``(B, K)`` float32 soft or multi-hot targets.
        items: The B samples.
    """

    labels: Tensor
    items: tuple[Sample, ...] = field(default=())

    @classmethod
    def of(cls, items: Sequence[Sample]) -> Samples:
        """Stack the samples' labels."""
        import torch

        return cls(torch.as_tensor(np.stack([np.asarray(s.label) for s in items])), tuple(items))

    def to(self, device: torch.device | str) -> Samples:
        import torch

        # A copy to the CPU must be waited for: it would be read before it has arrived.
        waits = torch.device(device).type == "cpu"
        return replace(self, labels=self.labels.to(device, non_blocking=not waits))

    def select(self, indices: Sequence[int]) -> Samples:
        """The sub-batch at ``indices``, in that order."""
        return Samples(self.labels[list(indices)], tuple(self.items[i] for i in indices))

    def with_labels(self, labels: Tensor) -> Samples:
        """The same images with other (for example mixed) labels."""
        return replace(self, labels=labels)

    def class_indices(self) -> Tensor:
        """``(B,)`` int64: the label, or the strongest entry of a soft one."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(dim=1)

    def targets(self, num_classes: int) -> Tensor:
        """``(B, K)`` float32: one-hot, soft or multi-hot."""
        if self.labels.ndim == 2:
            return self.labels.float()
        from torch.nn import functional as F

        return F.one_hot(self.labels, num_classes).float()

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.items)


@dataclass(slots=True)
class Hiding:
    """What an eraser hides of a batch.

    Attributes:
        kept: ``(B, h, w)`` bool, or float in [0, 1]: what is left of each position.
        attention: ``(B, h, w)`` float, not negative: what the eraser decided on; None if it looks
            at nothing.
        cases: ``(B,)`` int64: what it did with each image, an index into its ``cases``; None where
            it knows one case alone.
    """

    kept: Tensor
    attention: Tensor | None = None
    cases: Tensor | None = None


@dataclass(slots=True)
class Erasure:
    """What a mask eraser would hide of one image, for pictures.

    Attributes:
        kept: ``(h, w)`` float32 in [0, 1]: what is left of each position.
        hidden: Share of all positions of the feature map that is hidden.
        attention: ``(h, w)`` float32: what the eraser decided on; None if it looks at nothing.
        case: What it did with the image; None where it knows one case alone.
        meaning: Of the case, in words; may be empty.
    """

    kept: np.ndarray
    hidden: float
    attention: np.ndarray | None = None
    case: str | None = None
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One way to show an image to the network at test time.

    Attributes:
        scale: Side length relative to the pipeline's input.
        flip: Mirrored left to right.
        scores: Whether the class scores are taken from this view.
    """

    scale: float = 1.0
    flip: bool = False
    scores: bool = True

    def apply(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` input, rescaled (antialiased bilinear) and mirrored."""
        if self.scale != 1.0:
            from torch.nn import functional as F

            size = [max(1, round(side * self.scale)) for side in images.shape[-2:]]
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        return images.flip(-1) if self.flip else images

    def undo(self, maps: Tensor) -> Tensor:
        """``(..., h, w)`` maps of this view, mirrored back."""
        return maps.flip(-1) if self.flip else maps


@dataclass(slots=True)
class ViewMaps:
    """Raw maps of one image under one view.

    Attributes:
        view: The view, already undone: maps are not mirrored.
        branches: Branch name -> ``(n, h, w)`` float32, one map for each asked class.
    """

    view: View
    branches: dict[str, Tensor]


@dataclass(slots=True)
class Boxes:
    """Boxes of one class in one image.

    Attributes:
        xyxy: ``(N, 4)`` float32, pixels of the original image, x1 y1 exclusive.
        scores: ``(N,)`` float32, higher is surer; comparable within one image.
        thresholds: ``(N,)`` float32 in [0, 1], at which each was cut, where the extractor chose it
            for this image; None where it did not.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    thresholds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.xyxy)


@dataclass(slots=True)
class BoxContext:
    """What a box extractor may look at besides the map.

    Attributes:
        class_id: The class that the map was asked for.
        region: xyxy of the original-image rectangle that the network saw.
        maps: The raw maps of that class, one entry a view: branch -> ``(1, h, w)``.
        fused: Answers the fused map ``(h, w)`` float32 in [0, 1] of ``region`` alone, at the asked
            size: on the grid of a feature, for example.
        features: Feature name -> ``(C, h, w)`` of the first view, as the extractor's
            ``features`` asks.
    """

    class_id: int
    region: Region
    maps: list[ViewMaps]
    fused: Callable[[Size], np.ndarray]
    features: dict[str, Tensor] = field(default_factory=dict)
