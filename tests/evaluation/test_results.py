from __future__ import annotations

import pickle

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.protocols import PROTOCOLS
from wsoltool.evaluation.results import LocalizationResults

GRIDS = {name: protocol.thresholds for name, protocol in PROTOCOLS.items()}


@pytest.fixture
def items(four):
    metric = LocalizationMetric(tuple(PROTOCOLS))
    return [metric.score(prediction) for prediction in four]


@pytest.fixture
def results(items):
    return LocalizationResults.stack(items, GRIDS)


def same(a: LocalizationResults, b: LocalizationResults) -> None:
    for name in ("image_ids", "labels", "top", "sizes", "part_iou", "chosen_thresholds"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("boxes", "annotated_boxes"):
        for one, other in zip(getattr(a, name), getattr(b, name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype == np.float32
    assert list(a.curves) == list(b.curves)
    for name, curves in a.curves.items():
        for part in ("thresholds", "largest", "all", "fixed"):
            np.testing.assert_array_equal(getattr(curves, part), getattr(b.curves[name], part))


def test_stacking_keeps_the_order(results):
    assert results.image_ids.tolist() == ["a", "b", "c", "d"]
    assert results.top[2].tolist() == [1, 0, -1, -1, -1]
    assert results.curves["tight"].all.shape == (4, 1000)
    assert results.curves["tight"].fixed.tolist() == [1, 0.5, 1, 0]
    assert results.part_iou[0] == 0.25
    assert np.isnan(results.part_iou[1:]).all()


def test_area_shares_take_the_largest_box(results):
    assert results.area_shares().tolist() == [0.16, 0.16, 0.8, 0.16]
    results.boxes[0] = np.array([[0, 0, 1, 1], [0, 0, 10, 5]], np.float32)
    assert results.area_shares()[0] == 0.5


def test_saving_and_loading(results, tmp_path):
    results.boxes[1] = np.array([[0, 0, 1, 1], [0, 0, 10, 5]], np.float32)
    results.save(tmp_path / "results.npz")
    same(LocalizationResults.load(tmp_path / "results.npz"), results)


def test_selecting(results):
    same(results.select(np.ones(4, bool)), results)
    kept = results.select(np.array([False, True, False, True]))
    assert kept.image_ids.tolist() == ["b", "d"]
    assert len(kept.boxes) == len(kept) == 2
    assert kept.curves["tight"].fixed.tolist() == [0.5, 0]


def test_one_image_is_a_small_pickle(items):
    assert len(pickle.dumps(items[0])) < 20_000


def test_an_image_counted_twice(items):
    with pytest.raises(
        EvaluationError, match=r"1 images were evaluated more than once[\s\S]*at: b"
    ):
        LocalizationResults.stack([*items, items[1]], GRIDS)


def test_no_image():
    with pytest.raises(EvaluationError, match="no image was evaluated"):
        LocalizationResults.stack([], GRIDS)


def break_format(path):
    arrays = dict(np.load(path))
    arrays["format"] = np.array(99)
    np.savez(path, **arrays)


def one_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def flip_bytes(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(content))


def put_an_object_in(path):
    np.savez(path, format=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "cannot read"),
        (lambda path: path.write_bytes(b""), "cannot read"),
        (lambda path: path.write_text("boxes"), "cannot read"),
        (one_array, "cannot read"),
        (flip_bytes, "cannot read"),
        (lambda path: np.savez(path, maps=np.zeros(3)), "format"),
        (break_format, "format 99"),
        (put_an_object_in, "allow_pickle=False"),
    ],
)
def test_files_that_are_no_results(results, tmp_path, damage, says):
    path = tmp_path / "results.npz"
    results.save(path)
    damage(path)
    with pytest.raises(EvaluationError) as caught:
        LocalizationResults.load(path)
    assert says in str(caught.value)
    assert f"at: {path}" in str(caught.value)


def without_scores(items):
    for item in items:
        item.top = None
    return LocalizationResults.stack(items, GRIDS)


def test_results_without_class_scores(items, tmp_path):
    results = without_scores(items)
    results.save(tmp_path / "results.npz")
    loaded = LocalizationResults.load(tmp_path / "results.npz")
    assert results.top is loaded.top is results.select(np.array([True, False, True, False])).top
    assert results.top is None
    same(loaded, results)


def test_class_scores_are_of_all_images_or_of_none(items):
    items[2].top = None
    with pytest.raises(EvaluationError, match="1 of 4 images have no class scores"):
        LocalizationResults.stack(items, GRIDS)


def chosen_of(items, *thresholds):
    for item, threshold in zip(items, thresholds, strict=True):
        item.chosen_threshold = threshold
    return LocalizationResults.stack(items, GRIDS)


def test_chosen_thresholds_are_saved_selected_and_loaded(items, tmp_path):
    results = chosen_of(items, 0.35, float("nan"), 0, 1)
    assert results.chosen_thresholds.dtype == np.float32
    np.testing.assert_array_equal(results.chosen_thresholds, np.float32([0.35, np.nan, 0, 1]))
    results.save(tmp_path / "results.npz")
    same(LocalizationResults.load(tmp_path / "results.npz"), results)
    kept = results.select(np.array([3, 1]))
    np.testing.assert_array_equal(kept.chosen_thresholds, [1, np.nan])
    # None of these has a box, but the extractor chooses all the same.
    assert np.isnan(results.select(np.array([1])).chosen_thresholds).all()


@pytest.mark.parametrize("thresholds", [(None,) * 4, (None, float("nan"), None, None)])
def test_where_none_are_chosen_the_file_says_nothing_of_them(items, tmp_path, thresholds):
    results = chosen_of(items, *thresholds)
    assert results.chosen_thresholds is None
    assert results.select(slice(2)).chosen_thresholds is None
    path = tmp_path / "results.npz"
    results.save(path)
    with np.load(path) as arrays:
        assert "chosen_thresholds" not in arrays  # as in files of earlier versions
    assert LocalizationResults.load(path).chosen_thresholds is None


def test_thresholds_are_chosen_for_all_images_or_for_none(items):
    with pytest.raises(EvaluationError, match="2 of 4 images have a box without a ch") as caught:
        chosen_of(items, 0.3, None, float("nan"), None)
    assert caught.value.at == items[1].image_id
