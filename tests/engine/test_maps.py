from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsoltool.datasets.records import BoxTable, Names, Records
from wsoltool.engine import maps as maps_module
from wsoltool.engine.map_evaluation import MapRequest, evaluate_maps
from wsoltool.engine.maps import CHUNK, MapRules, MapScorer, score_maps
from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.folder import MapFolder

COUNT = 5 * CHUNK + 3


@pytest.fixture
def scorer(tmp_path):
    """Maps of noise, all of 12 x 16."""
    random = np.random.default_rng(0)
    ids = [f"{index}.jpg" for index in range(COUNT)]
    for name in ids:
        np.save(tmp_path / f"{name}.npy", random.random((12, 16)))
    boxes = BoxTable.group(np.arange(COUNT), np.tile([2, 2, 9, 9], (COUNT, 1)), COUNT)
    sizes = np.tile([12, 16], (COUNT, 1))
    records = Records(Names.of(ids), np.zeros(COUNT, np.int64), sizes, boxes)
    files = [f"{name}.npy" for name in ids]
    return MapScorer(records, MapFolder(tmp_path, files, []), MapRules(("tight",)))


def outcomes(scorer, workers=0, **rules):
    return list(score_maps(replace(scorer, rules=replace(scorer.rules, **rules)), workers))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_outcomes_come_in_the_order_of_the_images(scorer, workers):
    found = outcomes(scorer, workers)
    assert [result.image_id for result, _ in found] == list(scorer.records.ids)
    assert all(bad is None for _, bad in found)


@pytest.mark.parametrize("workers", [0, 2])
def test_few_images_are_under_way_at_once(scorer, workers, monkeypatch):
    begun = []
    whole = MapScorer.score

    def score(self, index, check_only=False):
        begun.append(index)
        return whole(self, index, check_only)

    monkeypatch.setattr(MapScorer, "score", score)
    for count, _ in enumerate(score_maps(scorer, workers), start=1):
        assert len(begun) <= count + (2 * workers + 1) * CHUNK
    assert sorted(begun) == list(range(COUNT))


def test_after_the_first_bad_map_the_rest_is_checked_but_not_scored(scorer):
    scorer.folder.files[2] = None
    scorer.folder.files[COUNT - 1] = "nothing.npy"
    found = outcomes(scorer)
    kinds = {index: bad.kind for index, (_, bad) in enumerate(found) if bad}
    assert kinds == {2: "missing", COUNT - 1: "unreadable"}
    assert all(result is None for result, _ in found[CHUNK:])
    assert sum(result is not None for result, _ in outcomes(scorer, bad_maps="skip")) == COUNT - 2
    assert all(result is not None for result, _ in outcomes(scorer, bad_maps="miss"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_wrong_truth_names_its_image(scorer, workers):
    scorer.records.boxes.boxes[7] = [-30, 2, 5, 5]
    with pytest.raises(EvaluationError, match="inclusive pixel box") as caught:
        outcomes(scorer, workers, protocols=("wsolevaluation",))
    assert caught.value.at == "7.jpg"


@pytest.mark.parametrize("workers", [0, 2])
def test_whatever_goes_wrong_names_the_file(scorer, workers, monkeypatch):
    def broken(path, normalise):
        if Path(path).name == "9.jpg.npy":
            raise ZeroDivisionError("a bug")
        return np.eye(3)

    monkeypatch.setattr(maps_module, "read_map", broken)
    with pytest.raises(RuntimeError, match=r"9\.jpg\.npy of image '9\.jpg': a bug") as caught:
        outcomes(scorer, workers)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_interruption_leaves_no_thread(scorer):
    before = threading.active_count()
    running = score_maps(scorer, 2)
    next(running)
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt)
    assert threading.active_count() == before


def test_a_scorer_can_be_sent_to_another_process(scorer):
    other = pickle.loads(pickle.dumps(scorer))
    found, expected = (one.score(3)[0].sweeps["tight"] for one in (other, scorer))
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.starts, expected.starts)


def test_progress_sees_every_image_once(scorer, tmp_path):
    folder = tmp_path / "metadata"
    folder.mkdir()
    ids = list(scorer.records.ids)
    for name, values in (
        ("image_ids", ""),
        ("class_labels", ",0"),
        ("image_sizes", ",16,12"),
        ("localization", ",2,2,9,9"),
    ):
        (folder / f"{name}.txt").write_text("\n".join(f"{image_id}{values}" for image_id in ids))
    totals = []

    def watch(found, total):
        totals.append(total)
        for outcome in found:
            totals.append(1)
            yield outcome

    request = MapRequest(tmp_path, folder, rules=MapRules(("tight",)), resamples=0)
    evaluation = evaluate_maps(request, watch)
    assert totals == [COUNT, *[1] * COUNT]
    assert len(evaluation.results) == COUNT
    assert evaluation.seconds > 0
    with pytest.raises(ConfigError, match="did you mean 'skip'"):
        evaluate_maps(MapRequest(tmp_path, folder, rules=MapRules(bad_maps="skp")))
