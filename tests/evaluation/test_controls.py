from __future__ import annotations

import numpy as np
import pytest

from wsoltool.evaluation.controls import (
    CENTRE,
    CONTROLS,
    GAUSSIAN,
    SHARES,
    WHOLE,
    control_curves,
    gaussian_boxes,
)
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.protocols import PROTOCOLS, get_protocol
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.functional.boxes import centre_gaussian
from wsoltool.structures import Truth

GRIDS = {name: protocol.thresholds for name, protocol in PROTOCOLS.items()}


@pytest.fixture
def results(predict):
    predictions = [
        predict("half", box=(0, 0, 10, 5)),
        predict("centre", box=(5, 5, 15, 15), size=(20, 20)),
    ]
    metric = LocalizationMetric(tuple(PROTOCOLS))
    return LocalizationResults.stack([metric.score(p) for p in predictions], GRIDS)


def test_boxes_that_look_at_nothing_by_hand(results):
    curves = control_curves(get_protocol("tight"), results, fixed_threshold=None)
    assert tuple(curves) == CONTROLS
    assert curves[WHOLE].largest.tolist() == [[0.5], [0.25]]
    assert curves[WHOLE].fixed.tolist() == [0.5, 0.25]
    centre = curves[CENTRE]
    assert centre.largest.shape == (2, 100)
    half = int(np.flatnonzero(SHARES == 0.5)[0])
    assert centre.largest[1, half] == 1
    # A centred 5 x 5 box shares 5 x 2.5 of its 25 with the upper half, 50
    assert centre.largest[0, half] == pytest.approx(12.5 / (25 + 50 - 12.5))
    # Half of the image's area about the centre holds the centre quarter: 100 / 200
    assert centre.fixed[1] == pytest.approx(0.5)
    assert curves[GAUSSIAN].fixed is None


def test_the_whole_image_in_the_frame_of_the_benchmark(results):
    curves = control_curves(get_protocol("wsolevaluation"), results, None)
    # Annotated 5, 5, 14, 14 of 20 x 20: 56 .. 156 of 224
    assert curves[WHOLE].fixed[1] == pytest.approx(101**2 / 224**2)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("size", [(7, 12), (20, 20), (1, 5), (1, 1), (61, 40)])
def test_the_gaussians_boxes_are_those_of_its_sweep(name, size):
    protocol = get_protocol(name)
    boxes = gaussian_boxes(protocol, size, protocol.thresholds)
    bump = centre_gaussian(protocol.frame(size))
    true = Truth(*[np.array([[0, 0, size[1] / 2, size[0] / 2]], np.float32)] * 2)
    swept = protocol.sweep(bump, true, size)
    own = protocol.best_iou(boxes, protocol.targets(true, size))
    np.testing.assert_array_equal(own, swept["largest"])
    np.testing.assert_array_equal(own, swept["all"])


def test_the_gaussians_fixed_box_is_the_one_at_the_threshold(results):
    protocol = get_protocol("tight")
    gaussian = control_curves(protocol, results, fixed_threshold=0.25)[GAUSSIAN]
    np.testing.assert_array_equal(gaussian.fixed, gaussian.largest[:, 250])
    assert gaussian.thresholds[250] == 0.25
