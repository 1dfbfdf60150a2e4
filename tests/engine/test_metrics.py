"""What the config's ``evaluation`` and ``metrics`` become."""

from __future__ import annotations

from collections import Counter

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
from wsoltool.engine.pictures import gallery_items
from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.classification import ClassificationMetric
from wsoltool.evaluation.detection import DetectionMetric
from wsoltool.evaluation.map_writer import MapWriter
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.segmentation import SegmentationMetric
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer
from wsoltool.models.ensemble_config import member_of
from wsoltool.models.localizer import labels_and_top1
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


class Other(BaseMetric):
    """One that does not say which classes it looks at."""

    def __init__(self):
        super().__init__(prefix="other")

    def process(self, data_batch, data_samples):
        self.results += [prediction.class_ids for prediction in data_samples]

    def compute_metrics(self, results):
        return {}


def asked(model, *metrics):
    """The classes that are mapped of an image of class 4, by a model of its own query."""
    sample = Sample("a", 4, (9, 9), (0, 0, 9, 9))
    model.class_query = labels_and_top1
    prepare_scoring(model, metrics, Creatures("test", length=1), "test_dataloader")
    return model.class_query(sample, torch.tensor([0.3, 0.2, 0.4, 0.1, 0.0]))


def test_the_model_maps_what_the_metrics_ask_for(model, tmp_path):
    detection, classification = DetectionMetric(min_score=0.2), ClassificationMetric()
    # Metrics that do not say what they look at have the label and the surest class.
    assert asked(model, Other()) == asked(model, LocalizationMetric()) == [4, 2]
    assert model.class_query is labels_and_top1
    assert asked(model, Other(), detection) == [4, 2, 0, 1]
    assert asked(model, LocalizationMetric(), classification) == [4, 2]
    # The others have what they ask for, and nothing else.
    assert asked(model, detection) == [0, 1, 2, 4]
    assert asked(model, classification) == []
    assert asked(model, classification, MapWriter(tmp_path, by_class=False)) == [4]
    assert asked(model, classification, SegmentationMetric()) == [4]


def test_a_multi_label_model_answers_for_every_asked_class():
    config = load_config("cam/cam_small_creatures_multilabel.py")
    localizer = build_localizer(plain(config.model)).eval()
    images = Creatures("test", length=3, instances=3, multi_label=True, num_classes=5)
    metric = DetectionMetric(min_score=0.0, resamples=0)
    prepare_scoring(localizer, [metric], images, "test_dataloader")
    predictions = localizer.test_step(collate([images[i] for i in range(3)]))
    for prediction in predictions:
        assert prediction.class_ids == (0, 1, 2, 3, 4)
    metric.process(None, predictions)
    assert len(metric.results) == 3


SCALES = {"type": "MultiScale", "scales": (1.0, 0.5, 2.0)}


@pytest.mark.parametrize("members", [(), ("a", "b")])
@pytest.mark.parametrize(
    ("metric", "forwards", "maps"), [(ClassificationMetric, 1, 0), (DetectionMetric, 3, 3)]
)
def test_classification_alone_runs_the_first_view_and_makes_no_map(
    tiny_config, members, metric, forwards, maps
):
    single = plain(tiny_config().model)
    together = {"type": "Ensemble", "members": dict.fromkeys(members, member_of(single))}
    model = build_localizer({**(together if members else single), "fusion": SCALES}).eval()
    images, ran = Creatures("test", length=2, image_size=64), Counter()
    for name, own in (model.localizers() if members else {"": model}).items():
        own.backbone.register_forward_hook(lambda *_, name=name: ran.update([f"net {name}"]))
        own.head.maps = counted(own.head.maps, ran, f"maps {name}")
    scored = metric(resamples=0)
    prepare_scoring(model, [scored], images, "test_dataloader")
    predictions = model.test_step(collate([images[0], images[1]]))
    scored.process(None, predictions)
    assert scored.evaluate(2)
    # Of an ensemble, the first member's scores; all members' maps.
    first, *others = members or ("",)
    assert ran == Counter({f"net {first}": forwards, f"maps {first}": maps}) + Counter(
        {f"{what} {name}": maps for name in others for what in ("net", "maps")}
    )
    # Pictures ask for what they show.
    (item,) = gallery_items(model, images, 1)
    assert item.localization_map.max() == 1
    if not maps:
        assert [prediction.class_ids for prediction in predictions] == [(), ()]
        with pytest.raises(EvaluationError, match="ask for it when predicting"):
            predictions[0].boxes(0)


def test_all_metrics_together_fuse_each_class_once(monkeypatch):
    config = load_config("cam/cam_small_creatures_multilabel.py")
    model = build_localizer(plain(config.model)).eval()
    images, ran = (
        Creatures("test", length=1, instances=3, multi_label=True, num_classes=5),
        Counter(),
    )
    metrics = [SegmentationMetric(), DetectionMetric(min_score=0.0), ClassificationMetric()]
    monkeypatch.setattr(model.fusion, "fuse", counted(model.fusion.fuse, ran, "fuse"))
    prepare_scoring(model, metrics, images, "test_dataloader")
    (prediction,) = model.test_step(collate([images[0]]))
    for metric in metrics:
        metric.process(None, [prediction])
    assert ran["fuse"] == 5
    ran.clear()
    (item,) = gallery_items(model, images, 1)
    assert ran["fuse"] == len(item.rows)


def test_the_table_fuses_once_for_boxes_and_the_protocol_of_the_same_size(model, monkeypatch):
    ran = Counter()
    monkeypatch.setattr(model.fusion, "fuse", counted(model.fusion.fuse, ran, "fuse"))
    images, model = Creatures("test", length=1, image_size=64), model.eval()
    table = LocalizationMetric(("tight", "wsolevaluation"))
    table.process(None, model.test_step(collate([images[0]])))
    assert ran["fuse"] == 2  # at 64 and at 224 pixels


def counted(function, ran, name):
    def run(*args):
        ran.update([name])
        return function(*args)

    return run


def test_the_table_refuses_images_with_several_labels(model):
    several = Creatures("test", length=1, multi_label=True)
    with pytest.raises(ConfigError, match="several labels") as caught:
        prepare_scoring(model, [LocalizationMetric()], several, "test_dataloader")
    assert "test_dataloader.dataset" in caught.value.at
    prepare_scoring(model, [DetectionMetric()], several, "test_dataloader")
