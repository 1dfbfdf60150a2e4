"""Several localizers as one: scores, classes, maps, state dict, what it refuses."""

import copy
import logging
import weakref
from functools import partial

import numpy as np
import pytest
import torch

from wsoltool.engine.checkpoints import load_weights
from wsoltool.errors import CheckpointError, ConfigError, EvaluationError
from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.contracts import BoxExtractor, MapSource
from wsoltool.models.ensemble import Ensemble, ensemble_state
from wsoltool.models.fusion import Flip, MultiScale, SingleView
from wsoltool.structures import Boxes

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

    def test_branches_may_be_chosen_by_name(self, batch):
        model = pair(fusion={"type": "SingleView", "branches": "coarse/cam"})
        (prediction,) = model.test_step(batch(0, sizes=[(16, 24)]))
        raw = prediction.raw_maps(0)[0].branches["coarse/cam"]
        expected = minmax_normalize(resize_maps(raw, (16, 24)))[0]
        np.testing.assert_allclose(prediction.map(0), expected, atol=1e-6)

    def test_images_of_different_sizes_answer_as_they_would_alone(self, batch):
        data, model = batch(0, 1, 2, sizes=[(16, 24), (24, 16), (16, 24)]), pair()
        for index, prediction in enumerate(model.test_step(data)):
            samples = data["samples"].select([index])
            (alone,) = model.test_step({"inputs": data["inputs"][index][None], "samples": samples})
            np.testing.assert_allclose(prediction.scores, alone.scores, atol=1e-5)
            label = alone.class_ids[0]
            np.testing.assert_allclose(prediction.map(label), alone.map(label), atol=1e-4)

    def test_every_member_sees_every_view_once(self, batch):
        model, shown = pair(fusion=MultiScale(scales=(0.5, 1.0), flip=True)), []
        for name, part in model.localizers().items():
            hook = lambda _, inputs, name=name: shown.append((name, *inputs[0].shape[2:]))  # noqa: E731
            part.backbone.register_forward_pre_hook(hook)
        model.test_step(batch(0, 1, sizes=[(16, 16)] * 2))
        views = [("fine", 8, 8), ("coarse", 8, 8), ("fine", 16, 16), ("coarse", 16, 16)]
        assert sorted(shown) == sorted(views * 2)

    def test_one_members_features_are_gone_before_the_next_one_runs(self, batch):
        model, alive = pair(fusion=MultiScale(scales=(1.0, 0.5))), []
        seen = []

        def note(module, inputs, output):
            alive.append(sum(reference() is not None for reference in seen))
            seen.append(weakref.ref(output["last"]))

        for part in model.localizers().values():
            part.backbone.register_forward_hook(note)
        model.test_step(batch(0, sizes=[(16, 16)]))
        assert alive == [0, 0, 0, 0]

    def test_a_class_that_nobody_asked_for_needs_no_counterpart(self, batch):
        model = pair()
        model.members["coarse"].classes[1] = -1
        model.class_query = lambda sample, scores: [0, 2]
        assert len(model.test_step(batch(0, sizes=[(16, 16)]))) == 1

    def test_members_have_inserts_and_map_sources_of_their_own(self, batch):
        norm = {"at": "stage1", "module": {"type": "BatchNorm"}}
        source = {"type": "gradcam.GradCAM", "target": ["stage1", "last"]}
        model = built({"plain": member(), "other": member(inserts=[norm], map_source=source)})
        (prediction,) = model.test_step(batch(1, sizes=[(16, 16)]))
        branches = prediction.raw_maps(1)[0].branches
        assert list(branches) == ["plain/cam", "other/stage1", "other/last"]
        assert "members.other.inserts.stage1.weight" in model.state_dict()
        assert model.inserts is None
        assert all(part.backbone.wanted == () for part in model.localizers().values())

    def test_maps_and_scores_are_float32_under_autocast(self, batch):
        model, data = pair(), batch(1, sizes=[(16, 16)])
        (exact,) = model.test_step(data)
        with torch.autocast("cpu", torch.bfloat16):
            (rounded,) = model.test_step(data)
        assert rounded.scores.dtype == np.float32
        for branch in rounded.raw_maps(1)[0].branches.values():
            assert branch.dtype == torch.float32
        np.testing.assert_allclose(rounded.scores, exact.scores, atol=0.02)
        assert not np.array_equal(rounded.map(1), exact.map(1))

    def test_the_extractor_looks_at_the_first_members_features(self, batch):
        class Looks(BoxExtractor):
            features = ("conv1",)

            def __call__(self, localization_map, context):
                self.context = context
                return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

        boxes = Looks()
        model, data = pair(boxes=boxes), batch(1, sizes=[(16, 16)])
        (prediction,) = model.test_step(data)
        prediction.boxes(1)
        part = model.members["fine"]
        expected = part.backbone.layers.conv1(model.data_preprocessor(data)["inputs"])[0]
        torch.testing.assert_close(boxes.context.features["conv1"], expected)

    def test_sides_that_do_not_divide_are_told_of_once(self, batch, caplog):
        model = built({name: member(stride=4) for name in "abc"})
        with caplog.at_level(logging.WARNING, "wsoltool.models.localizer"):
            model.test_step(batch(0, sizes=[(17, 17)]))
            model.test_step(batch(0, sizes=[(17, 17)]))
        assert len(caplog.records) == 1

    def test_pictures_show_what_erasers_of_each_member_would_hide(self, batch):
        eraser = {"at": "stage1", "module": {"type": "adh.DualHiding"}}
        model = built({"plain": member(), "erased": member(inserts=[eraser])})
        data = batch(0, sizes=[(16, 16)])
        assert model.test_step(data)[0].erasures_at() == {}
        model.for_pictures = True
        assert list(model.test_step(data)[0].erasures_at()) == ["erased/stage1"]


