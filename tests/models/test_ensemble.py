"""Several localizers as one: scores, classes, maps, state dict, what it refuses."""

from functools import partial

import numpy as np
import pytest
import torch

from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.builder import build_localizer
from wsoltool.models.fusion import Flip, MultiScale, SingleView

#: The coarse member's class for each of the fine one's.
GROUPS = [1, 0, 1]


def member(classes=3, channels=(4, 6), stride=2, **more):
    backbone = {"type": "SmallNet", "channels": channels, "output_stride": stride}
    return {"backbone": backbone, "head": {"type": "cam.CAMHead", "num_classes": classes}, **more}


def built(members, seed=0, **more):
    torch.manual_seed(seed)
    return build_localizer({"type": "Ensemble", "members": members, **more}).eval()


def pair(**more):
    coarse = {**member(2, channels=(5, 5, 7), stride=4), "classes": GROUPS}
    return built({"fine": member(), "coarse": coarse}, **more)


def alone(model, name, data, fusion, class_ids):
    """The raw maps of one member run by itself, asked for its own classes."""
    part = model.members[name]
    images = model.data_preprocessor(data)["inputs"]
    found = []
    for view in fusion.views():
        shown = view.apply(images)
        features = part.extract(shown)
        found.append(view.undo(part.head.maps(features, class_ids)["cam"]))
    return found


class TestPredicting:
    @pytest.mark.parametrize("fusion", [SingleView, Flip, partial(MultiScale, scales=(1.0, 2.0))])
    def test_maps_are_those_of_the_members_run_by_hand(self, batch, fusion):
        model = pair(fusion=fusion())
        model.class_query = lambda sample, scores: [0, 1, 2]
        data = batch(0, 2, sizes=[(16, 24)] * 2)
        asked = torch.tensor([[0, 1, 2]] * 2)
        with torch.no_grad():
            fine = alone(model, "fine", data, model.fusion, asked)
            coarse = alone(model, "coarse", data, model.fusion, torch.tensor([GROUPS] * 2))
        for index, prediction in enumerate(model.test_step(data)):
            for class_id in (0, 1, 2):
                maps = prediction.raw_maps(class_id)
                assert len(maps) == len(fine)
                for view, f, c in zip(maps, fine, coarse, strict=True):
                    assert list(view.branches) == ["fine/cam", "coarse/cam"]
                    assert torch.equal(view.branches["fine/cam"][0], f[index, class_id])
                    assert torch.equal(view.branches["coarse/cam"][0], c[index, class_id])

    def test_scores_are_the_first_members(self, batch):
        model, data = pair(), batch(0, 1, sizes=[(16, 24)] * 2)
        images = model.data_preprocessor(data)["inputs"]
        with torch.no_grad():
            logits = model.members["fine"](images)
            assert torch.equal(model(images), logits)
        for prediction, own in zip(model.test_step(data), logits, strict=True):
            np.testing.assert_allclose(prediction.scores, own.softmax(0), atol=1e-6)
        assert model.head.num_classes == 3

    def test_the_default_fusion_is_the_mean_of_each_members_scaled_map(self, batch):
        model, data = pair(), batch(2, sizes=[(16, 24)])
        (prediction,) = model.test_step(data)
        fine, coarse = prediction.raw_maps(2)[0].branches.values()
        assert fine.shape != coarse.shape
        both = [minmax_normalize(resize_maps(m, (16, 24)))[0] for m in (fine, coarse)]
        expected = minmax_normalize((both[0] + both[1]) / 2)
        np.testing.assert_allclose(prediction.map(2), expected, atol=1e-6)
