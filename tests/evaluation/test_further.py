from __future__ import annotations

import json
import math
from io import StringIO

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from rich.console import Console

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.detection import DetectionMetric
from wsoltool.evaluation.further import Figure, FurtherSummary, spread
from wsoltool.evaluation.further_table import figure_rows, figures_table

BOX = (0, 0, 4, 4)


@pytest.fixture
def images(several):
    return [several(name, (0.9,), {0: [(1, BOX)]}, [(0, BOX)]) for name in "abcd"]


def test_every_batch_leaves_one_record_an_image(images):
    metric = DetectionMetric()
    metric.process(None, images)
    assert [record.image_id for record in metric.results] == list("abcd")


def test_padding_of_the_last_batch_is_dropped_once(images):
    metric = DetectionMetric(resamples=0)
    metric.process(None, [*images, images[0]])
    metric.evaluate(4)
    assert metric.summary.images == 4


def test_an_image_that_is_scored_twice_is_refused(images):
    metric = DetectionMetric(resamples=0)
    metric.process(None, [*images, images[0]])
    with pytest.raises(EvaluationError, match="1 images were evaluated more than once") as caught:
        metric.evaluate(5)
    assert caught.value.at == "a"


def test_no_image_is_refused():
    with pytest.raises(EvaluationError, match="no image was evaluated"):
        DetectionMetric().compute_metrics([])


def test_a_prefix_tells_two_metrics_apart(images):
    evaluator = Evaluator([DetectionMetric(), DetectionMetric(ap="11point", prefix="VOC2007")])
    evaluator.process(images, None)
    metrics = evaluator.evaluate(4)
    assert metrics["mAP@0.5"] == metrics["VOC2007/mAP@0.5"] == 100
    assert len(metrics) == 10


def test_a_spread_is_over_the_resamples_with_a_value():
    assert spread(None) is None
    assert spread(np.array([np.nan])) is None
    assert spread(np.array([0.25, np.nan, 0.25])) == (25, 25)


SUMMARY = FurtherSummary(
    "Detection",
    ("mAP: what it means.",),
    7,
    [
        Figure("mAP@0.5", 51.26, (40.04, 60.0), {"whole image": 12.0}, {"cat": 1.0, "dog": None}),
        Figure("CorLoc", 33.0),
    ],
)


def test_the_table_shows_figures_intervals_and_controls():
    console = Console(width=100, highlight=False, file=StringIO())
    console.print(figures_table(SUMMARY, ["test: 7 images, 1 left out."]))
    text = console.file.getvalue()
    assert "Detection of 7 images, percent" in text
    assert "mAP: what it means." in text
    assert "test: 7 images, 1 left out." in text
    lines = [line.split() for line in text.splitlines()]
    assert ["mAP@0.5", "51.3", "(40.0-60.0)", "12.0"] in lines
    assert ["CorLoc", "33.0"] in lines


def test_rows_are_plain_json():
    rows = json.loads(json.dumps(figure_rows(SUMMARY), allow_nan=False))
    assert rows[0] == {
        "metric": "mAP@0.5",
        "value": 51.26,
        "interval": [40.04, 60.0],
        "images": 7,
        "controls": {"whole image": 12.0},
        "per_class": {"cat": 1.0, "dog": None},
    }
    assert rows[1]["interval"] is None
    assert SUMMARY.metrics() == {"mAP@0.5": 51.26, "CorLoc": 33.0}


def test_percentages_of_classes_without_a_value_are_none():
    metric = DetectionMetric()
    metric.dataset_meta = {"classes": ["a", "b"]}
    assert metric.by_class(np.array([0.5, math.nan])) == {"a": 50, "b": None}
