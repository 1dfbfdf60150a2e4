"""mAP and CorLoc from predictions made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.detection import DetectionMetric
from wsoltool.evaluation.metric import LocalizationMetric

LEFT, RIGHT, HALF = (0, 0, 4, 10), (6, 0, 10, 10), (0, 0, 4, 5)


def evaluate(predictions, classes=("cat", "dog", "owl"), **options):
    metric = DetectionMetric(**{"resamples": 0, **options})
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {"classes": list(classes)}
    for start in range(0, len(predictions), 2):
        evaluator.process(predictions[start : start + 2], None)
    return evaluator.evaluate(len(predictions)), metric


def figure(metric, name):
    return next(f for f in metric.summary.figures if f.name == name)


@pytest.fixture
def three(several):
    """Cats: a right (.9), b wrong (.8), c half (.4). Dogs: a right (.5), c none of its own (.3)."""
    return [
        several(
            "a",
            (0.9, 0.5, 0.01),
            {0: [(1, LEFT)], 1: [(1, RIGHT)]},
            [(0, LEFT), (1, RIGHT)],
        ),
        several("b", (0.8, 0.0, 0.0), {0: [(1, RIGHT)]}, [(0, LEFT)]),
        several("c", (0.4, 0.3, 0.0), {0: [(1, HALF)], 1: [(1, LEFT)]}, [(0, LEFT)]),
    ]


def test_three_images_by_hand(three):
    metrics, metric = evaluate(three, ious=(0.6, 0.5))
    # Cats at .5: hit, miss, hit of 3; at .6 the half box misses. Dogs: hit of 1, then a miss.
    cat = {0.6: 1 / 3, 0.5: (1 + 2 / 3) / 3}
    assert metrics["mAP@0.6"] == pytest.approx(100 * (cat[0.6] + 1) / 2)
    assert metrics["mAP@0.5"] == pytest.approx(100 * (cat[0.5] + 1) / 2)
    # Cats are in three images, found in two; dogs in one.
    assert metrics["CorLoc"] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert metrics["CorLoc (image mean)"] == 75
    assert list(metrics) == list(metric.figure_names())
    by_class = figure(metric, "mAP@0.5").per_class
    assert by_class == {"cat": pytest.approx(100 * cat[0.5]), "dog": 100, "owl": None}
    assert figure(metric, "CorLoc").per_class["owl"] is None
    assert figure(metric, "CorLoc").interval is None


def test_the_score_is_class_probability_times_box_score(several):
    # By probability b comes first, by the product a does.
    a = several("a", (0.5, 0.0), {0: [(0.9, LEFT)]}, [(0, LEFT)])
    b = several("b", (0.8, 0.0), {0: [(0.5, RIGHT)]}, [(0, LEFT)])
    assert evaluate([b, a], "ab")[0]["mAP@0.5"] == 50
    b = several("b", (0.8, 0.0), {0: [(0.6, RIGHT)]}, [(0, LEFT)])
    assert evaluate([b, a], "ab")[0]["mAP@0.5"] == 25


def test_labels_are_not_used_for_map(several):
    # The class that is shown is improbable: no detection, although its box is right.
    missed = several("a", (0.04, 0.9), {0: [(1, LEFT)], 1: [(1, LEFT)]}, [(0, LEFT)])
    metrics, _ = evaluate([missed], "ab")
    assert metrics["mAP@0.5"] == 0
    assert metrics["CorLoc"] == 100
    assert evaluate([missed], "ab", min_score=0.01)[0]["mAP@0.5"] == 100


def test_an_image_without_objects_has_false_positives_alone(three, several):
    empty = several("empty", (0.95, 0.0, 0.0), {0: [(1, LEFT)]})
    metrics, _ = evaluate([*three, empty])
    before, _ = evaluate(three)
    assert metrics["CorLoc"] == before["CorLoc"]
    # Cats: miss, hit, miss, hit of 3.
    assert metrics["mAP@0.5"] == pytest.approx(100 * ((1 / 2 + 1 / 2) / 3 + 1) / 2)


def test_difficult_boxes(several):
    hard = [(0, LEFT), (0, RIGHT, "difficult")]
    found = {0: [(0.9, RIGHT), (0.8, LEFT)]}
    metrics, metric = evaluate([several("a", (1.0, 0.0), found, hard)], "ab")
    assert metrics["mAP@0.5"] == 100, "neither demanded nor punished"
    assert metrics["CorLoc"] == 100, "the surest box fits one that is difficult"
    # Where all boxes of a class are difficult, the image does not show it.
    dogs = several("b", (0.0, 0.5), {1: [(1, LEFT)]}, [(1, LEFT, "difficult")])
    metrics, metric = evaluate([several("a", (1.0, 0.0), found, hard), dogs], "ab")
    assert figure(metric, "CorLoc").per_class == {"a": 100, "b": None}
    assert figure(metric, "mAP@0.5").per_class == {"a": 100, "b": None}


def test_single_label_images_have_one_class_of_boxes(several):
    image = several("a", (0.9, 0.1), {0: [(1, LEFT)]}, [(0, LEFT), (0, RIGHT)], label=0)
    metrics, _ = evaluate([image], "ab")
    assert metrics["mAP@0.5"] == 50
    assert metrics["CorLoc"] == 100


def test_the_image_mean_is_gt_known_loc_where_images_have_one_class(four):
    for prediction in four:
        prediction.scores = prediction.scores / prediction.scores.sum()
    metrics, metric = evaluate(four, ("a", "b"))
    table = LocalizationMetric(["tight"], resamples=0)
    table.process(None, four)
    localization = table.evaluate(4)
    assert metrics["CorLoc (image mean)"] == localization["GT-known Loc"] == 75
    whole = figure(metric, "CorLoc (image mean)").controls["whole image"]
    rows = [r for r in table.summary.rows if (r.name, r.source) == ("GT-known Loc", "fixed")]
    assert whole == rows[0].controls["whole image"]


def test_the_surest_box_comes_first_whatever_the_extractors_order(several):
    found = {0: [(0.2, LEFT), (0.9, RIGHT)]}
    assert evaluate([several("a", (1.0,), found, [(0, LEFT)])], "a")[0]["CorLoc"] == 0


def test_controls(several):
    # One object of 60 of 100 pixels about the centre, one of 10: the image fits the first.
    large, small = (2, 0, 8, 10), (0, 0, 1, 10)
    images = [
        several("a", (0.9, 0.0), {0: [(1, large)]}, [(0, large)]),
        several("b", (0.8, 0.0), {0: [(1, small)]}, [(0, small)]),
    ]
    metrics, metric = evaluate(images, "ab", ious=(0.5, 0.1))
    assert metrics["mAP@0.5"] == 100
    # The centre box is 7.07 wide: IoU 42.4 / (50 + 60 - 42.4) = 0.63 with the large object.
    controls = {"whole image": 50, "centre box": 50, "shuffled scores": 100}
    assert figure(metric, "mAP@0.5").controls == controls
    assert figure(metric, "mAP@0.1").controls["whole image"] == 100
    assert figure(metric, "CorLoc").controls == {"whole image": 50, "centre box": 50}


def test_inclusive_overlaps_take_the_numbers_as_they_stand(several):
    # True box 0..4 written as 0..3: found 0..2 is 3 of 4 columns then, and 2 of 4 else.
    image = several("a", (1.0,), {0: [(1, (0, 0, 2, 9))]}, [(0, (0, 0, 4, 10))])
    assert evaluate([image], "a", ious=(0.6,))[0]["mAP@0.6"] == 0
    assert evaluate([image], "a", ious=(0.6,), inclusive=True)[0]["mAP@0.6"] == 100


def test_forms_of_average_precision(three):
    area, _ = evaluate(three)
    points, _ = evaluate(three, ap="11point")
    # Cats: precision 1 up to recall 0.3, 2/3 up to 0.6, nothing beyond.
    assert points["mAP@0.5"] == pytest.approx(100 * ((4 + 3 * 2 / 3) / 11 + 1) / 2)
    assert points["mAP@0.5"] != area["mAP@0.5"]
    assert points["CorLoc"] == area["CorLoc"]


def test_intervals_hold_the_figure(several):
    rng = np.random.default_rng(0)
    images = []
    for index in range(60):
        box = LEFT if rng.random() < 0.6 else RIGHT
        scores = (float(rng.random()), 0.0)
        images.append(several(str(index), scores, {0: [(1, box)]}, [(0, LEFT)]))
    metrics, metric = evaluate(images, "ab", resamples=300)
    for name, value in metrics.items():
        low, high = figure(metric, name).interval
        assert low < value < high
        assert 15 < high - low < 40, "the binomial half-width is 12 points"
    again = evaluate(images, "ab", resamples=300)[1]
    assert [f.interval for f in again.summary.figures] == [
        f.interval for f in metric.summary.figures
    ]


def test_without_class_names_classes_are_numbers(three):
    metric = DetectionMetric(resamples=0)
    metric.process(None, three)
    metric.evaluate(3)
    assert list(figure(metric, "CorLoc").per_class) == ["0", "1", "2"]


def test_classes_that_are_asked_for(several):
    image = several("a", (0.9, 0.01, 0.06), true=[(1, LEFT)])
    metric = DetectionMetric()
    assert metric.asked_classes(image.sample, image.scores) == [0, 1, 2]
    assert DetectionMetric(min_score=0.5).asked_classes(image.sample, image.scores) == [0, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"true": [(5, LEFT)]}, r"true boxes of classes \[5\], but the model has 2"),
        ({"scores": (1.4, 0.0)}, "class scores"),
        ({"found": {0: [(float("nan"), LEFT)]}}, "box scores"),
    ],
)
def test_images_that_cannot_be_scored_are_named(several, changed, message):
    settings = {"scores": (0.9, 0.1), "found": {0: [(1, LEFT)]}, "true": [(0, LEFT)], **changed}
    with pytest.raises(EvaluationError, match=message) as caught:
        evaluate([several("bad/image.jpg", **settings)], "ab")
    assert "bad/image.jpg" in str(caught.value)


def test_a_split_without_any_object_is_refused(several):
    with pytest.raises(EvaluationError, match="no scored image has a true box"):
        evaluate([several("a", (0.5,), {0: [(1, LEFT)]})], "a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ious": ()}, "ious"),
        ({"ious": 0.5}, "ious"),
        ({"ious": (0.5, 0.5)}, "ious"),
        ({"ious": (0,)}, "ious is 0"),
        ({"ious": (1.1,)}, "ious is 1.1"),
        ({"ap": "12point"}, "unknown form"),
        ({"min_score": -0.1}, "min_score"),
        ({"min_score": True}, "min_score"),
        ({"resamples": -1}, "resamples"),
        ({"resamples": 1.5}, "resamples"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        DetectionMetric(**options)
