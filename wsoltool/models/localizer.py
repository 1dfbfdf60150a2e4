"""The model: backbone with inserts, CAM head, fusion, box extractor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from wsoltool.errors import ConfigError
from wsoltool.models.contracts import Backbone, BoxExtractor, CAMHead, Fusion, MapSource
from wsoltool.models.insertion import Inserts
from wsoltool.models.prediction import Prediction, to_cpu
from wsoltool.models.preprocessor import Preprocessor
from wsoltool.structures import Sample, Samples, View, ViewMaps

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
    if isinstance(sample.label, int):
        labels = [sample.label] if sample.label >= 0 else []
    else:
        labels = [int(index) for index in sample.label.nonzero()[0]]
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
        self.fusion = fusion
        self.boxes = boxes
        self.map_source = map_source or HeadMaps()
        #: Which classes are mapped at test; commands replace it.
        self.class_query: ClassQuery = labels_and_top1
        head.bind(backbone)
        backbone.want(head.taps)

    def init_weights(self) -> None:
        """Nothing: every part initialises itself when built, pretrained weights included."""

    def forward(self, inputs: Any, samples: Any = None, mode: str = "tensor") -> Any:
        """mmengine's entry, on what the preprocessor answers.

        Args:
            inputs: ``(B, 3, H, W)`` normalised images; to ``predict``, also a list of
                ``(1, 3, H, W)``.
            samples: Their :class:`Samples`; ``tensor`` needs none.
            mode: ``loss`` answers a dict of scalars, ``predict`` the predictions, ``tensor`` the
                logits ``(B, K)``.
        """
        if mode == "loss":
            return self.head.loss(self.extract(inputs, samples), samples)
        if mode == "predict":
            return self.predict(inputs, samples)
        if mode == "tensor":
            return self.head.logits(self.extract(inputs))
        raise ConfigError(f"unknown mode {mode!r}", expected="loss, predict or tensor")

    def extract(self, images: Tensor, samples: Samples | None = None) -> dict[str, Tensor]:
        """Features by name, through all inserts."""
        if self.inserts is None:
            return self.backbone(images)
        with self.inserts.samples(samples):
            return self.backbone(images)

    @torch.no_grad()
    def predict(self, inputs: Tensor | list[Tensor], samples: Samples) -> list[Prediction]:
        """Scores and maps of every image of a normalised batch."""
        if isinstance(inputs, Tensor):
            return self._predict(inputs, samples)
        predictions = []
        for index, image in enumerate(inputs):
            predictions += self._predict(image, samples.select([index]))
        return predictions

    def _predict(self, images: Tensor, samples: Samples) -> list[Prediction]:
        views = self.fusion.views()
        shown = {view: view.apply(images) for view in views if view.scores}
        wanted = (*self.map_source.features, *self.boxes.features)
        with self.backbone.also(wanted):
            features = {view: self.extract(image) for view, image in shown.items()}
            scores = torch.stack([self.head.scores(f).float() for f in features.values()]).mean(0)
            class_ids, counts = self._ask(scores.cpu(), samples)
            maps: list[tuple[View, dict[str, Tensor]]] = []
            for view in views:
                image = shown.get(view)
                image = view.apply(images) if image is None else image
                own = features[view] if view in features else self.extract(image)
                raw = self.map_source.maps(
                    self.backbone, self.head, image, own, class_ids.to(images.device)
                )
                maps.append((view, to_cpu({n: view.undo(m) for n, m in raw.items()})))
                if view is views[0]:
                    context = to_cpu({n: view.undo(own[n]) for n in self.boxes.features})
                features.pop(view, None)
        return [
            Prediction(
                sample=sample,
                scores=scores[index].cpu().numpy(),
                class_ids=class_ids[index, : counts[index]].tolist(),
                maps=[
                    ViewMaps(view, {n: m[index, : counts[index]] for n, m in branches.items()})
                    for view, branches in maps
                ],
                fusion=self.fusion,
                extractor=self.boxes,
                features={name: feature[index] for name, feature in context.items()},
            )
            for index, sample in enumerate(samples)
        ]

    def _ask(self, scores: Tensor, samples: Samples) -> tuple[Tensor, list[int]]:
        # Images ask for different numbers of classes: short rows repeat their first class.
        pairs = zip(samples, scores, strict=True)
        asked = [list(self.class_query(sample, row)) for sample, row in pairs]
        width = max(map(len, asked))
        rows = [row + row[:1] * (width - len(row)) for row in asked]
        return torch.tensor(rows, dtype=torch.int64), [len(row) for row in asked]
