"""The maps of branches that pictures show beside the fused one."""

import numpy as np
import pytest
import torch

from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.fusion import MultiScale, SingleView
from wsoltool.models.prediction import Prediction
from wsoltool.structures import Sample, View, ViewMaps


def with_branches(size, fusion=None, others=(), **sample):
    """Two branches of the classes 3 and 1, and other views."""
    upper = torch.tensor([[[0.0, 4.0], [8.0, 2.0]], [[1.0, 0.0], [0.0, 0.0]]])
    region = sample.pop("region", (0.0, 0.0, float(size[1]), float(size[0])))
    return Prediction(
        Sample("image", 3, size, region, **sample),
        np.ones(4, np.float32),
        (3, 1),
        [ViewMaps(View(), {"upper": upper, "lower": upper.flip(1) + 5}), *others],
        fusion or SingleView(),
        ThresholdBoxes(),
    )


def test_each_class_has_its_branches_scaled_for_themselves():
    prediction = with_branches((2, 2))
    answer = prediction.branches_at(3)
    assert {name: shown.tolist() for name, shown in answer.items()} == {
        "upper": [[0.0, 0.5], [1.0, 0.25]],
        "lower": [[1.0, 0.25], [0.0, 0.5]],
    }
    assert {shown.dtype for shown in answer.values()} == {np.dtype(np.float32)}
    assert prediction.branches_at(1)["lower"].tolist() == [[0, 0], [1, 0]]
    assert prediction.branches_at(3, (5, 7))["upper"].shape == (5, 7)


@pytest.mark.parametrize("flipped", [False, True])
def test_branches_lie_where_the_map_does(flipped):
    own = [[0.5, 0.0], [0.25, 1.0]] if flipped else [[0.0, 0.5], [1.0, 0.25]]
    prediction = with_branches((4, 6), region=(1.0, 2.0, 3.0, 4.0), flipped=flipped)
    expected = np.zeros((4, 6))
    expected[2:4, 1:3] = own
    assert prediction.branches_at(3)["upper"].tolist() == expected.tolist()
    expected[2:4, 1:3] = own[::-1]
    assert prediction.branches_at(3)["lower"].tolist() == expected.tolist()
    larger = prediction.branches_at(3, (8, 12))["lower"]
    outside = np.ones((8, 12), bool)
    outside[4:8, 2:6] = False
    assert larger.max() == 1
    assert not larger[outside].any()


def test_branches_are_the_first_views():
    other = ViewMaps(View(2.0), {name: torch.rand(2, 4, 4) for name in ("upper", "lower")})
    prediction = with_branches((2, 2), MultiScale((1.0, 2.0)), [other])
    alone = with_branches((2, 2)).branches_at(3)
    answer = prediction.branches_at(3)
    assert answer.keys() == alone.keys()
    assert all(np.array_equal(answer[name], alone[name]) for name in alone)
    assert not np.array_equal(prediction.map(3), with_branches((2, 2)).map(3))


def test_a_fusion_of_ones_own_names_what_it_shows():
    class Levels(SingleView):
        def pictured(self, maps, size):
            fused = self.fuse(maps, size)
            return {"level 0": fused, "level 1": 1 - fused}

    prediction = with_branches((2, 2), Levels())
    answer = prediction.branches_at(1)
    assert list(answer) == ["level 0", "level 1"]
    assert np.array_equal(answer["level 0"], prediction.map(1))
    assert np.array_equal(answer["level 1"], 1 - prediction.map(1))
