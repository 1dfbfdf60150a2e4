from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.protocols import get_protocols
from wsoltool.evaluation.scoring import chosen_threshold, score_image
from wsoltool.functional.map_arrays import fit_map
from wsoltool.structures import Boxes, Sample, Truth

BOTH = get_protocols(["tight", "wsolevaluation"])
SIZE = (40, 56)


@pytest.fixture
def sample():
    boxes = np.array([[5, 6, 30, 31], [2, 2, 9, 9]], np.float32)
    return Sample("a", 3, SIZE, (0, 0, 56, 40), truth=Truth(boxes, boxes - [0, 0, 1, 1]))


@pytest.fixture
def map_at():
    values = np.random.default_rng(3).random((6, 7))
    return lambda frame: fit_map(values, frame)


def expanded(runs):
    swept = np.full((2, 1000), np.nan, np.float32)
    runs.expand(swept)
    return swept


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6, 0.60049, 0.9999])
def test_a_fixed_threshold_is_that_column_of_a_sweep(sample, map_at, threshold):
    result = score_image(sample, BOTH, map_at, threshold)
    for protocol in BOTH:
        values = map_at(protocol.frame(SIZE))
        own = protocol.sweep(values, sample.truth, SIZE, np.array([threshold]))
        assert result.fixed[protocol.name] == own["largest"][0]
        grid = protocol.sweep(values, sample.truth, SIZE)
        expected = np.stack([grid["largest"], grid["all"]]).astype(np.float32)
        np.testing.assert_array_equal(expanded(result.sweeps[protocol.name]), expected)
        assert expected.max() > 0


def test_a_threshold_of_the_grid_gives_that_column(sample, map_at):
    result = score_image(sample, BOTH, map_at, 0.6)
    for name, swept in result.sweeps.items():
        assert expanded(swept)[0, 600] == np.float32(result.fixed[name])


def test_boxes_are_scored_as_they_are_given(sample, map_at):
    boxes = np.array([[5, 6, 30, 31], [0, 0, 1, 1]], np.float32)
    assert score_image(sample, BOTH, map_at, boxes).fixed["tight"] == 1
    assert score_image(sample, BOTH, map_at, boxes[1:]).fixed["tight"] == 0
    assert score_image(sample, BOTH, map_at, boxes[:0]).fixed["wsolevaluation"] == 0


def test_nothing_localised_reaches_nothing(sample):
    # Even wsolevaluation's box of no contour, one pixel, would overlap an object in the corner.
    sample.truth.annotated_boxes[:] = 0
    result = score_image(sample, BOTH, None, 0.2)
    assert result.fixed == {"tight": 0, "wsolevaluation": 0}
    assert not any(expanded(swept).any() for swept in result.sweeps.values())
    assert result.top is None


def test_nothing_localised_gives_every_pixel_no_score(sample):
    sample.truth.mask = np.zeros(SIZE, np.uint8)
    sample.truth.mask[6:31, 5:30] = 1
    nothing = score_image(sample, BOTH, None, 0.2).pixels
    zeros = score_image(sample, BOTH, np.zeros, 0.2).pixels
    assert set(nothing) == {"tight", "wsolevaluation"}
    for name, counted in nothing.items():
        for who, pixels in counted.items():
            np.testing.assert_array_equal(pixels.histograms, zeros[name][who].histograms)
            np.testing.assert_array_equal(pixels.fixed, zeros[name][who].fixed)
    # TP, FP, FN, TN
    assert nothing["tight"]["model"].fixed.tolist() == [0, 0, 625, 40 * 56 - 625]


def boxes_at(count, thresholds):
    return Boxes(np.zeros((count, 4), np.float32), np.zeros(count, np.float32), thresholds)


def test_the_surest_boxes_threshold_is_kept(sample, map_at):
    assert chosen_threshold(boxes_at(2, np.array([0.25, 0.75], np.float32))) == 0.25
    assert chosen_threshold(boxes_at(2, None)) is None
    for thresholds in (None, np.zeros(0, np.float32)):
        assert np.isnan(chosen_threshold(boxes_at(0, thresholds)))
    box = np.array([[5, 6, 30, 31]], np.float32)
    assert score_image(sample, BOTH, map_at, box, chosen=0.25).chosen_threshold == 0.25
    assert score_image(sample, BOTH, map_at, box).chosen_threshold is None


@pytest.mark.parametrize("thresholds", [[0.2], [0.2, np.nan], [0.2, 1.1], [-0.1, 0.2], [[0.2] * 2]])
def test_thresholds_that_are_none_of_the_boxes(thresholds):
    with pytest.raises(EvaluationError, match="number in \\[0, 1\\] at which it was cut"):
        chosen_threshold(boxes_at(2, np.array(thresholds, np.float32)))
