"""The model: backbone with inserts, CAM head, fusion, box extractor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from wsoltool.errors import ConfigError
from wsoltool.models.batch_statistics import one_image_problem
from wsoltool.models.contracts import Backbone, BoxExtractor, CAMHead, Fusion, MapSource
from wsoltool.models.erasing import erasing_figures
from wsoltool.models.erasures import would_be_erased
from wsoltool.models.insertion import Inserts
from wsoltool.models.prediction import Prediction, to_cpu
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.structures import Erasure, Sample, Samples, View, ViewMaps

logger = logging.getLogger(__name__)

#: The images as a view shows them, and their features.
Seen = tuple[Tensor, dict[str, Tensor]]

#: Chooses the classes to map from an image's record and its ``(K,)`` scores.
ClassQuery = Callable[[Sample, Tensor], Sequence[int]]


class HeadMaps(MapSource):
    """The head's own maps, from the features at hand."""

    def maps(
        self,
        backbone: Backbone,
        head: CAMHead,
        images: Tensor,
        features: Any,
        class_ids: Tensor,
    ) -> dict[str, Tensor]:
        return head.maps(features, class_ids)


def labels_and_top1(sample: Sample, scores: Tensor) -> list[int]:
    """The image's own classes where they are known, and the predicted one."""
    top1 = int(scores.argmax())
    if np.ndim(sample.label):
        labels = np.flatnonzero(np.asarray(sample.label) > 0).tolist()
    else:
        labels = [int(sample.label)] if sample.label >= 0 else []
    return list(dict.fromkeys([*labels, top1]))


