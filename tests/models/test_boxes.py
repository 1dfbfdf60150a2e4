from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import ConfigError
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.structures import BoxContext


@pytest.fixture
def context() -> BoxContext:
    return BoxContext(class_id=0, region=(0, 0, 8, 6), maps=[], fused=np.zeros)


@pytest.fixture
def two_regions() -> np.ndarray:
    values = np.zeros((6, 8), np.float32)
    values[1:4, 1:4] = 0.5
    values[5, 6:8] = 1.0
    return values


def test_the_largest_region_alone(two_regions, context):
    boxes = ThresholdBoxes(threshold=0.2)(two_regions, context)
    assert boxes.xyxy.tolist() == [[1, 1, 4, 4]]
    assert boxes.scores.tolist() == [0.5]
    assert boxes.xyxy.dtype == boxes.scores.dtype == np.float32


def test_all_regions_surest_first(two_regions, context):
    boxes = ThresholdBoxes(threshold=0.2, instances="all")(two_regions, context)
    assert boxes.xyxy.tolist() == [[6, 5, 8, 6], [1, 1, 4, 4]]
    assert boxes.scores.tolist() == [1.0, 0.5]


def test_equally_sure_regions_come_largest_first(context):
    values = np.zeros((6, 8), np.float32)
    values[0, 0] = values[3:5, 3:5] = 1.0
    boxes = ThresholdBoxes(instances="all")(values, context)
    assert boxes.xyxy.tolist() == [[3, 3, 5, 5], [0, 0, 1, 1]]


def test_small_regions_are_left_out(two_regions, context):
    extractor = ThresholdBoxes(instances="all", min_area=3 / 48)
    assert extractor(two_regions, context).xyxy.tolist() == [[1, 1, 4, 4]]
    exactly = ThresholdBoxes(instances="all", min_area=2 / 48)
    assert len(exactly(two_regions, context)) == 2


def test_the_foreground_is_strictly_above(two_regions, context):
    assert ThresholdBoxes(threshold=0.5)(two_regions, context).xyxy.tolist() == [[6, 5, 8, 6]]


def test_a_map_of_zeros_has_no_box(context):
    boxes = ThresholdBoxes(threshold=0.0)(np.zeros((6, 8), np.float32), context)
    assert len(boxes) == 0
    assert boxes.xyxy.shape == (0, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"threshold": "0.2"}, "threshold is '0.2'"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"threshold": True}, "threshold is True"),
        ({"min_area": 1.5}, "min_area is 1.5"),
        ({"instances": "larges"}, "did you mean 'largest'"),
    ],
)
def test_refused_options(options, says):
    with pytest.raises(ConfigError) as caught:
        ThresholdBoxes(**options)
    assert says in str(caught.value)
