"""Maps of labelled classes as files, by predictions made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.map_writer import MapWriter

MAPS = {c: np.full((4, 6), c / 4) for c in range(3)}


@pytest.fixture
def write(tmp_path):
    def run(predictions, by_class=True, names=("cat", "potted plant", "a/../b")):
        evaluator = Evaluator(MapWriter(tmp_path, by_class))
        evaluator.dataset_meta = {"classes": names} if names else {}
        evaluator.process(predictions, None)
        assert evaluator.evaluate(len(predictions)) == {}
        return {p.relative_to(tmp_path).as_posix(): np.load(p) for p in tmp_path.rglob("*.npy")}

    return run


def test_every_label_has_its_map_below_the_images_id(several, write):
    a = several("birds/a.jpg", label=(1, 1, 0), maps=MAPS)
    found = write([a, several("b", label=(0, 0, 1), maps=MAPS), several("c", label=(0, 0, 0))])
    assert found.keys() == {
        "birds/a.jpg/0_cat.npy",
        "birds/a.jpg/1_potted_plant.npy",
        "b/2_a____b.npy",
    }
    for name, values in found.items():
        assert values.dtype == np.float32
        assert np.array_equal(values, MAPS[int(name.rpartition("/")[2][0])])


def test_without_names_the_index_is_the_name(several, write):
    assert write([several("a", label=(0, 1, 0), maps=MAPS)], names=None).keys() == {"a/1_1.npy"}


def test_images_of_one_class_have_one_map(several, write):
    found = write([several("x/a.jpg", label=2, maps=MAPS)], by_class=False)
    assert found.keys() == {"x/a.jpg.npy"}
    assert (found["x/a.jpg.npy"] == 0.5).all()


def test_unknown_labels_and_ids_that_lead_out_are_refused(several, write):
    with pytest.raises(EvaluationError, match="without a label") as caught:
        write([several("a", label=-1)])
    assert caught.value.at == "a"
    with pytest.raises(EvaluationError, match="outside the map folder"):
        write([several("../a", label=(1, 0, 0), maps=MAPS)])