class Localizer(BaseModel):
    """From images to class scores, localization maps and boxes.

    Built from a config by :func:`wsoltool.models.builder.build_localizer`.

    Args:
        backbone: Images to features.
        head: Features to scores, losses and raw maps.
        fusion: Views of the image, and their maps made one.
        boxes: Map to boxes.
        preprocessor: Normalisation and batch augmentations.
        inserts: Modules at insert points of the backbone.
        map_source: Where maps come from; the head by default.

    Raises:
        ConfigError: A part asks for a feature that the backbone has not, or no view gives scores.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: CAMHead,
        fusion: Fusion,
        boxes: BoxExtractor,
        preprocessor: Preprocessor,
        inserts: Inserts | None = None,
        map_source: MapSource | None = None,
    ) -> None:
        super().__init__(data_preprocessor=preprocessor)
        self.backbone = backbone
        self.head = head
        self.inserts = inserts
        self.map_source = map_source or HeadMaps()
        self._set_test(fusion, boxes)
        head.bind(backbone)
        self._check_parts()
        self._check_source()
        backbone.want(head.taps)
        if preprocessor.channels_last:
            # In the images' memory format a MobileNet's step takes half the time on CPUs.
            self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Nothing: every part initialises itself when built, pretrained weights included."""

    def _set_test(self, fusion: Fusion, boxes: BoxExtractor) -> None:
        """What predicting needs besides networks."""
        self.fusion = fusion
        self.boxes = boxes
        #: Which classes are mapped at test; commands replace it.
        self.class_query: ClassQuery = labels_and_top1
        #: Whether predictions are for pictures: they then hold the head's part maps, and what
        #: erasers would hide, which takes a run of the backbone more. Tests leave it off.
        self.for_pictures = False
        self._cover_told = False
        # Found now, not at the first validation after hours of training.
        if not any(view.scores for view in fusion.views()):
            what = f"no view of {type(fusion).__name__} gives class scores"
            raise ConfigError(what, at="model.fusion")

    def _check_parts(self) -> None:
        wanted = {
            "head": self.head.taps,
            "map_source": self.map_source.features,
            "boxes": self.boxes.features,
        }
        for key, names in wanted.items():
            for name in names:
                try:
                    self.backbone.step_of(name)
                except ConfigError as error:
                    raise error.located(f"model.{key}") from error

    def _check_source(self) -> None:
        try:
            self.map_source.check(self.head)
        except ConfigError as error:
            raise error.located("model.map_source") from error

    def forward(self, inputs: Any, samples: Any = None, mode: str = "tensor") -> Any:
        """mmengine's entry, on what the preprocessor answers.

        Args:
            inputs: ``(B, 3, H, W)`` normalised images; to ``predict``, also a list of
                ``(1, 3, H, W)``.
            samples: Their :class:`Samples`; ``tensor`` needs none.
            mode: ``loss`` answers a dict of scalars, ``predict`` the predictions, ``tensor`` the
                logits ``(B, K)``.

        Raises:
            ConfigError: ``loss`` of one image, where BatchNorms take their statistics from it.
        """
        if mode == "loss":
            if len(inputs) == 1 and (problem := one_image_problem(self)):
                raise problem
            # The head may run later layers again: their erasers need the samples too.
            with self._shown_to_inserts(samples):
                losses = self.head.loss(self.backbone(inputs), samples)
            return losses | erasing_figures(self.inserts)
        if mode == "predict":
            return self.predict(inputs, samples)
        if mode == "tensor":
            return self.head.logits(self.extract(inputs))
        raise ConfigError(f"unknown mode {mode!r}", expected="loss, predict or tensor")

    def extract(self, images: Tensor, samples: Samples | None = None) -> dict[str, Tensor]:
        """Features by name, through all inserts."""
        with self._shown_to_inserts(samples):
            return self.backbone(images)

    def _shown_to_inserts(self, samples: Samples | None) -> AbstractContextManager[None]:
        return nullcontext() if self.inserts is None else self.inserts.samples(samples)

    @torch.no_grad()
    def predict(self, inputs: Tensor | list[Tensor], samples: Samples) -> list[Prediction]:
        """Scores and maps of every image of a normalised batch.

        Args:
            inputs: ``(B, 3, H, W)``, or B of ``(1, 3, H, W)`` where sizes differ.
            samples: Of the same images.
        """
        if isinstance(inputs, Tensor):
            return self._predict(inputs, samples)
        by_size: dict[torch.Size, list[int]] = {}
        for index, image in enumerate(inputs):
            by_size.setdefault(image.shape, []).append(index)
        found: dict[int, Prediction] = {}
        for indices in by_size.values():
            images = torch.cat([inputs[index] for index in indices])
            found.update(zip(indices, self._predict(images, samples.select(indices)), strict=True))
        return [found[index] for index in range(len(inputs))]

    def _predict(self, images: Tensor, samples: Samples) -> list[Prediction]:
        first, *others = self.fusion.views()
        with self._all_features():
            # Classes are asked by their scores: the other views wait, so that no more features
            # than needed are in memory.
            seen = {v: self._see(v, images) for v in (first, *others) if v is first or v.scores}
            scores = self._mean_scores([f for view, (_, f) in seen.items() if view.scores])
            class_ids, counts = self._ask(scores, samples)
            asked = class_ids.to(images.device)
            features = seen[first][1]
            context = to_cpu({name: first.undo(features[name]) for name in self.boxes.features})
            parts = self._part_maps(first, features)
            erasures = self._erasures(first, seen[first][0], samples)
            del features
            # Where no image asks for a class, no map is made, and the other views are not run.
            mapped = (first, *others) if any(counts) else ()
            maps = [self._view_maps(view, seen, images, asked) for view in mapped]
        return [
            Prediction(
                sample=sample,
                scores=scores[index].numpy(),
                class_ids=class_ids[index, : counts[index]].tolist(),
                maps=[
                    ViewMaps(m.view, {n: b[index, : counts[index]] for n, b in m.branches.items()})
                    for m in maps
                ],
                fusion=self.fusion,
                extractor=self.boxes,
                features={name: feature[index] for name, feature in context.items()},
                part_maps=None if parts is None else parts[index],
                erasures=None if erasures is None else erasures[index],
            )
            for index, sample in enumerate(samples)
        ]

    def _all_features(self) -> AbstractContextManager[Any]:
        """Within the block, the backbone answers all features that a prediction needs."""
        return self.backbone.also((*self.map_source.features, *self.boxes.features))

    def _see(self, view: View, images: Tensor) -> Seen:
        """The images as a view shows them, and their features."""
        shown = view.apply(images)
        features = self.extract(shown)
        self._check_cover(shown, features["last"])
        return shown, features

    def _check_cover(self, images: Tensor, last: Tensor) -> None:
        """Say once if the map is stretched over clearly more or fewer pixels than it covers."""
        stride = self.backbone.output_stride
        pixels, cells = images.shape[-2:], last.shape[-2:]
        rest = max(abs(side - stride * n) for side, n in zip(pixels, cells, strict=True))
        divides = all(side % stride == 0 for side in pixels)
        if self._cover_told or divides or 2 * rest <= stride or not self.backbone.tiles:
            return
        self._cover_told = True
        logger.warning(
            "images of %d x %d pixels do not divide by the output stride %d: maps of %d x %d cells "
            "are stretched by up to %d pixels; Resize to multiples of %d, or "
            "ResizeShortSide(multiple_of=%d), avoid that",
            *(*pixels, stride, *cells, rest, stride, stride),
        )

    def _mean_scores(self, features: Sequence[dict[str, Tensor]]) -> Tensor:
        """``(B, K)`` float32 on the CPU: the mean over views."""
        return torch.stack([self.head.scores(f).float() for f in features]).mean(dim=0).cpu()

    def _view_maps(
        self, view: View, seen: dict[View, Seen], images: Tensor, class_ids: Tensor
    ) -> ViewMaps:
        """``(B, n, h, w)`` raw maps of a view, on the CPU and not mirrored; it leaves ``seen``."""
        shown, features = seen.pop(view) if view in seen else self._see(view, images)
        return ViewMaps(view, self._branches(view, shown, features, class_ids))

    def _branches(
        self, view: View, shown: Tensor, features: dict[str, Tensor], class_ids: Tensor
    ) -> dict[str, Tensor]:
        maps = self.map_source.maps(self.backbone, self.head, shown, features, class_ids)
        return to_cpu({name: view.undo(m) for name, m in maps.items()})

    def _part_maps(self, view: View, features: dict[str, Tensor]) -> Tensor | None:
        """``(B, P, h, w)`` in [0, 1] on the CPU, not mirrored; None if not wanted or no parts."""
        found = self.head.part_maps(features) if self.for_pictures else None
        return None if found is None else to_cpu({"parts": view.undo(found)})["parts"]

    def _erasures(
        self, view: View, shown: Tensor, samples: Samples
    ) -> list[dict[str, Erasure]] | None:
        """By insert, of each of the images as the view shows them; None if not wanted."""
        if not self.for_pictures or self.inserts is None:
            return None
        return would_be_erased(self.backbone, self.inserts, shown, samples, view)

    def _ask(self, scores: Tensor, samples: Samples) -> tuple[Tensor, list[int]]:
        """``(B, n)`` classes to map, and how many of each row were asked for."""
        pairs = zip(samples, scores, strict=True)
        asked = [list(self.class_query(sample, row)) for sample, row in pairs]
        # Images ask for different numbers of classes, some for none: rows are filled up.
        width = max(1, *map(len, asked))
        rows = [row + (row or [0])[:1] * (width - len(row)) for row in asked]
        return torch.tensor(rows, dtype=torch.int64), [len(row) for row in asked]