class TestStateDict:
    def test_that_of_three_seeds_is_theirs(self, batch):
        parts = {}
        for seed, name in enumerate("abc"):
            torch.manual_seed(seed)
            parts[name] = build_localizer(member()).eval()
        states = {name: part.state_dict() for name, part in parts.items()}
        state = ensemble_state(states, dict.fromkeys(parts, (0, 1, 2)))
        model = built({name: member() for name in parts}, seed=9)
        load_weights(model, state, "three.pth")
        data = batch(1, sizes=[(16, 16)])
        (prediction,) = model.test_step(data)
        scores = parts["a"].test_step(data)[0].scores
        np.testing.assert_allclose(prediction.scores, scores, atol=1e-6)
        for name, part in parts.items():
            own = part.test_step(data)[0].raw_maps(1)[0].branches["cam"]
            torch.testing.assert_close(prediction.raw_maps(1)[0].branches[f"{name}/cam"], own)

    def test_its_names_are_the_members_with_a_prefix(self):
        model = pair()
        expected = {
            f"members.{name}.{key}"
            for name, part in {"fine": member(), "coarse": member(2, (5, 5, 7), 4)}.items()
            for key in (*build_localizer(part).state_dict(), "classes")
        }
        assert set(model.state_dict()) == expected
        assert model.members["coarse"].classes.tolist() == GROUPS
        assert model.members["fine"].classes.tolist() == [0, 1, 2]

    def test_a_checkpoint_says_which_classes_belong_together(self, batch):
        members = {"fine": member(), "coarse": member(2, (5, 5, 7), 4)}
        model = built(members)
        data = batch(2, sizes=[(16, 16)])
        with pytest.raises(EvaluationError, match="which class of member 'coarse'") as caught:
            model.test_step(data)
        assert caught.value.at == "model.members.coarse.classes"
        load_weights(model, pair().state_dict(), "pair.pth")
        assert model.members["coarse"].classes.tolist() == GROUPS
        (prediction,), (expected,) = model.test_step(data), pair().test_step(data)
        np.testing.assert_allclose(prediction.map(2), expected.map(2), atol=1e-5)

    def test_other_classes_than_the_configs_are_refused(self):
        state = pair().state_dict()
        state["members.coarse.classes"] = torch.tensor([0, 0, 1])
        with pytest.raises(CheckpointError, match="other classes of member 'coarse'"):
            load_weights(pair(seed=3), state, "x.pth")

    def test_a_class_that_the_member_has_not_is_refused(self, batch):
        model = pair()
        model.members["coarse"].classes.fill_(2)
        with pytest.raises(CheckpointError, match="a class that it has not"):
            model.test_step(batch(0, sizes=[(16, 16)]))

    @pytest.mark.parametrize(
        ("members", "classes", "told"),
        [
            ({}, {}, "none"),
            ({"a": {}}, {}, "members a"),
            ({"a": {}}, {"a": [0], "b": [0]}, "classes of a, b"),
            ({"a": {}, "b": {}}, {"a": [0, 1], "b": [0]}, r"\[1, 2\]"),
            ({"a": {}}, {"a": [-1]}, "no class numbers of 'a'"),
            ({"a": {}}, {"a": [0.5]}, "no class numbers"),
        ],
    )
    def test_states_that_cannot_be_put_together(self, members, classes, told):
        with pytest.raises(CheckpointError, match=told):
            ensemble_state(members, classes)

    def test_a_copy_has_parts_of_its_own(self, batch):
        model, data = pair(), batch(1, sizes=[(16, 16)])
        other = copy.deepcopy(model)
        expected = other.test_step(data)[0].map(1)
        with torch.no_grad():
            model.backbone.layers.conv1.weight.zero_()
        assert other.backbone is other.members["fine"].backbone
        np.testing.assert_array_equal(other.test_step(data)[0].map(1), expected)


