"""Gallery items from a model and a data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.model import is_model_wrapper

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.collate import collate
from wsoltool.evaluation.objects import image_classes
from wsoltool.functional.boxes import box_iou
from wsoltool.models.localizer import Localizer
from wsoltool.models.prediction import Prediction
from wsoltool.structures import Sample
from wsoltool.visualization.gallery import GalleryItem

_NONE = np.zeros((0, 4), np.float32)


def gallery_items(model: Any, dataset: LocalizationDataset, count: int) -> Iterator[GalleryItem]:
    """Images spread evenly over a split, with the map and the boxes of the labelled class.

    Of several labels the first is shown; of none, the surest class. Part maps are shown where the
    head has them, and what mask erasers would hide where there are any.
    """
    localizer: Localizer = model.module if is_model_wrapper(model) else model
    localizer.eval()
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int))
    for index in indices:
        prediction = _predict(localizer, collate([dataset[int(index)]]))
        yield _item(prediction, dataset, int(index))


def _predict(localizer: Localizer, batch: dict[str, Any]) -> Prediction:
    """One image's prediction, for pictures; the localizer is left as it was."""
    before, localizer.for_pictures = localizer.for_pictures, True
    try:
        with torch.no_grad():
            return localizer.test_step(batch)[0]
    finally:
        localizer.for_pictures = before


def _item(prediction: Prediction, dataset: LocalizationDataset, index: int) -> GalleryItem:
    sample = prediction.sample
    label = prediction.class_ids[0]
    answer = prediction.boxes(label)
    boxes = answer.xyxy
    truth = _true_boxes(sample, label)
    parts = sample.truth.part_boxes if sample.truth else None
    iou = float(box_iou(boxes[:1], truth).max(initial=0.0)) if len(truth) else None
    top1 = prediction.top_classes(1)[0]
    known = image_classes(sample) or [label]
    verdict = "" if top1 in known else f", predicted {dataset.classes[top1]}"
    overlap = "" if iou is None else f", IoU {iou:.2f}"
    if answer.thresholds is not None and len(boxes):
        overlap += f", threshold {answer.thresholds[0]:.2f}"
    return GalleryItem(
        name=sample.image_id,
        image=dataset.load(index),
        localization_map=prediction.map(label),
        predicted=boxes,
        truth=truth,
        parts=_NONE if parts is None else parts,
        caption=f"{sample.image_id}: {dataset.classes[label]}{verdict}{overlap}",
        correct=None if iou is None else iou >= 0.5,
        part_maps=prediction.part_maps_at(),
        erasures=prediction.erasures_at(),
    )


def _true_boxes(sample: Sample, class_id: int) -> np.ndarray:
    if sample.truth is None:
        return _NONE
    labels = sample.truth.labels
    return sample.truth.boxes if labels is None else sample.truth.boxes[labels == class_id]
