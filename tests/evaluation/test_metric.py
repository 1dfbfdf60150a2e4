from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import ConfigError, EvaluationError, ShapeError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.results import LocalizationResults


def evaluate(predictions, **options):
    metric = LocalizationMetric(**options)
    evaluator = Evaluator(metric)
    for start in range(0, len(predictions), 3):
        evaluator.process(predictions[start : start + 3], None)
    return evaluator.evaluate(len(predictions)), metric


def test_four_images_by_hand(four):
    metrics, metric = evaluate(four, protocols=["tight"], resamples=50)
    assert metrics["Top-1 Cls"] == 75
    assert metrics["Top-5 Cls"] == 100
    assert metrics["GT-known Loc"] == 75
    assert metrics["Top-1 Loc"] == 50
    assert metrics["Top-5 Loc"] == 75
    assert metrics["mean IoU"] == 62.5
    assert metrics["mean IoU (part box)"] == 25
    assert metrics["MaxBoxAcc"] == metrics["GT-known Loc (test-oracle)"] == 75
    assert metrics["MaxBoxAccV2@0.3"] == metrics["MaxBoxAccV2@0.5"] == 75
    assert metrics["MaxBoxAccV2@0.7"] == 50
    np.testing.assert_allclose(metrics["MaxBoxAccV2"], 200 / 3)
    np.testing.assert_allclose(metrics["GT-known Loc (small)"], 200 / 3)
    np.testing.assert_allclose(metrics["Top-1 Cls (small)"], 100)
    assert metric.summary.metrics() == metrics
    assert len(metric.results_by_image) == 4


def test_the_first_protocol_gives_the_plain_keys(four):
    # c: 0,0..10,8 of 10 x 10 is 0..223 x 0..179 found, and 0..201 x 0..156 annotated
    metrics, metric = evaluate(four, protocols=["wsolevaluation", "tight"], resamples=0)
    squashed = 202 * 157 / (224 * 180)
    found = metric.results_by_image.curves["wsolevaluation"].fixed
    np.testing.assert_allclose(found[2], squashed, rtol=1e-6)
    assert metrics["mean IoU"] == pytest.approx(100 * float(found.mean()))
    assert metrics["mean IoU"] != 62.5


def test_every_batch_leaves_one_result_an_image(four):
    metric = LocalizationMetric()
    metric.process(None, four)
    assert [result.image_id for result in metric.results] == ["a", "b", "c", "d"]


def test_padding_of_the_last_batch_is_dropped_once(four):
    metric = LocalizationMetric(["tight"], resamples=0)
    metric.process(None, four[:3])
    assert metric.evaluate(3)["GT-known Loc"] == 100


def test_equal_scores_rank_by_class_index(predict):
    result = LocalizationMetric(["tight"]).score(
        predict(scores=(0.1, 0.3, 0.3, 0.1, 0.1, 0.05, 0.05), label=3)
    )
    assert result.top.tolist() == [1, 2, 0, 3, 4]


def test_no_box_is_a_miss(predict):
    prediction = predict()
    prediction.values = np.zeros((10, 10), np.float32)
    result = LocalizationMetric().score(prediction)
    assert result.fixed == {"tight": 0.0, "wsolevaluation": 0.0}
    assert result.sweeps["tight"].values.max() == 0


def test_saved_results_choose_thresholds_for_another_split(four, predict, tmp_path):
    file = tmp_path / "fullsup.npz"
    # At thresholds from .1 this map shows its object, below also the first pixel: no difference.
    tuned = predict("tune", lit=(2, 2, 6, 6))
    tuned.values[:, :] = np.maximum(tuned.values, 0.6)  # background up to .6
    evaluate([tuned], protocols=["tight"], save_results=str(file))
    assert len(LocalizationResults.load(file)) == 1
    metrics, metric = evaluate(four, protocols=["tight"], fullsup=str(file), resamples=20)
    assert metrics["GT-known Loc (fullsup)"] == 75
    rows = [r for r in metric.summary.rows if r.source == "fullsup" and r.name == "GT-known Loc"]
    # .6 in float32 is above .6: the first threshold without the background is .601
    assert rows[0].estimate.thresholds == (0.601,)


def test_scored_images_may_not_choose_the_threshold(four, tmp_path):
    file = tmp_path / "test.npz"
    evaluate(four, protocols=["tight"], save_results=str(file))
    with pytest.raises(
        EvaluationError, match=r"4 images are in the scored split and in train-full"
    ):
        evaluate(four, protocols=["tight"], fullsup=str(file))


def test_fullsup_results_need_the_same_protocols(four, predict, tmp_path):
    file = tmp_path / "fullsup.npz"
    evaluate([predict("tune")], protocols=["tight"], save_results=str(file))
    with pytest.raises(EvaluationError, match="no sweep for protocol 'wsolevaluation'"):
        evaluate(four, fullsup=str(file))


def break_sample(**changes):
    def apply(prediction):
        for name, value in changes.items():
            setattr(prediction.sample, name, value)

    return apply


