from __future__ import annotations

import os
from pathlib import Path

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
from wsoltool.evaluation.estimates import any_box_estimates, one_box_estimates
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
    boxes = gaussian_boxes(protocol, protocol.frame(size), protocol.thresholds)
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


def read_table(path: Path) -> dict[str, list[list[float]]]:
    rows: dict[str, list[list[float]]] = {}
    for line in path.read_text().splitlines():
        name, *numbers = line.split(",")
        rows.setdefault(name, []).append([float(number) for number in numbers])
    return rows


def test_controls_on_photos_equal_an_independent_script():
    if "WSOLTOOL_DATA" not in os.environ:
        pytest.skip("WSOLTOOL_DATA does not name a folder with tinyimagenet50")
    folder = Path(os.environ["WSOLTOOL_DATA"]) / "tinyimagenet50" / "metadata" / "test"
    written = read_table(folder / "localization.txt")
    sizes = read_table(folder / "image_sizes.txt")
    annotated = [np.array(boxes, np.float32) for boxes in written.values()]
    count = len(annotated)
    results = LocalizationResults(
        image_ids=np.array(list(written)),
        labels=np.zeros(count, int),
        top=np.zeros((count, 5), int),
        sizes=np.array([sizes[name][0][::-1] for name in written], int),
        boxes=[boxes + np.array([0, 0, 1, 1], np.float32) for boxes in annotated],
        annotated_boxes=annotated,
        part_iou=np.full(count, np.nan, np.float32),
    )
    right = {top: np.ones(count, bool) for top in ("Top-1", "Top-5")}
    small = results.area_shares() < 0.5
    assert small.sum() == 1290
    curves = control_curves(get_protocol("tight"), results, None)
    found = {}
    for name in (WHOLE, CENTRE):
        own, part = curves[name], curves[name].select(small)
        right_part = {top: values[small] for top, values in right.items()}
        found[name] = (
            round(one_box_estimates(own, own, right)["GT-known Loc"].value, 1),
            round(any_box_estimates(own, own)["MaxBoxAccV2"].value, 1),
            round(one_box_estimates(part, part, right_part)["GT-known Loc"].value, 1),
        )
    assert found == {WHOLE: (48.4, 48.4, 0.0), CENTRE: (52.8, 52.2, 16.2)}
