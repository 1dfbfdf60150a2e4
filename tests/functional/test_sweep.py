from __future__ import annotations

from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError, ShapeError
from wsoltool.functional import sweep as sweep_module
from wsoltool.functional.boxes import box_iou, label_components
from wsoltool.functional.sweep import (
    KINDS,
    THRESHOLDS,
    reaches,
    tight_sweep,
    tight_sweeps,
    wsolevaluation_sweep,
    wsolevaluation_sweeps,
)

GOLDEN = Path(__file__).parents[1] / "golden"
COARSE = np.arange(0, 1, 0.03)


def golden(size: str) -> dict[str, np.ndarray]:
    arrays = dict(np.load(GOLDEN / f"box_sweep_{size}.npz"))
    more = GOLDEN / f"box_sweep_{size}_more.npz"
    if more.exists():
        arrays["maps"] = np.concatenate([arrays["maps"], np.load(more)["maps"]])
    return arrays


@pytest.mark.parametrize("size", ["96x72", "112x112", "224x224"])
def test_wsolevaluation_sweep_is_bit_equal_to_the_benchmark(size):
    reference = golden(size)
    np.testing.assert_array_equal(reference["thresholds"], THRESHOLDS)
    sweeps = [
        wsolevaluation_sweeps(values, reference["gt_boxes"][reference["gt_image"] == index])
        for index, values in enumerate(reference["maps"])
    ]
    for kind, name, accuracy in (
        ("largest", "best_iou_largest_contour", "max_box_acc_v1_per_iou"),
        ("all", "best_iou_all_contours", "max_box_acc_v2"),
    ):
        best = np.stack([sweep[kind] for sweep in sweeps])
        np.testing.assert_array_equal(best, reference[name])
        for stored in (best, best.astype(np.float32)):
            found = [100 * reaches(stored, iou).mean(axis=0).max() for iou in (0.3, 0.5, 0.7)]
            np.testing.assert_allclose(found, reference[accuracy], rtol=1e-12)


def slow_wsolevaluation(values, gt_boxes, contours, threshold):
    grey = np.floor(values.astype(np.float64) * 255).astype(np.uint8)
    mask = (grey > int(threshold * float(grey.max()))).astype(np.uint8)
    found = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if contours == "largest" and found:
        found = [max(found, key=cv2.contourArea)]
    height, width = values.shape
    boxes = [(0, 0, 0, 0)]
    if found:
        rectangles = map(cv2.boundingRect, found)
        boxes = [(x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in rectangles]
    return max(inclusive_iou(box, truth) for box in boxes for truth in gt_boxes)


def inclusive_iou(a, b):
    """Counts pixels."""
    pixels = [
        {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}
        for box in (a, b)
    ]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


def flood(mask):
    """Components by breadth-first search: lists of (y, x)."""
    left = set(zip(*np.nonzero(mask), strict=True))
    while left:
        start = min(left)
        left.remove(start)
        component, queue = [start], deque([start])
        while queue:
            y, x = queue.popleft()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            component += near
            queue += near
        yield component


def slow_tight(values, gt_boxes, instances, threshold):
    found = []
    for component in flood(values.astype(np.float64) > threshold):
        y, x = np.array(component).T
        box = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
        found.append((-len(component), box[1], box[0], box[3], box[2], box))
    found.sort()
    if instances == "largest":
        found = found[:1]
    boxes = np.array([entry[-1] for entry in found]).reshape(-1, 4)
    return box_iou(boxes, gt_boxes).max(initial=0.0)


@st.composite
def cases(draw):
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    levels = draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = random.integers(0, levels, (height, width)) / max(levels - 1, 1)
    values = values * draw(st.sampled_from([1.0, 0.999, 0.4]))
    corners = random.integers(0, [width, height], (draw(st.integers(1, 3)), 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return values.astype(draw(st.sampled_from([np.float32, np.float64]))), boxes


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(KINDS))
def test_wsolevaluation_sweep_equals_the_slow_one(case, kind):
    values, boxes = case
    expected = [slow_wsolevaluation(values, boxes, kind, t) for t in COARSE]
    np.testing.assert_array_equal(wsolevaluation_sweep(values, boxes, kind, COARSE), expected)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(KINDS))
def test_tight_sweep_equals_the_slow_one(case, kind):
    values, boxes = case
    boxes = boxes + np.array([0, 0, 1, 1])
    expected = [slow_tight(values, boxes, kind, t) for t in COARSE]
    np.testing.assert_array_equal(tight_sweep(values, boxes, kind, COARSE), expected)


def smooth(random, height, width):
    """Bumps, dents in them and noise, enlarged from a coarse grid as a CAM is."""
    cells = random.random((5, 6)) ** 2
    values = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    values -= values.min()
    return values / values.max()


MAPS = {
    "noise": lambda random, height, width: random.random((height, width)),
    "few values": lambda random, height, width: random.integers(0, 4, (height, width)) / 3,
    "smooth": smooth,
    "dark": lambda random, height, width: 0.03 * smooth(random, height, width),
    "noisy bumps": lambda random, height, width: (
        0.9 * smooth(random, height, width) + 0.1 * random.random((height, width))
    ),
    "rings": lambda random, height, width: np.abs(
        np.sin(np.hypot(*np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]) * 9)
    ),
    "plateaus": lambda random, height, width: np.round(smooth(random, height, width) * 6) / 6,
    "a flat frame": lambda random, height, width: np.pad(
        random.random((height - 6, width - 6)), 3, constant_values=0.5
    ),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("height", "width"), [(41, 30), (7, 90), (64, 64)])
