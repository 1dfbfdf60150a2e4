from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import ConfigError
from wsoltool.functional.boxes import otsu_threshold
from wsoltool.models.boxes import OtsuBoxes, ThresholdBoxes
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


def best_split(levels: np.ndarray) -> float:
    """The largest variance between two classes that any of the 255 splits gives."""
    return max(between(levels, level) for level in range(255))


def between(levels: np.ndarray, level: float) -> float:
    low, high = levels[levels <= level], levels[levels > level]
    if not len(low) or not len(high):
        return 0.0
    return len(low) * len(high) / levels.size**2 * (high.mean() - low.mean()) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_otsu_splits_the_values_where_the_classes_differ_most(seed):
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(0.2, 0.1, 300), random.normal(0.7, 0.1, 100)])
    values = values.clip(0, 1).reshape(20, 20)
    levels = np.round(values * 255)
    found = between(levels, otsu_threshold(values) * 255)
    assert found == pytest.approx(best_split(levels), rel=1e-9)


def test_otsu_cuts_each_map_at_its_own_threshold(two_regions, context):
    boxes = OtsuBoxes()(two_regions, context)  # 0 for 37 pixels, 0.5 for 9, 1 for 2
    assert boxes.xyxy.tolist() == [[1, 1, 4, 4]]
    assert 0 < boxes.thresholds[0] < 0.5
    faint = OtsuBoxes(instances="all")(two_regions * np.float32(0.1), context)
    assert faint.xyxy.tolist() == [[6, 5, 8, 6], [1, 1, 4, 4]]
    assert (faint.thresholds < 0.05).all()


def test_otsu_takes_constant_maps_whole_and_zeros_not_at_all(context):
    whole = OtsuBoxes()(np.full((6, 8), 0.4, np.float32), context)
    assert whole.xyxy.tolist() == [[0, 0, 8, 6]]
    full = OtsuBoxes()(np.ones((6, 8), np.float32), context)
    assert full.xyxy.tolist() == [[0, 0, 8, 6]]
    empty = OtsuBoxes()(np.zeros((6, 8), np.float32), context)
    assert len(empty) == len(empty.thresholds) == 0


def test_otsu_tells_the_two_highest_grey_levels_apart(context):
    values = np.full((6, 8), 254 / 255, np.float32)
    values[1:3, 2:5] = 1.0
    boxes = OtsuBoxes()(values, context)
    assert boxes.xyxy.tolist() == [[2, 1, 5, 3]]
    assert boxes.thresholds[0] == np.float32(254.5 / 255)


def test_otsu_refuses_what_threshold_boxes_refuses():
    with pytest.raises(ConfigError, match="OtsuBoxes: unknown instances 'larges'"):
        OtsuBoxes(instances="larges")
    with pytest.raises(ConfigError, match=r"OtsuBoxes: min_area is 1\.0"):
        OtsuBoxes(min_area=1.0)