class TestRefusals:
    def test_training(self, batch):
        data = pair().data_preprocessor(batch(0, 1, sizes=[(16, 16)] * 2))
        with pytest.raises(ConfigError, match="not trained"):
            pair()(**data, mode="loss")

    @pytest.mark.parametrize(
        ("more", "at"),
        [
            ({"members": {}}, "model.members"),
            ({"members": {"a": None}}, "model.members"),
            ({"members": {"a": 3}}, "model.members.a"),
            ({"members": {"a.b": member()}}, "model.members.a.b"),
            ({"members": {"items": member()}}, "model.members.items"),
            ({"members": {"training": member()}}, "model.members.training"),
            ({"members": {"a": member(fusion={"type": "Flip"})}}, "model.members.a.fusion"),
            ({"members": {"a": member(boxes={"type": "OtsuBoxes"})}}, "model.members.a.boxes"),
            ({"members": {"a": member(frozen="stage1")}}, "model.members.a.frozen"),
            ({"members": {"a": member(type="Ensemble")}}, "model.members.a.type"),
            ({"members": {"a": member(clases=[1])}}, "model.members.a.clases"),
            ({"members": {"a": {**member(), "classes": 3}}}, "model.members.a.classes"),
            ({"members": {"a": {**member(), "classes": [0, 1]}}}, "model.members.a.classes"),
            ({"members": {"a": {**member(), "classes": [0, 1, 3]}}}, "model.members.a.classes"),
            ({"members": {"a": member()}, "backbone": {}}, "model.backbone"),
            (
                {"members": {"a": member(), "b": member(preprocessor={"mean": (1, 2, 3)})}},
                "model.members.b.preprocessor",
            ),
            (
                {
                    "members": {"a": member(compile={"mode": "reduce-overhead"})},
                    "fusion": {"type": "Flip"},
                },
                "model.members.a.compile",
            ),
        ],
    )
    def test_parts_that_cannot_be_name_their_path(self, more, at):
        with pytest.raises(ConfigError) as caught:
            build_localizer({"type": "Ensemble", **more})
        assert caught.value.at == at

    def test_an_extractor_that_asks_for_what_the_first_member_has_not(self):
        class Looks(ThresholdBoxes):
            features = ("stage3",)

        with pytest.raises(ConfigError, match="no feature 'stage3'") as caught:
            pair(boxes=Looks())
        assert caught.value.at == "model.boxes"

    def test_an_ensemble_in_an_ensemble(self):
        with pytest.raises(ConfigError, match="member 'a' is Ensemble"):
            Ensemble({"a": pair()}, SingleView(), ThresholdBoxes())


class Constant(MapSource):
    def maps(self, backbone, head, images, features, class_ids):
        return {"same": class_ids[..., None, None].float().expand(-1, -1, 2, 2)}


def test_a_member_that_is_none_is_left_out():
    model = built({"a": None, "b": member(), "c": None})
    assert list(model.members) == ["b"]


def test_members_are_asked_for_their_own_classes_by_hand(batch):
    coarse = {**member(2, map_source=Constant()), "classes": GROUPS}
    model = built({"fine": member(map_source=Constant()), "coarse": coarse})
    model.class_query = lambda sample, scores: [2, 0, 1]
    (prediction,) = model.test_step(batch(0, sizes=[(16, 16)]))
    for class_id, group in enumerate(GROUPS):
        branches = prediction.raw_maps(class_id)[0].branches
        assert branches["fine/same"].unique().tolist() == [class_id]
        assert branches["coarse/same"].unique().tolist() == [group]


def test_no_member_reads_weights_where_they_come_later():
    backbone = {"type": "VGG16", "pretrained": True}
    model = {"type": "Ensemble", "members": {"a": {"backbone": backbone, "head": 1}, "b": None}}
    bare = without_pretrained(model)
    assert bare["members"]["a"]["backbone"]["pretrained"] is False
    assert bare["members"]["b"] is None
    assert backbone["pretrained"] is True
