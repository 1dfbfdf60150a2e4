"""Gallery items from a model and a data set.

A data set of one class an image has one map an image, of the labelled class. Of a data set of
several classes every label is shown, the surest first; then what was predicted without being a
label: the surest class, and those of probability 0.5 or more, three at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from torch import Tensor

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.collate import collate
from wsoltool.evaluation.objects import image_classes
from wsoltool.functional.boxes import box_iou
from wsoltool.models.localizer import ClassQuery, Localizer, labels_and_top1
from wsoltool.models.prediction import Prediction
from wsoltool.structures import Sample
from wsoltool.visualization.class_rows import ClassRow
from wsoltool.visualization.gallery import GalleryItem

_LIKELY, _OTHERS = 0.5, 3
_NONE = np.zeros((0, 4), np.float32)


def gallery_items(model: Any, dataset: LocalizationDataset, count: int) -> Iterator[GalleryItem]:
    """Images spread evenly over a split, with the maps and the boxes of the labelled classes.

    Of no label, the surest class is shown. The maps of branches are shown where the fusion has
    several, part maps where the head has them, and what mask erasers would hide if there are any.
    """
    localizer: Localizer = model.module if is_model_wrapper(model) else model
    localizer.eval()
    # Metrics may have asked for fewer classes than pictures need, or for more.
    query = labels_and_predicted if dataset.multi_label else labels_and_top1
    make = _several_item if dataset.multi_label else _item
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))
    for index in indices:
        prediction = _predict(localizer, collate([dataset[int(index)]]), query)
        yield make(prediction, dataset, int(index))


def labels_and_predicted(sample: Sample, scores: Tensor) -> list[int]:
    """The image's labels, then classes that are predicted beside them; the surest first in both."""
    surest = scores.argsort(descending=True, stable=True).tolist()
    known = set(image_classes(sample))
    others = [c for c in surest if c not in known and (c == surest[0] or scores[c] >= _LIKELY)]
    return [c for c in surest if c in known] + others[:_OTHERS]


def _predict(localizer: Localizer, batch: dict[str, Any], query: ClassQuery) -> Prediction:
    """One image's prediction, for pictures; the localizer is left as it was."""
    before = localizer.for_pictures, localizer.class_query
    localizer.for_pictures, localizer.class_query = True, query
    try:
        with torch.no_grad():
            return localizer.test_step(batch)[0]
    finally:
        localizer.for_pictures, localizer.class_query = before


def _item(prediction: Prediction, dataset: LocalizationDataset, index: int) -> GalleryItem:
    sample = prediction.sample
    own = _Found(prediction, prediction.class_ids[0])
    parts = sample.truth.part_boxes if sample.truth else None
    top1 = prediction.top_classes(1)[0]
    known = image_classes(sample) or [own.class_id]
    verdict = "" if top1 in known else f", predicted {dataset.classes[top1]}"
    return GalleryItem(
        name=sample.image_id,
        image=dataset.load(index),
        localization_map=own.map,
        predicted=own.boxes.xyxy,
        truth=own.truth,
        parts=_NONE if parts is None else parts,
        caption=f"{sample.image_id}: {dataset.classes[own.class_id]}{verdict}{own.note}",
        correct=None if own.iou is None else own.iou >= 0.5,
        part_maps=prediction.part_maps_at(),
        erasures=prediction.erasures_at(),
        branches=prediction.branches_at(own.class_id),
    )


def _several_item(prediction: Prediction, dataset: LocalizationDataset, index: int) -> GalleryItem:
    sample = prediction.sample
    known, found = image_classes(sample), [_Found(prediction, c) for c in prediction.class_ids]
    labelled = [own for own in found if own.class_id in known]
    others = [own for own in found if own.class_id not in known]
    scored = [own.iou for own in labelled if own.iou is not None]
    said = {own.class_id: f"{dataset.classes[own.class_id]} {own.score:.2f}" for own in found}
    labels = "; ".join(f"{said[own.class_id]}{own.note}" for own in labelled) or "no label"
    extra = ", ".join(said[own.class_id] for own in others)
    parts = sample.truth.part_boxes if sample.truth else None
    rows = [
        ClassRow(
            said[own.class_id] + ("" if own.class_id in known else " (no label)"),
            own.map,
            own.boxes.xyxy,
            own.truth,
            prediction.branches_at(own.class_id),
        )
        for own in found
    ]
    return GalleryItem(
        name=sample.image_id,
        image=dataset.load(index),
        localization_map=rows[0].localization_map,
        predicted=rows[0].predicted,
        truth=rows[0].truth,
        parts=_NONE if parts is None else parts,
        caption=f"{sample.image_id}: {labels}" + (f"; also predicted: {extra}" if extra else ""),
        correct=all(iou >= 0.5 for iou in scored) if scored else None,
        part_maps=prediction.part_maps_at(),
        erasures=prediction.erasures_at(),
        rows=rows,
    )


class _Found:
    """The map and the boxes of one class, and how well the surest fits.

    Attributes:
        class_id: The class.
        score: Its probability.
        map: ``(H, W)``, its localization map; the boxes are found in it.
        boxes: The extractor's.
        truth: ``(M, 4)`` true boxes of the class.
        iou: Of the surest box with the true one that it fits best; None without true ones.
    """

    def __init__(self, prediction: Prediction, class_id: int) -> None:
        self.class_id = class_id
        self.score = float(prediction.scores[class_id])
        self.map = prediction.map(class_id)
        self.boxes = prediction.boxes(class_id)
        self.truth = _true_boxes(prediction.sample, class_id)
        overlaps = box_iou(self.boxes.xyxy[:1], self.truth) if len(self.truth) else None
        self.iou = None if overlaps is None else float(overlaps.max(initial=0.0))

    @property
    def note(self) -> str:
        """The overlap, and the threshold that was chosen for the image, as far as there are."""
        note = "" if self.iou is None else f", IoU {self.iou:.2f}"
        if self.boxes.thresholds is not None and len(self.boxes):
            note += f", threshold {self.boxes.thresholds[0]:.2f}"
        return note


def _true_boxes(sample: Sample, class_id: int) -> np.ndarray:
    if sample.truth is None:
        return _NONE
    labels = sample.truth.labels
    return sample.truth.boxes if labels is None else sample.truth.boxes[labels == class_id]
