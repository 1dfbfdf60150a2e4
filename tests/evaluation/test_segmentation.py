"""mIoU and mLEV of several classes, from maps made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.segmentation import SegmentationMetric

NAMES = ("cat", "dog", "owl")


def columns(*values):
    """A map of size 1 x n."""
    return np.array([values], np.float32)


def evaluate(predictions, **options):
    metric = SegmentationMetric(**{"resamples": 0, **options})
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {"classes": list(NAMES)}
    evaluator.process(predictions, None)
    return evaluator.evaluate(len(predictions)), metric


def figure(metric, name):
    return next(f for f in metric.summary.figures if f.name == f"segmentation/{name}")


@pytest.fixture
def two(several):
    """a: cat left, dog right, one pixel unknown, the maps overlap. b: a dog, found too wide."""
    a = several(
        "a",
        (0.9, 0.6, 0.7),
        {0: [(1, (0, 0, 2, 1))], 1: [(1, (0, 0, 6, 1))]},
        [(0, (0, 0, 2, 1)), (1, (4, 0, 6, 1))],
        maps={
            0: columns(1.0, 0.5, 0.5, 0.1, 0.0, 0.0),
            1: columns(0.0, 0.6, 0.4, 0.0, 0.9, 1.0),
            2: columns(0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        },
        size=(1, 6),
        segments=np.array([[1, 1, 0, -1, 2, 2]]),
    )
    b = several(
        "b",
        (0.1, 0.8, 0.2),
        {1: [(1, (0, 0, 2, 1)), (0.5, (0, 0, 1, 1))]},
        [(1, (0, 0, 1, 1))],
        maps={1: columns(1.0, 0.3, 0.0, 0.0, 0.0, 0.0)},
        size=(1, 6),
        segments=np.array([[2, 0, 0, 0, 0, 0]]),
    )
    return [a, b]


def test_two_images_by_hand(two):
    metrics, metric = evaluate(two)
    # a becomes cat dog cat - dog dog: cat 1 of 3, dog 2 TP and 1 FP, background 0 of 1;
    # b dog dog and four of background: dog 1 TP 1 FP, background 4 TP 1 FN.
    cat, dog, background = 1 / 3, 3 / 5, 4 / 6
    assert metrics["segmentation/mIoU (label)"] == pytest.approx(100 * (cat + dog) / 2)
    with_background = 100 * (cat + dog + background) / 3
    assert metrics["segmentation/mIoU (label, with background)"] == pytest.approx(with_background)
    # Foreground above 0.2 that is wrong: cat in a 1 of 3, dog in a 2 of 4, dog in b 1 of 2.
    assert metrics["segmentation/mLEV (label)"] == pytest.approx(100 * (1 / 3 + 1 / 2 + 1 / 2) / 3)
    # Surest boxes: the cat's right, the dog's 2 of 6, and 1 of 2.
    assert metrics["segmentation/mLEV (label, box)"] == pytest.approx(100 / 3)
    assert tuple(metrics) == metric.figure_names()
    expected = {"cat": pytest.approx(100 * cat), "dog": pytest.approx(100 * dog), "owl": None}
    assert figure(metric, "mIoU (label)").per_class == expected
    errors = figure(metric, "mLEV (label)").per_class
    assert errors == {"cat": pytest.approx(100 / 3), "dog": pytest.approx(50), "owl": None}
    assert figure(metric, "mIoU (label, with background)").per_class == {
        "background": pytest.approx(100 * background)
    }


def test_predicted_classes(two):
    metrics, _ = evaluate(two, classes="predicted", min_score=0.65)
    # a: cat and owl, which takes the last pixel; the dog is missed there. b: the dog as before.
    cat, dog, owl = 2 / 3, 1 / 4, 0
    assert metrics["segmentation/mIoU (predicted)"] == pytest.approx(100 * (cat + dog + owl) / 3)
    assert metrics["segmentation/mLEV (predicted)"] == pytest.approx(100 * (1 / 3 + 1 + 1 / 2) / 3)
    # An owl that is not there cannot be localised; of the surest boxes one fits, and one just so.
    assert metrics["segmentation/mLEV (predicted, box)"] == pytest.approx(100 / 3)


def test_images_without_a_used_class_are_background(several):
    empty = several("e", (0.1, 0.1), size=(1, 4), segments=np.array([[0, 0, 1, 0]]))
    full = several(
        "f", (0.9, 0.1), size=(1, 4), segments=np.array([[1, 1, 0, 0]]), true=[(0, (0, 0, 2, 1))]
    )
    full.maps[0] = columns(1, 1, 0, 0)
    full.found[0].xyxy = np.array([[0, 0, 2, 1]], np.float32)
    metric = SegmentationMetric(classes="predicted", resamples=0, readings=["area"])
    metric.process(None, [empty, full])
    metrics = metric.evaluate(2)
    assert metrics["segmentation/mIoU (predicted)"] == pytest.approx(100 * 2 / 3)
    assert metrics["segmentation/mLEV (predicted)"] == 0


def test_figures_with_nothing_to_score_are_left_out(several):
    empty = several("e", (0.1, 0.1), size=(1, 4), segments=np.zeros((1, 4)))
    metric = SegmentationMetric(classes="predicted", readings=["area"], resamples=5)
    metric.process(None, [empty])
    assert metric.evaluate(1) == {"segmentation/mIoU (predicted, with background)": 100}


def test_a_single_label_mask_is_one_class(several):
    mask = np.array([[1, 1, 255, 0]], np.uint8)
    image = several("a", (0.0, 1.0), label=1, size=(1, 4), mask=mask, true=[(1, (0, 0, 2, 1))])
    image.maps[1] = columns(1, 0, 1, 1)
    image.found[1].xyxy = np.array([[0, 0, 1, 1]], np.float32)
    metric = SegmentationMetric(resamples=0)
    metric.process(None, [image])
    metrics = metric.evaluate(1)
    assert metrics["segmentation/mIoU (label)"] == pytest.approx(100 / 3)
    assert metrics["segmentation/mLEV (label)"] == 50
    assert metrics["segmentation/mLEV (label, box)"] == 0


def test_of_equal_maps_the_surest_class_wins(several):
    both = columns(1, 1)
    for scores, label in (((0.6, 0.9), 2), ((0.9, 0.6), 1)):
        image = several("a", scores, label=None, size=(1, 2), maps={0: both, 1: both})
        image.sample.label = np.ones(2, np.float32)
        image.sample.truth.segments = np.full((1, 2), label)
        metric = SegmentationMetric(readings=["area"], resamples=0)
        metric.process(None, [image])
        assert metric.evaluate(1)["segmentation/mIoU (label)"] == 100


def test_controls(two):
    _, metric = evaluate(two)
    # The image: cat everywhere in a (surest), dog everywhere in b.
    iou = (2 / 5 + 1 / 8) / 2  # cat: 2 of 5 scored pixels; dog: 1 of 6, and 2 missed in a
    found = figure(metric, "mIoU (label)").controls
    assert found["whole image"] == pytest.approx(100 * iou)
    # Foreground of the image: cat wrong on 3 of 5, dog on 3 of 5 and on 5 of 6.
    errors = figure(metric, "mLEV (label)").controls
    assert errors["whole image"] == pytest.approx(100 * (3 / 5 + 3 / 5 + 5 / 6) / 3)
    assert figure(metric, "mLEV (label, box)").controls["whole image"] == 100
    # The centre box has columns 0.88 .. 5.12 of 6 and no row's centre is missed: pixels 1 to 4.
    assert errors["centre box"] == pytest.approx(100 * (2 / 3 + 2 / 3 + 1) / 3)


def test_intervals_hold_the_figure(several):
    images = []
    for index in range(40):
        wide = 1 + index % 3
        image = several(str(index), (1.0,), size=(1, 4), segments=np.array([[1, 0, 0, 0]]))
        image.sample.label = np.ones(1, np.float32)
        image.maps[0] = columns(*[1] * wide, *[0] * (4 - wide))
        images.append(image)
    metric = SegmentationMetric(readings=["area"], resamples=200)
    metric.process(None, images)
    metrics = metric.evaluate(40)
    for one in metric.summary.figures:
        low, high = one.interval
        assert low < metrics[one.name] < high
        assert high - low < 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": -1}, "image without a label"),
        ({"segments": np.array([[9, 0]])}, "segments of class 8, but the model has 2 classes"),
        ({"segments": np.zeros((2, 2))}, "segments of shape"),
        ({"boxes": None}, "pixels of class 0 without a true box"),
        ({"map": np.full((1, 2), np.nan)}, "NaN"),
        ({"map": np.zeros((2, 2))}, "shapes"),
    ],
)
def test_images_that_cannot_be_scored_are_named(several, change, message):
    image = several("bad.jpg", (1.0, 0.0), size=(1, 2), segments=np.array([[1, 0]]))
    image.maps[0] = change.get("map", columns(1, 0))
    image.sample.label = change.get("label", np.array([1, 0], np.float32))
    image.sample.truth.segments = change.get("segments", np.array([[1, 0]]))
    readings = ("area", "box") if "boxes" in change else ("area",)
    with pytest.raises(ValueError, match=message) as caught:
        evaluate([image], readings=readings)
    assert "bad.jpg" in str(caught.value)
    assert isinstance(caught.value, EvaluationError) or message == "shapes"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"classes": "labels"}, "classes is 'labels'"),
        ({"readings": ("area", "boxes")}, "readings is 'boxes'"),
        ({"min_score": 2}, "min_score"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SegmentationMetric(**options)