def empty_truth(prediction):
    prediction.sample.truth.boxes = np.zeros((0, 4), np.float32)


def not_a_number(prediction):
    prediction.scores[1] = np.nan


def small_map(prediction):
    prediction.map = lambda class_id, size: np.zeros((5, 5), np.float32)


def negative_annotation(prediction):
    prediction.sample.truth.annotated_boxes = np.array([[-30, 0, 5, 5]], np.float32)


def odd_truth(prediction):
    prediction.sample.truth.boxes = np.zeros((1, 5), np.float32)


@pytest.mark.parametrize(
    ("breaks", "error", "says"),
    [
        (break_sample(label=np.array([1.0, 1.0])), EvaluationError, "single-label"),
        (break_sample(label=-1), EvaluationError, "without a label"),
        (break_sample(label=2), EvaluationError, "label 2, but the model has 2 classes"),
        (break_sample(truth=None), EvaluationError, "without a true box"),
        (empty_truth, EvaluationError, "without a true box"),
        (not_a_number, EvaluationError, "with NaN"),
        (small_map, EvaluationError, "map of shape (5, 5)"),
        (negative_annotation, EvaluationError, "inclusive pixel box"),
        (odd_truth, ShapeError, "(1, 5)"),
    ],
)
def test_what_cannot_be_scored_names_its_image(predict, breaks, error, says):
    prediction = predict("birds/7.jpg")
    breaks(prediction)
    with pytest.raises(error) as caught:
        LocalizationMetric().process(None, [prediction])
    assert says in str(caught.value)
    assert "at: birds/7.jpg" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"protocols": []}, "at least one"),
        ({"protocols": "tight"}, "a list"),
        ({"protocols": ["tight", "tight"]}, "different"),
        ({"protocols": ["tigth"]}, "did you mean 'tight'"),
        ({"fixed_threshold": 1}, "fixed_threshold is 1"),
        ({"fixed_threshold": "0.2"}, "fixed_threshold is '0.2'"),
        ({"resamples": -1}, "resamples is -1"),
        ({"resamples": 1.5}, "resamples is 1.5"),
        ({"fullsup": "missing.npz"}, "at: missing.npz"),
    ],
)
def test_refused_options(options, says):
    with pytest.raises(ConfigError) as caught:
        LocalizationMetric(**options)
    assert says in str(caught.value)


def test_thresholds_that_the_extractor_chose_by_hand(chosen_four, predict, mean_boxes):
    nothing = predict("e", scores=(0.1, 0.9))
    nothing.values[:] = 0
    nothing.extractor = mean_boxes
    metrics, metric = evaluate([*chosen_four, nothing], protocols=["tight"], resamples=5)
    assert metrics["GT-known Loc"] == 60
    found = metric.results_by_image.chosen_thresholds
    np.testing.assert_allclose(found, [0.161, 0.081, 0.8, 0.041, np.nan], rtol=1e-6)
    chosen = metric.summary.chosen
    assert chosen.none == 1
    assert [index for index, count in enumerate(chosen.counts) if count] == [0, 1, 3, 16]
    assert chosen.mean == pytest.approx(0.27075)
    assert chosen.median == pytest.approx(0.121)
    assert metric.summary.fixed_threshold is None


def test_an_extractor_that_chooses_none_has_no_such_thresholds(four):
    _, metric = evaluate(four, protocols=["tight"], fixed_threshold=0.2, resamples=0)
    assert metric.results_by_image.chosen_thresholds is None
    assert metric.summary.chosen is None


def test_a_threshold_is_fixed_or_chosen_for_each_image(chosen_four):
    with pytest.raises(
        EvaluationError, match=r"chose the threshold 0\.161.*said to be 0\.2"
    ) as caught:
        evaluate(chosen_four, protocols=["tight"], fixed_threshold=0.2)
    assert "at: a" in str(caught.value)
    assert "evaluation.fixed_threshold=None" in str(caught.value)


def test_the_image_oracle_by_hand(four, predict):
    # Each image has thresholds at which its box fits, and no threshold fits both.
    low, high = predict("low", scores=(0.1, 0.9)), predict("high")
    low.values[:] = 0
    low.values[2:6, 2:6] = 0.4
    low.values[2:3, 2:4] = 1  # above .4 the box is 2 of 16 pixels
    high.values[:] = 0.6  # below .6 the box is the whole image: 16 of 100 pixels
    high.values[2:6, 2:6] = 1
    metrics, metric = evaluate([low, high], protocols=["tight"], resamples=20)
    assert metrics["GT-known Loc (test-oracle)"] == 50
    assert metrics["GT-known Loc (image-oracle)"] == 100
    assert metrics["Top-1 Loc (image-oracle)"] == 50
    assert metrics["mean IoU (image-oracle)"] == 100
    # All below .4: 1 and .16; all above .6: .125 and 1.
    assert metrics["mean IoU (test-oracle)"] == pytest.approx(58)
    rows = [row for row in metric.summary.rows if row.source == "image-oracle"]
    assert all(row.estimate.thresholds == () for row in rows)
