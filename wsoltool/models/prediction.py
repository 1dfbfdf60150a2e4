"""What the localizer answers for one image; maps and boxes are made when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wsoltool.errors import EvaluationError
from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.contracts import BoxExtractor, Fusion
from wsoltool.structures import BoxContext, Boxes, Erasure, Sample, Size, ViewMaps


class Prediction:
    """Class scores, localization maps and boxes of one image.

    Only the small raw maps and the boxes are kept; a full-size map lives as long as somebody holds
    it, and is made once in that time: who wants a class's map and its boxes asks for the map first.

    Args:
        sample: The image's record.
        scores: ``(K,)`` float32 probabilities.
        class_ids: The n classes whose maps were asked for.
        maps: Raw maps of every view, branches ``(n, h, w)``.
        fusion: Makes one map of them.
        extractor: Makes boxes of that.
        features: Feature name -> ``(C, h, w)``, what the extractor asks for.
        part_maps: ``(P, h, w)`` float32 in [0, 1] of the head's parts, where they were wanted and
            the head has them.
        erasures: Name of an insert -> what it would hide in training, where that was wanted.
    """

    def __init__(
        self,
        sample: Sample,
        scores: np.ndarray,
        class_ids: Sequence[int],
        maps: Sequence[ViewMaps],
        fusion: Fusion,
        extractor: BoxExtractor,
        features: Mapping[str, Tensor] | None = None,
        part_maps: Tensor | None = None,
        erasures: Mapping[str, Erasure] | None = None,
    ) -> None:
        self.sample = sample
        self.scores = scores
        self.class_ids = tuple(class_ids)
        self._maps = tuple(maps)
        self._fusion = fusion
        self._extractor = extractor
        self._features = dict(features or {})
        self._part_maps = part_maps
        self._erasures = dict(erasures or {})
        self._boxes: dict[int, Boxes] = {}
        # Predictions of a batch live until all of it is scored, too long for maps of large images.
        self._in_use: WeakValueDictionary[tuple[int, Size], np.ndarray] = WeakValueDictionary()

    def top_classes(self, count: int) -> list[int]:
        """The classes with the highest scores, best first; ties by class index."""
        return np.argsort(-self.scores, kind="stable")[:count].tolist()

    def map(self, class_id: int, size: Size | None = None) -> np.ndarray:
        """The localization map ``(H, W)`` float32 in [0, 1] of a class; not to be written to.

        While somebody holds an answer, the next of the same class and size is the same array.

        Args:
            class_id: One of :attr:`class_ids`.
            size: Of the answer, which always shows the whole original image; the original size by
                default.

        Raises:
            EvaluationError: The class was not asked for.
        """
        size = size or self.sample.size
        key = class_id, (size[0], size[1])
        found = self._in_use.get(key)
        if found is None:
            raw = self.raw_maps(class_id)
            target, window = _window(self.sample, size)
            found = _paste(self._fusion.fuse(raw, target)[0].numpy(), size, window)
            self._in_use[key] = found
        return found

    def branches_at(self, class_id: int, size: Size | None = None) -> dict[str, np.ndarray]:
        """Maps ``(H, W)`` float32 in [0, 1] by name that the fusion shows beside its own.

        Args:
            class_id: As of :meth:`map`.
            size: As of :meth:`map`.

        Returns:
            Empty where the fusion shows none, as that of a single branch.

        Raises:
            EvaluationError: The class was not asked for.
        """
        size = size or self.sample.size
        target, window = _window(self.sample, size)
        shown = self._fusion.pictured(self.raw_maps(class_id), target)
        return {name: _paste(maps[0].numpy(), size, window) for name, maps in shown.items()}

    @property
    def part_maps(self) -> Tensor | None:
        """Raw maps of the head's parts ``(P, h, w)``, not mirrored; None if there are none."""
        return None if self._part_maps is None else _unflip(self._part_maps, self.sample)

    def part_maps_at(self, size: Size | None = None) -> np.ndarray | None:
        """The parts ``(P, H, W)`` float32 in [0, 1]: what the head answered, enlarged.

        Nothing is stretched to [0, 1] here; pixels that the network did not see are 0.

        Args:
            size: As of :meth:`map`.

        Returns:
            None where part maps were not wanted or the head has none.
        """
        raw, size = self.part_maps, size or self.sample.size
        if raw is None:
            return None
        target, window = _window(self.sample, size)
        return _paste(resize_maps(raw, target).numpy(), size, window)

    def erasures_at(self, size: Size | None = None) -> dict[str, Erasure]:
        """What erasers would hide in training, by insert, with maps ``(H, W)`` float32 in [0, 1].

        ``kept`` is enlarged cell by cell (nearest neighbour); pixels that the network did not see
        are not hidden. ``attention`` is scaled to [0, 1] and enlarged bilinearly, for display
        alone; what the network did not see is 0.

        Args:
            size: As of :meth:`map`.

        Returns:
            Empty where erasures were not wanted or no insert is a mask eraser.
        """
        size = size or self.sample.size
        return {name: self._placed(erasure, size) for name, erasure in self._erasures.items()}

    def _placed(self, erasure: Erasure, size: Size) -> Erasure:
        target, window = _window(self.sample, size)
        kept = _unflip(torch.from_numpy(erasure.kept), self.sample)
        cells = F.interpolate(kept[None, None], target, mode="nearest-exact")[0, 0].numpy()
        attention = erasure.attention
        if attention is not None:
            scaled = minmax_normalize(_unflip(torch.from_numpy(attention), self.sample))
            attention = _paste(resize_maps(scaled, target).numpy(), size, window)
        return replace(erasure, kept=1 - _paste(1 - cells, size, window), attention=attention)

    def raw_maps(self, class_id: int) -> list[ViewMaps]:
        """Every view's raw maps of one class: branches ``(1, h, w)``, not mirrored."""
        if class_id not in self.class_ids:
            raise EvaluationError(
                f"no map of class {class_id} for {self.sample.image_id!r}",
                known=map(str, self.class_ids),
                hint="ask for it when predicting",
            )
        row = self.class_ids.index(class_id)
        return [
            ViewMaps(
                view.view,
                {
                    name: _unflip(maps[row : row + 1], self.sample)
                    for name, maps in view.branches.items()
                },
            )
            for view in self._maps
        ]

    def boxes(self, class_id: int) -> Boxes:
        """The extractor's boxes of a class, pixels of the original image; found once.

        Raises:
            EvaluationError: The class was not asked for.
        """
        if class_id not in self._boxes:
            self._boxes[class_id] = self._found_boxes(class_id)
        return self._boxes[class_id]

    def _found_boxes(self, class_id: int) -> Boxes:
        raw = self.raw_maps(class_id)
        context = BoxContext(
            class_id=class_id,
            region=self.sample.region,
            maps=raw,
            fused=lambda size: self._fusion.fuse(raw, size)[0].numpy(),
            features={name: _unflip(f, self.sample) for name, f in self._features.items()},
        )
        return self._extractor(self.map(class_id), context)


