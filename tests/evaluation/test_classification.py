"""mAP, F1 and Top-1 of class scores, from scores made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.classification import ClassificationMetric

BOX = (0, 0, 4, 4)


def evaluate(predictions, **options):
    metric = ClassificationMetric(**{"resamples": 0, **options})
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {"classes": ["cat", "dog", "owl"]}
    evaluator.process(predictions, None)
    return evaluator.evaluate(len(predictions)), metric


def figure(metric, name):
    return next(f for f in metric.summary.figures if f.name == f"classification/{name}")


@pytest.fixture
def three(several):
    """Cats in a and b, a dog in a alone, no owl anywhere, nothing in c."""
    return [
        several("a", (0.9, 0.6, 0.1), label=(1, 1, 0)),
        several("b", (0.3, 0.7, 0.2), label=(1, 0, 0)),
        several("c", (0.4, 0.1, 0.8), label=(0, 0, 0)),
    ]


def test_three_images_by_hand(three):
    metrics, metric = evaluate(three)
    assert tuple(metrics) == metric.figure_names()
    # Cats at places 1 and 3 of 3; the dog at place 2.
    cat, dog = (1 + 2 / 3) / 2, 1 / 2
    assert metrics["classification/mAP"] == pytest.approx(100 * (cat + dog) / 2)
    # Six of the eleven recalls, 0 to 0.5, need one of two cats.
    eleven = ((6 + 5 * 2 / 3) / 11 + dog) / 2
    assert metrics["classification/mAP (11 points)"] == pytest.approx(100 * eleven)
    # Answered: cat, dog of a, dog of b, owl of c. TP 2, FP 2, FN 1.
    assert metrics["classification/F1 (micro)"] == pytest.approx(100 * 4 / 7)
    assert metrics["classification/F1 (macro)"] == pytest.approx(100 * (2 / 3 + 2 / 3) / 2)
    # c shows nothing that could be hit.
    assert metrics["classification/Top-1 hit"] == 50
    expected = {"cat": pytest.approx(100 * cat), "dog": 50, "owl": None}
    assert figure(metric, "mAP").per_class == expected


def test_controls_look_at_no_image(three):
    _, metric = evaluate(three)
    assert figure(metric, "mAP").controls == {"chance": pytest.approx(100 * (2 / 3 + 1 / 3) / 2)}
    assert figure(metric, "Top-1 hit").controls == {"chance": 100}, "both images show a cat"
    every = figure(metric, "F1 (micro)").controls
    assert every == {"every class": pytest.approx(100 * 6 / (3 + 9))}


def test_images_of_one_class(several):
    metrics, _ = evaluate(
        [several("a", (0.7, 0.2, 0.1), label=0), several("b", (0.6, 0.3, 0.1), label=1)]
    )
    assert metrics["classification/Top-1 hit"] == 50
    assert metrics["classification/mAP"] == 100


def test_difficult_objects_without_a_label_are_ignored(several):
    dog = several("a", (0.2, 0.9, 0.0), true=[(0, BOX), (1, BOX, True)], label=(1, 0, 0))
    metrics, _ = evaluate([dog, several("b", (0.1, 0.8, 0.0), label=(0, 1, 0))])
    assert metrics["classification/mAP"] == 100
    assert metrics["classification/F1 (micro)"] == pytest.approx(100 * 2 / (2 + 0 + 1))
    assert metrics["classification/Top-1 hit"] == 100
    counted, _ = evaluate([several("a", (0.2, 0.9, 0.0), true=[(1, BOX, True)], label=(1, 1, 0))])
    assert counted["classification/mAP"] == 100, "a label counts, however difficult its boxes"


def test_intervals_are_of_resampled_images(several):
    random = np.random.default_rng(0)
    images = [
        several(str(index), tuple(random.random(3)), label=tuple(random.integers(0, 2, 3)))
        for index in range(30)
    ]
    _, metric = evaluate(images, resamples=200)
    for own in metric.summary.figures:
        low, high = own.interval
        assert 0 <= low < high <= 100
        assert len(own.resampled) == 200
        assert np.percentile(own.resampled, 2.5) == pytest.approx(low)
    draw = metric.draws(30).counts[7]
    again = [several(f"{i}.{n}", tuple(images[i].scores), label=tuple(images[i].sample.label))
             for i in range(30) for n in range(draw[i])]  # fmt: skip
    repeated, _ = evaluate(again)
    for own in metric.summary.figures:
        assert own.resampled[7] == pytest.approx(repeated[own.name])


def test_an_interval_above_its_figure_is_explained(several):
    # Thirty classes, each shown by one image, which is in the middle of the ranking.
    scores = np.array([[(i - k + 15) % 30 / 30 for k in range(30)] for i in range(30)])
    images = [
        several(str(i), tuple(own), label=tuple(np.arange(30) == i)) for i, own in enumerate(scores)
    ]
    metric = ClassificationMetric(resamples=100)
    metric.process(None, images)
    metric.evaluate(30)
    own = figure(metric, "mAP")
    assert own.interval[0] > own.value
    assert "30 of 30 classes are shown by 5 images or fewer" in metric.summary.notes[-1]
    metric.resamples = 0
    metric.process(None, images)
    metric.evaluate(30)
    assert "interval" not in " ".join(metric.summary.notes)


def test_scores_and_labels_that_cannot_be_used(several):
    cases = {
        "no probabilities are no scores": (several("a", (2.0, 0.1, 0.0), label=0), "class scores"),
        "an unknown label": (several("a", label=-1), "without a label"),
        "a class too many": (several("a", label=3), "a label of class 3"),
        "labels of other classes": (several("a", label=(1, 0)), "a label of 2 classes"),
    }
    for prediction, message in cases.values():
        with pytest.raises(EvaluationError, match=message) as caught:
            evaluate([prediction])
        assert caught.value.at == "a"
    with pytest.raises(EvaluationError, match="no scored image shows a class"):
        evaluate([several("a", label=(0, 0, 0))])


def test_values_are_checked_when_built():
    with pytest.raises(ConfigError, match="min_score is 2"):
        ClassificationMetric(min_score=2)
