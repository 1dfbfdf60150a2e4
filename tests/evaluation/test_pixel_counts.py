"""The pixels kept of every image: the mask in its frame, stacking, saving."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.pixel_counts import GAUSSIAN, MODEL, PixelCounts, count_pixels
from wsoltool.evaluation.protocols import PROTOCOLS, get_protocol
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.functional.boxes import centre_gaussian
from wsoltool.functional.pixels import found_above, score_histograms
from wsoltool.structures import Truth

GRIDS = {name: protocol.thresholds for name, protocol in PROTOCOLS.items()}


def truth_of(mask):
    boxes = np.zeros((1, 4), np.float32)
    return Truth(boxes, boxes, mask=mask)


@pytest.fixture
def items(four, mask_boxes):
    metric = LocalizationMetric(tuple(PROTOCOLS), fixed_threshold=0.2)
    return [metric.score(prediction) for prediction in mask_boxes(four)]


@pytest.fixture
def results(items):
    return LocalizationResults.stack(items, GRIDS)


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_is_the_benchmarks_union_of_resized_instances(seed):
    # Instances and ignored pixels, each read as float32 and resized alone, as the benchmark does.
    random = np.random.default_rng(seed)
    height, width = random.integers(20, 700, 2).tolist()
    layers = (random.random((4, height, width)) < 0.2).astype(np.float32) * 255
    resized = [cv2.resize(x, (224, 224), interpolation=cv2.INTER_NEAREST) > 0.5 for x in layers]
    instances, ignored = np.any(resized[:3], axis=0), resized[3]
    expected = np.where(instances, 1, np.where(ignored, 255, 0))
    union = (layers[:3] > 0).any(axis=0)
    own = np.where(union, 1, np.where(layers[3] > 0, 255, 0)).astype(np.uint8)
    found = get_protocol("wsolevaluation").mask(truth_of(own), (height, width))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_tight_takes_the_mask_itself():
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3) % 2
    assert get_protocol("tight").mask(truth_of(mask), (2, 3)) is mask


def test_tight_takes_the_nearest_pixels_of_another_resolution():
    mask = np.array([[0, 1], [255, 0]], np.uint8)
    found = get_protocol("tight").mask(truth_of(mask), (4, 6))
    np.testing.assert_array_equal(found, mask.repeat(2, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize("mask", [None, np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)])
def test_a_protocol_without_mask(mask):
    with pytest.raises(EvaluationError, match="without a mask"):
        get_protocol("tight").mask(truth_of(mask), (4, 4))


def test_the_models_pixels_and_the_centre_gaussians():
    random = np.random.default_rng(1)
    scores, mask = random.random((6, 8)), random.choice(np.array([0, 1, 255], np.uint8), (6, 8))
    tight = get_protocol("tight")
    counted = count_pixels(tight, scores, truth_of(mask), (6, 8), 0.3)
    for who, values in ((MODEL, scores), (GAUSSIAN, centre_gaussian((6, 8)))):
        np.testing.assert_array_equal(counted[who].histograms, score_histograms(values, mask))
        np.testing.assert_array_equal(counted[who].fixed, found_above(values, mask, 0.3))
    counted = count_pixels(tight, scores, truth_of(mask), (6, 8), None)
    assert counted[MODEL].fixed is counted[GAUSSIAN].fixed is None


@pytest.mark.parametrize("mask", [None, np.zeros((6, 8), np.uint8)])
def test_masks_that_show_no_object(mask):
    with pytest.raises(EvaluationError, match="without an object's pixel"):
        count_pixels(get_protocol("tight"), np.ones((6, 8)), truth_of(mask), (6, 8), None)


COUNTS = PixelCounts(
    np.array([0.0, 0.5]),
    np.array([[[0, 1, 2, 3], [0, 4, 0, 1]], [[1, 0, 0, 0], [0, 0, 9, 0]]], np.int32),
    np.array([[4, 1, 2, 4], [0, 9, 1, 0]], np.int32),
)


def test_counts_at_thresholds():
    found, totals = COUNTS.found(np.array([1, 0]))
    assert found.tolist() == [[[0, 0, 0], [9, 9, 0]], [[6, 5, 3], [5, 1, 1]]]
    assert totals.tolist() == [[1, 9], [6, 5]]
    assert COUNTS.at(0)[..., 0].tolist() == [[6, 5], [0, 9]]
    assert COUNTS.at(1)[..., 0].tolist() == [[5, 1], [0, 9]]
    fixed, fixed_totals = COUNTS.at_fixed().found(np.arange(2))
    assert fixed[..., 0].tolist() == [[4, 1], [0, 9]]
    assert fixed_totals.tolist() == [[6, 5], [1, 9]]


def test_the_whole_image_finds_every_pixel():
    whole = COUNTS.whole()
    for counts in (whole, whole.at_fixed()):
        found, totals = counts.found(np.arange(2))
        assert found[..., 0].tolist() == totals.tolist() == [[6, 5], [1, 9]]


def test_results_have_the_pixels_of_every_image(results):
    counts = results.pixels["tight"][MODEL]
    # a: the box is lit; b: half of it; c: all; d: 4 pixels beside it; and the pixel at 0.1
    assert counts.fixed.tolist() == [[16, 0, 0, 84], [8, 0, 8, 84], [80, 0, 0, 20], [0, 4, 16, 80]]
    assert counts.histograms.shape == (4, 2, 1002)
    assert counts.histograms.dtype == counts.fixed.dtype == np.int32
    assert results.pixels["wsolevaluation"][MODEL].histograms.sum() == 4 * 224**2
    assert results.pixels["tight"][GAUSSIAN].histograms.sum() == 400


def same_pixels(a, b):
    assert list(a.pixels) == list(b.pixels)
    for protocol, own in a.pixels.items():
        for who, counts in own.items():
            other = b.pixels[protocol][who]
            for name in ("thresholds", "histograms", "fixed"):
                np.testing.assert_array_equal(getattr(counts, name), getattr(other, name))
            assert counts.histograms.dtype == other.histograms.dtype


def test_saving_and_loading(results, tmp_path):
    results.save(tmp_path / "results.npz")
    same_pixels(LocalizationResults.load(tmp_path / "results.npz"), results)


def test_saving_and_loading_without_a_fixed_threshold(four, mask_boxes, tmp_path):
    metric = LocalizationMetric(["tight"])
    items = [metric.score(prediction) for prediction in mask_boxes(four)]
    LocalizationResults.stack(items, {"tight": GRIDS["tight"]}).save(tmp_path / "results.npz")
    loaded = LocalizationResults.load(tmp_path / "results.npz")
    assert loaded.pixels["tight"][MODEL].fixed is None


def test_files_from_before_there_were_pixels(results, tmp_path):
    path = tmp_path / "results.npz"
    results.save(path)
    kept = {name: values for name, values in np.load(path).items() if ".pixels." not in name}
    np.savez(path, **kept)
    loaded = LocalizationResults.load(path)
    assert loaded.pixels is None
    np.testing.assert_array_equal(loaded.curves["tight"].all, results.curves["tight"].all)


def test_half_a_set_of_pixels_is_damage(results, tmp_path):
    path = tmp_path / "results.npz"
    results.save(path)
    kept = dict(np.load(path))
    del kept["tight.pixels.gaussian.histograms"]
    np.savez(path, **kept)
    with pytest.raises(EvaluationError, match="cannot read localization results"):
        LocalizationResults.load(path)


def test_selecting(results):
    kept = results.select(np.array([False, True, False, True]))
    assert kept.pixels["tight"][MODEL].fixed.tolist() == [[8, 0, 8, 84], [0, 4, 16, 80]]
    assert len(kept.pixels["wsolevaluation"][GAUSSIAN]) == 2
    same_pixels(results.select(np.ones(4, bool)), results)


def test_without_masks_there_are_no_pixels(four):
    metric = LocalizationMetric(["tight"])
    items = [metric.score(prediction) for prediction in four]
    assert items[0].pixels is None
    results = LocalizationResults.stack(items, {"tight": GRIDS["tight"]})
    assert results.pixels is None
    assert results.select(np.array([True, False, False, False])).pixels is None


def test_masks_of_some_images_are_refused(items):
    items[2].pixels = None
    with pytest.raises(EvaluationError, match="1 of 4 images have no mask") as caught:
        LocalizationResults.stack(items, GRIDS)
    assert caught.value.at == "c"


def test_one_image_stays_small(items):
    assert len(pickle.dumps(items[0])) < 60_000