def _paste(maps: np.ndarray, size: Size, window: tuple[slice, slice]) -> np.ndarray:
    """Maps ``(..., h, w)`` at their place in zeros ``(..., *size)``."""
    if maps.shape[-2:] == size:
        return maps
    canvas = np.zeros((*maps.shape[:-2], *size), np.float32)
    canvas[..., window[0], window[1]] = maps
    return canvas


def _unflip(maps: Tensor, sample: Sample) -> Tensor:
    return maps.flip(-1) if sample.flipped else maps


def _window(sample: Sample, size: Size) -> tuple[Size, tuple[slice, slice]]:
    """Size and place, in an image of ``size``, of the region that the network saw."""
    (height, width), (x0, y0, x1, y1) = sample.size, sample.region
    rows = _pixels(y0, y1, size[0] / height, size[0])
    columns = _pixels(x0, x1, size[1] / width, size[1])
    return (rows.stop - rows.start, columns.stop - columns.start), (rows, columns)


def _pixels(low: float, high: float, scale: float, side: int) -> slice:
    # Halves go up at both ends, so that a region of whole pixels keeps its length.
    start = min(max(floor(low * scale + 0.5), 0), side - 1)
    return slice(start, min(max(floor(high * scale + 0.5), start + 1), side))


def to_cpu(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps as float32 on the CPU, whatever device and precision they were computed in."""
    return {name: tensor.detach().to("cpu", torch.float32) for name, tensor in maps.items()}