def test_sweeps_of_larger_maps_equal_the_slow_ones(name, height, width):
    random = np.random.default_rng(height)
    values = MAPS[name](random, height, width)
    corners = np.sort(random.integers(0, [[width], [height]], (3, 2, 2)), axis=2)
    boxes = corners.transpose(0, 2, 1).reshape(3, 4)
    thresholds = np.unique(np.concatenate([THRESHOLDS[::97], values.ravel()[::131]]))
    thresholds = thresholds[thresholds < 1]
    half_open = boxes + np.array([0, 0, 1, 1])
    contours = wsolevaluation_sweeps(values, boxes, thresholds)
    components = tight_sweeps(values, half_open, thresholds)
    for kind in KINDS:
        expected = [slow_wsolevaluation(values, boxes, kind, t) for t in thresholds]
        np.testing.assert_array_equal(contours[kind], expected)
        expected = [component_sweep(values, half_open, kind, t) for t in thresholds]
        np.testing.assert_array_equal(components[kind], expected)


def component_sweep(values, gt_boxes, kind, threshold):
    """:func:`slow_tight` with OpenCV's components, for maps that are not tiny."""
    _, boxes, _ = label_components(values > threshold)
    if kind == "largest":
        boxes = boxes[:1]
    return box_iou(boxes, gt_boxes).max(initial=0.0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 2)])
def test_sweeps_of_the_smallest_maps_equal_the_slow_ones(shape):
    for seed in range(5):
        values = np.random.default_rng(seed).random(shape)
        boxes = np.array([[0, 0, max(shape[1] - 2, 0), shape[0] - 1]])
        half_open = boxes + np.array([0, 0, 1, 1])
        for kind in KINDS:
            expected = [slow_wsolevaluation(values, boxes, kind, t) for t in COARSE]
            np.testing.assert_array_equal(
                wsolevaluation_sweep(values, boxes, kind, COARSE), expected
            )
            expected = [slow_tight(values, half_open, kind, t) for t in COARSE]
            found = tight_sweep(values, half_open, kind, COARSE)
            np.testing.assert_array_equal(found, expected)


def test_one_kind_alone_equals_both_at_once():
    values = MAPS["noisy bumps"](np.random.default_rng(1), 50, 40)
    for one, both in ((wsolevaluation_sweep, wsolevaluation_sweeps), (tight_sweep, tight_sweeps)):
        for kind in KINDS:
            boxes = [[5, 6, 30, 40]]
            np.testing.assert_array_equal(one(values, boxes, kind), both(values, boxes)[kind])


