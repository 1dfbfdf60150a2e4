"""Predictions made by hand, for the tests of the evaluator."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import pytest

from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.contracts import BoxExtractor
from wsoltool.structures import BoxContext, Boxes, Sample, Size, Truth


@dataclass
class FakePrediction:
    """A map at image size for every class; nearest neighbour where another size is asked."""

    sample: Sample
    scores: np.ndarray
    values: np.ndarray
    extractor: BoxExtractor = field(default_factory=ThresholdBoxes)

    def map(self, class_id: int, size: Size | None = None) -> np.ndarray:
        if size in (None, self.values.shape):
            return self.values
        return cv2.resize(self.values, size[::-1], interpolation=cv2.INTER_NEAREST)

    def boxes(self, class_id: int) -> Boxes:
        context = BoxContext(class_id, (0, 0, 1, 1), [], partial(self.map, class_id))
        return self.extractor(self.values, context)


def make_prediction(
    name: str = "a",
    box: tuple[int, int, int, int] = (2, 2, 6, 6),
    size: Size = (10, 10),
    label: int = 0,
    scores: tuple[float, ...] = (0.9, 0.1),
    lit: tuple[int, int, int, int] | None = None,
    part: tuple[int, int, int, int] | None = None,
) -> FakePrediction:
    """The map is 1 inside ``lit`` (the box itself by default) and 0.1 in the first pixel."""
    x0, y0, x1, y1 = lit or box
    values = np.zeros(size, np.float32)
    values[0, 0] = 0.1
    values[y0:y1, x0:x1] = 1
    boxes = np.array([box], np.float32)
    truth = Truth(
        boxes=boxes,
        annotated_boxes=boxes - np.array([0, 0, 1, 1], np.float32),
        part_boxes=None if part is None else np.array([part], np.float32),
    )
    region = (0.0, 0.0, float(size[1]), float(size[0]))
    sample = Sample(name, label, size, region, truth=truth)
    return FakePrediction(sample, np.array(scores), values)


@pytest.fixture
def predict():
    return make_prediction


@pytest.fixture
def four():
    """Class right: a, b, d. Box right (IoU 1): a, c; b has 8/16, d nothing. Small: a, b, d."""
    return [
        make_prediction("a", part=(2, 2, 4, 4)),
        make_prediction("b", lit=(2, 2, 6, 4)),
        make_prediction("c", box=(0, 0, 10, 8), scores=(0.2, 0.8)),
        make_prediction("d", lit=(7, 7, 9, 9)),
    ]


@pytest.fixture
def chosen_four(four, mean_boxes):
    """The four, each cut at its map's mean: .161, .081, .8 and .041; the boxes are the same."""
    for prediction in four:
        prediction.extractor = mean_boxes
    return four


@pytest.fixture
def mask_boxes():
    """A function that gives each prediction a mask: all of its true box."""

    def apply(predictions):
        for prediction in predictions:
            mask = np.zeros(prediction.sample.size, np.uint8)
            x0, y0, x1, y1 = prediction.sample.truth.boxes[0].astype(int)
            mask[y0:y1, x0:x1] = 1
            prediction.sample.truth.mask = mask
        return predictions

    return apply


@dataclass
class SeveralPrediction:
    """Boxes and maps by class, for images that show any number of classes."""

    sample: Sample
    scores: np.ndarray
    found: dict[int, Boxes]
    maps: dict[int, np.ndarray]

    def map(self, class_id: int, size: Size | None = None) -> np.ndarray:
        return self.maps[class_id]

    def boxes(self, class_id: int) -> Boxes:
        return self.found[class_id]


def make_several(
    name: str = "a",
    scores: tuple[float, ...] = (0.9, 0.9, 0.0),
    found: dict[int, list] | None = None,
    true: list[tuple] = (),
    label: int | tuple[int, ...] | None = None,
    maps: dict[int, np.ndarray] | None = None,
    size: Size = (10, 10),
    segments: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> SeveralPrediction:
    """An image with true objects (class, box[, difficult]) and answers class -> (score, box)s.

    The label is multi-hot of the true classes unless given. Classes without an answer have none.
    """
    found = {
        c: Boxes(
            np.array([box for _, box in answers], np.float32).reshape(-1, 4),
            np.array([score for score, _ in answers], np.float32),
        )
        for c, answers in {**dict.fromkeys(range(len(scores)), ()), **(found or {})}.items()
    }
    if label is None:
        label = np.isin(np.arange(len(scores)), [entry[0] for entry in true]).astype(np.float32)
    boxes = np.array([entry[1] for entry in true], np.float32).reshape(-1, 4)
    truth = Truth(
        boxes,
        boxes - np.array([0, 0, 1, 1], np.float32),
        mask=mask,
        labels=None if isinstance(label, int) else np.array([e[0] for e in true], np.int64),
        difficult=np.array([len(entry) > 2 for entry in true], bool),
        segments=segments,
    )
    region = (0.0, 0.0, float(size[1]), float(size[0]))
    sample = Sample(name, label, size, region, truth=truth)
    return SeveralPrediction(sample, np.array(scores, np.float32), found, maps or {})


@pytest.fixture
def several():
    return make_several
