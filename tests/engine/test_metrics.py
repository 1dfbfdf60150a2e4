"""What the config's ``evaluation`` and ``metrics`` become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric

from wsoltool.config import load_config, plain
from wsoltool.datasets.collate import collate
from wsoltool.datasets.creatures import Creatures
from wsoltool.engine.metrics import (
    build_metrics,
    build_threshold_metrics,
    build_training_metrics,
    localization_of,
    prepare_scoring,
)
from wsoltool.errors import ConfigError
from wsoltool.evaluation.detection import DetectionMetric
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer
from wsoltool.structures import Sample

DETECTION = {"type": "DetectionMetric", "resamples": 7}


def kinds(metrics):
    return [type(metric).__name__ for metric in metrics]


def test_the_table_comes_first_and_can_be_switched_off(tiny_config):
    boxes = ThresholdBoxes(0.3)
    both = build_metrics(tiny_config(metrics=[DETECTION]), boxes)
    assert kinds(both) == ["LocalizationMetric", "DetectionMetric"]
    assert localization_of(both).fixed_threshold == 0.3
    assert both[1].resamples == 7
    config = tiny_config(metrics=[DETECTION], evaluation=None)
    assert kinds(build_metrics(config, boxes)) == ["DetectionMetric"]
    assert build_threshold_metrics(config, boxes) == []
    assert localization_of(build_metrics(config, boxes)) is None


def test_no_intervals_in_training_nor_on_train_fullsup(tiny_config):
    config = tiny_config(metrics=[DETECTION])
    table, detection = build_training_metrics(config, ThresholdBoxes())
    assert table.resamples == detection.resamples == 0
    assert [p.name for p in table.protocols] == ["tight"]
    (chosen_on,) = build_threshold_metrics(config, ThresholdBoxes())
    assert chosen_on.resamples == 0
    assert [p.name for p in chosen_on.protocols] == ["tight", "wsolevaluation"]


def test_a_metric_of_the_config_may_be_the_table(tiny_config):
    config = tiny_config(metrics=[{"type": "LocalizationMetric"}], evaluation=None)
    assert isinstance(localization_of(build_metrics(config, ThresholdBoxes())), LocalizationMetric)


@pytest.fixture
def model(tiny_config):
    return build_localizer(plain(tiny_config().model))


def test_the_model_maps_what_the_metrics_ask_for(model):
    sample = Sample("a", 4, (9, 9), (0, 0, 9, 9))
    scores = torch.tensor([0.3, 0.2, 0.4, 0.1, 0.0])
    images = Creatures("test", length=1)
    before = model.class_query

    class Other(BaseMetric):
        process = compute_metrics = None

    Other.__abstractmethods__ = frozenset()
    prepare_scoring(model, [Other(prefix="other")], images, "test_dataloader")
    assert model.class_query is before
    prepare_scoring(model, [DetectionMetric(min_score=0.2)], images, "test_dataloader")
    assert before(sample, scores) == [4, 2]
    assert model.class_query(sample, scores) == [4, 2, 0, 1]


def test_a_multi_label_model_answers_for_every_asked_class():
    config = load_config("cam/cam_small_creatures_multilabel.py")
    localizer = build_localizer(plain(config.model)).eval()
    images = Creatures("test", length=3, instances=3, multi_label=True, num_classes=5)
    metric = DetectionMetric(min_score=0.0, resamples=0)
    prepare_scoring(localizer, [metric], images, "test_dataloader")
    predictions = localizer.test_step(collate([images[i] for i in range(3)]))
    for prediction in predictions:
        assert sorted(prediction.class_ids) == [0, 1, 2, 3, 4]
        first = prediction.class_ids[: int(prediction.sample.label.sum())]
        assert list(first) == np.flatnonzero(prediction.sample.label).tolist()
    metric.process(None, predictions)
    assert len(metric.results) == 3


def test_the_table_refuses_images_with_several_labels(model):
    several = Creatures("test", length=1, multi_label=True)
    with pytest.raises(ConfigError, match="several labels") as caught:
        prepare_scoring(model, [LocalizationMetric()], several, "test_dataloader")
    assert "test_dataloader.dataset" in caught.value.at
    prepare_scoring(model, [DetectionMetric()], several, "test_dataloader")