def test_sizes_are_added_up_in_several_passes_when_there_are_many_regions(monkeypatch):
    values = np.random.default_rng(0).random((40, 40))
    boxes = np.array([[5, 6, 30, 30]])
    whole = tight_sweeps(values, boxes), wsolevaluation_sweeps(values, boxes)
    monkeypatch.setattr(sweep_module, "ADDITIONS", 2000)
    parts = tight_sweeps(values, boxes), wsolevaluation_sweeps(values, boxes)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one["largest"], other["largest"])


def test_the_map_and_the_boxes_are_left_as_they_are():
    values = MAPS["rings"](None, 30, 30)
    before, boxes = values.copy(), np.array([[1, 2, 9, 9]])
    wsolevaluation_sweeps(values, boxes)
    tight_sweeps(values, boxes)
    np.testing.assert_array_equal(values, before)
    assert boxes.tolist() == [[1, 2, 9, 9]]


@settings(max_examples=60, deadline=None)
@given(cases())
def test_all_boxes_are_never_worse_than_the_largest(case):
    values, boxes = case
    for sweeps in (wsolevaluation_sweeps(values, boxes), tight_sweeps(values, boxes)):
        assert (sweeps["all"] >= sweeps["largest"]).all()
        assert sweeps["all"].min() >= 0
        assert sweeps["all"].max() <= 1


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_tight_sweep_does_not_depend_on_the_order_of_thresholds(case):
    values, boxes = case
    shuffled = np.random.default_rng(0).permutation(len(COARSE))
    straight = tight_sweep(values, boxes, "all", COARSE)
    np.testing.assert_array_equal(
        tight_sweep(values, boxes, "all", COARSE[shuffled]), straight[shuffled]
    )


def ring() -> np.ndarray:
    values = np.zeros((20, 20))
    values[2:15, 2:15] = 1
    values[5:10, 5:10] = 0
    return values


def test_the_hole_of_a_ring_has_a_box_in_wsolevaluation():
    outer, hole = [[2, 2, 15, 15]], [[4, 4, 11, 11]]
    assert wsolevaluation_sweep(ring(), outer, "all").tolist() == [1.0] * 1000
    assert wsolevaluation_sweep(ring(), hole, "all").tolist() == [1.0] * 1000
    np.testing.assert_allclose(wsolevaluation_sweep(ring(), hole, "largest"), 64 / 196)


def test_an_island_in_a_hole_has_a_box_though_the_hole_is_filled_for_the_largest():
    values = ring() / 2
    values[6:8, 6:8] = 1  # brighter than the ring, whose hole is pixels 5 to 9
    assert wsolevaluation_sweep(values, [[6, 6, 8, 8]], "all").tolist() == [1.0] * 1000
    largest = wsolevaluation_sweep(values, [[2, 2, 15, 15]], "largest")
    assert (largest[:400] == 1).all()
    assert (largest[600:] == 9 / 196).all()


def test_the_hole_of_a_ring_has_no_box_in_tight():
    assert tight_sweep(ring(), [[2, 2, 15, 15]], "all").tolist() == [1.0] * 1000
    np.testing.assert_allclose(tight_sweep(ring(), [[5, 5, 10, 10]], "all"), 25 / 169)


def test_a_line_has_no_polygon_area_but_many_pixels():
    values = np.zeros((20, 20))
    values[1, 1:18] = 1
    values[10:13, 10:13] = 1
    square, line = [[10, 10, 13, 13]], [[1, 1, 18, 2]]
    assert wsolevaluation_sweep(values, square)[0] == 1
    assert tight_sweep(values, line)[0] == 1
    assert tight_sweep(values, square)[0] == 0


def test_pixels_2_to_5_make_the_box_2_2_6_6():
    values = np.zeros((10, 10))
    values[2:6, 2:6] = 1
    assert wsolevaluation_sweep(values, [[2, 2, 6, 6]])[500] == 1
    assert tight_sweep(values, [[2, 2, 6, 6]])[500] == 1


def test_boxes_stop_at_the_last_pixel():
    assert wsolevaluation_sweep(np.full((4, 4), 0.5), [[0, 0, 3, 3]])[0] == 1


def test_an_empty_foreground():
    assert wsolevaluation_sweep(np.zeros((4, 4)), [[0, 0, 1, 1]]).tolist() == [0.25] * 1000
    assert tight_sweep(np.zeros((4, 4)), [[0, 0, 1, 1]], "all").tolist() == [0.0] * 1000


def test_the_largest_component_of_two_equal_ones_is_the_upper():
    values = np.zeros((6, 6))
    values[0, 4] = values[3, 0] = 1
    assert tight_sweep(values, [[4, 0, 5, 1]])[0] == 1


def test_thresholds_are_relative_to_the_grey_maximum_in_wsolevaluation_alone():
    values = np.array([[0.4, 0.3, 0.0]])
    # grey 102, 76, 0: int(.8 * 102) = 81 leaves the first pixel, whose box is (0, 0, 1, 0)
    assert wsolevaluation_sweep(values, [[0, 0, 1, 0]], "largest", np.array([0.8]))[0] == 1
    assert tight_sweep(values, [[0, 0, 1, 1]], "largest", np.array([0.8, 0.35])).tolist() == [0, 1]


def test_float32_maps_are_compared_in_float64():
    values = np.array([[0.2]], dtype=np.float32)  # slightly above 0.2
    assert tight_sweep(values, [[0, 0, 1, 1]], "largest", np.array([0.2])).tolist() == [1]


@pytest.mark.parametrize("sweep", [wsolevaluation_sweep, tight_sweep])
@pytest.mark.parametrize(
    ("values", "boxes", "kind", "error", "says"),
    [
        (np.full((2, 2), np.nan), [[0, 0, 1, 1]], "all", EvaluationError, "nan"),
        (np.full((2, 2), 1.5), [[0, 0, 1, 1]], "all", EvaluationError, "1.5"),
        (np.full((2, 2), -0.5), [[0, 0, 1, 1]], "all", EvaluationError, "-0.5"),
        (np.zeros(4), [[0, 0, 1, 1]], "all", ShapeError, "(4,)"),
        (np.zeros((0, 4)), [[0, 0, 1, 1]], "all", ShapeError, "not empty"),
        (np.zeros((2, 2)), np.zeros((0, 4)), "all", EvaluationError, "no true box"),
        (np.zeros((2, 2)), [[0, 0, 1]], "all", ShapeError, "(1, 3)"),
        (np.zeros((2, 2)), [[0, 0, 1, 1]], "larges", EvaluationError, "'largest'"),
        (np.full((2, 2), np.inf), [[0, 0, 1, 1]], "all", EvaluationError, "inf"),
    ],
)
def test_refused_input(sweep, values, boxes, kind, error, says):
    with pytest.raises(error) as caught:
        sweep(values, boxes, kind)
    assert says in str(caught.value)


@pytest.mark.parametrize("thresholds", [[1.0], [-0.1], [np.nan], [[0.1]]])
@pytest.mark.parametrize("sweep", [wsolevaluation_sweeps, tight_sweeps])
def test_refused_thresholds(sweep, thresholds):
    with pytest.raises(EvaluationError, match="thresholds"):
        sweep(np.ones((2, 2)), [[0, 0, 1, 1]], np.array(thresholds))


def test_an_iou_that_is_the_limit_reaches_it_in_either_precision():
    best = np.array([[0.5, 0.1], [0.49, 0.9], [0.7, 0.7]])
    assert reaches(best, 0.5).tolist() == [[True, False], [False, True], [True, True]]
    expected = [[False, False], [False, True], [True, True]]
    assert reaches(best, 0.7).tolist() == reaches(best.astype(np.float32), 0.7).tolist() == expected
