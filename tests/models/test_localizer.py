"""Views, asked classes, branches, map sources, inserts, modes, precision, copies."""

import numpy as np
import pytest
import torch

from wsoltool.functional.maps import minmax_normalize, resize_maps
from wsoltool.models.contracts import (
    BoxExtractor,
    CAMHead,
    MapSource,
    Recalibration,
)
from wsoltool.models.fusion import Flip, MultiScale, SingleView
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import labels_and_top1
from wsoltool.structures import Boxes, Sample, View


def channel(data, index, label):
    """``(H, W)`` float: what the map of a class must be before scaling."""
    return data["inputs"][index][..., label].float()


def scaled(array):
    return minmax_normalize(array).numpy()


class TestViews:
    def test_one_view_shows_the_input(self, mirror, batch):
        data = batch(1, 2)
        first, second = mirror().test_step(data)
        np.testing.assert_allclose(first.map(1), scaled(channel(data, 0, 1)), atol=1e-6)
        np.testing.assert_allclose(second.map(2), scaled(channel(data, 1, 2)), atol=1e-6)

    def test_the_mirrored_views_map_comes_back_unmirrored(self, mirror, batch):
        data = batch(1)
        (prediction,) = mirror(fusion=Flip()).test_step(data)
        upright, mirrored = prediction.raw_maps(1)
        assert (upright.view.flip, mirrored.view.flip) == (False, True)
        assert torch.equal(mirrored.branches["cam"][0], channel(data, 0, 1))
        assert torch.equal(mirrored.branches["cam"], upright.branches["cam"])
        np.testing.assert_allclose(prediction.map(1), scaled(channel(data, 0, 1)), atol=1e-6)

    def test_a_mirrored_view_really_is_mirrored_for_the_network(self, batch, mirror):
        class LeftHalf(Recalibration):
            def forward(self, features):
                return features * (torch.arange(features.shape[-1]) < 4)

        model = mirror(fusion=Flip())
        model.inserts = Inserts(model.backbone, [("same", lambda *_: LeftHalf())])
        (prediction,) = model.test_step(batch(0))
        upright, mirrored = (m.branches["cam"][0] for m in prediction.raw_maps(0))
        assert not upright[:, 4:].any()
        assert upright[:, :4].any()
        assert not mirrored[:, :4].any()
        assert mirrored[:, 4:].any()

    def test_scales_reach_the_network_and_keep_the_fusions_order(self, mirror, batch):
        model = mirror(fusion=MultiScale(scales=(0.5, 1.0, 2.0)))
        (prediction,) = model.test_step(batch(1))
        shapes = [tuple(m.branches["cam"].shape) for m in prediction.raw_maps(1)]
        assert shapes == [(1, 3, 4), (1, 6, 8), (1, 12, 16)]
        assert [m.view.scale for m in prediction.raw_maps(1)] == [0.5, 1.0, 2.0]

    def test_every_view_runs_once(self, mirror, batch):
        model = mirror(fusion=MultiScale(scales=(0.5, 1.0, 2.0), flip=True))
        model.test_step(batch(1, 1))
        sizes = [(2, 3, 3, 4), (2, 3, 6, 8), (2, 3, 12, 16)]
        assert sorted(model.backbone.shown) == sorted(sizes * 2)

    def test_summed_scales_equal_a_slow_reference(self, mirror, batch):
        data = batch(1)
        (prediction,) = mirror(fusion=MultiScale(scales=(1.0, 2.0))).test_step(data)
        image = channel(data, 0, 1)[None, None]
        double = View(scale=2.0).apply(image)[0, 0]
        expected = image[0, 0] + resize_maps(double, (6, 8))
        np.testing.assert_allclose(prediction.map(1), scaled(expected), atol=1e-6)

    def test_class_scores_come_from_scale_one_alone(self, small, batch):
        # Maps of all scales are used, scores of one: MsCAM.
        data = batch(1, 2, sizes=[(16, 16)] * 2)
        fusion = {"type": "MultiScale", "scales": (0.5, 1.0, 2.0)}
        single, multiple = small().eval(), small(fusion=fusion).eval()
        for alone, many in zip(single.test_step(data), multiple.test_step(data), strict=True):
            assert np.array_equal(alone.scores, many.scores)
            assert len(many.raw_maps(many.class_ids[0])) == 3
            assert not np.allclose(alone.map(alone.class_ids[0]), many.map(alone.class_ids[0]))

    def test_scores_of_several_views_are_averaged(self, small, batch):
        data = batch(1, sizes=[(16, 16)])
        fusion = {"type": "MultiScale", "scales": (1.0, 2.0), "score_scales": (1.0, 2.0)}
        model = small(fusion=fusion).eval()
        (prediction,) = model.test_step(data)
        images = model.data_preprocessor(data)["inputs"]
        with torch.no_grad():
            both = [
                model(View(scale=scale).apply(images)).softmax(dim=1)[0] for scale in (1.0, 2.0)
            ]
        np.testing.assert_allclose(prediction.scores, (both[0] + both[1]) / 2, atol=1e-6)

    def test_scale_one_copies_nothing(self):
        images = torch.zeros(1, 3, 4, 4)
        assert View().apply(images) is images
        assert View().undo(images) is images


class TestClasses:
    def test_the_label_and_the_predicted_class_are_asked_for(self, mirror, batch):
        data = batch(1, 2)
        data["inputs"][0, ..., 1] = 255  # predicted as labelled
        data["inputs"][1, ..., 0] = 255
        predictions = mirror().test_step(data)
        assert [p.class_ids for p in predictions] == [(1,), (2, 0)]

    def test_images_may_ask_for_different_numbers_of_classes(self, mirror, batch):
        data = batch(0, 1, 2)
        model = mirror()
        model.class_query = lambda sample, scores: [[2], [], [1, 0, 2]][sample.label]
        predictions = model.test_step(data)
        assert [p.class_ids for p in predictions] == [(2,), (), (1, 0, 2)]
        for index, prediction in enumerate(predictions):
            for class_id in prediction.class_ids:
                expected = scaled(channel(data, index, class_id))
                np.testing.assert_allclose(prediction.map(class_id), expected, atol=1e-6)

    def test_no_image_asks_for_any_class(self, mirror, batch):
        class Asked(MapSource):
            def maps(self, backbone, head, images, features, class_ids):
                raise AssertionError("no map is wanted")

        model = mirror(
            map_source=Asked(), fusion=MultiScale(scales=(1.0, 0.5), score_scales=(0.5,))
        )
        model.class_query = lambda sample, scores: []
        predictions = model.test_step(batch(0, 1))
        assert [p.class_ids for p in predictions] == [(), ()]
        assert predictions[0].scores.shape == (3,)
        # The first view, whose features boxes and part maps are of, and those with scores.
        assert len(model.backbone.shown) == 2

    def test_an_image_that_asks_for_none_beside_others_that_do(self, mirror, batch):
        # Heads and map sources still see one class of it: none of them must cope with none.
        class Asked(MapSource):
            def maps(self, backbone, head, images, features, class_ids):
                assert class_ids.tolist() == [[0], [2]]
                return head.maps(features, class_ids)

        model = mirror(map_source=Asked())
        model.class_query = lambda sample, scores: [2] * sample.label
        assert [p.class_ids for p in model.test_step(batch(0, 1))] == [(), (2,)]

    def test_classes_are_asked_before_views_without_scores_run(self, mirror, batch):
        # Otherwise the features of all views would be in memory together.
        model, seen = mirror(fusion=MultiScale(scales=(1.0, 0.5, 2.0))), []
        model.class_query = lambda *_: seen.extend(model.backbone.shown) or [0]
        model.test_step(batch(0))
        assert seen == [(1, 3, 6, 8)]
        assert len(model.backbone.shown) == 3

    def test_the_query_sees_record_and_probabilities_on_the_cpu(self, mirror, batch):
        seen = []
        model = mirror()
        model.class_query = lambda sample, scores: seen.append((sample, scores)) or [0]
        (prediction,) = model.test_step(batch(2))
        sample, scores = seen[0]
        assert sample.image_id == "image-0"
        assert scores.device.type == "cpu"
        assert np.array_equal(prediction.scores, scores.numpy())
        assert scores.sum().item() == pytest.approx(1)

    @pytest.mark.parametrize(
        ("label", "asked"),
        [
            (0, [0, 2]),
            (2, [2]),
            (-1, [2]),
            (np.int64(1), [1, 2]),
            (np.array([1.0, 1.0, 0.0], np.float32), [0, 1, 2]),
            (np.array([1.0, 0.0, 1.0], np.float32), [0, 2]),
            (np.zeros(3, np.float32), [2]),
            (np.array([-1.0, 1.0, 0.0], np.float32), [1, 2]),  # -1: not annotated
        ],
    )
    def test_labels_and_top1(self, label, asked):
        sample = Sample("image", label, (4, 4), (0.0, 0.0, 4.0, 4.0))
        assert labels_and_top1(sample, torch.tensor([0.1, 0.2, 0.7])) == asked

    def test_unknown_labels_get_the_predicted_class(self, mirror, batch):
        data = batch(-1, -1)
        data["inputs"][1, ..., 2] = 255
        assert mirror().test_step(data)[1].class_ids == (2,)

    def test_a_class_agnostic_head_answers_every_class_with_one_map(self, mirror, batch):
        class Foreground(CAMHead):
            num_classes = 3

            def logits(self, features):
                return features["last"].mean(dim=(2, 3))

            def loss(self, features, samples):
                return {"loss": self.logits(features).sum()}

            def maps(self, features, class_ids):
                one = features["last"].mean(dim=1, keepdim=True)
                return {"foreground": one.expand(-1, class_ids.shape[1], -1, -1)}

        data = batch(0, 1)
        model = mirror(head=Foreground())
        model.class_query = lambda sample, scores: [0, 1, 2][: 2 + sample.label]
        for index, prediction in enumerate(model.test_step(data)):
            maps = [prediction.map(class_id) for class_id in prediction.class_ids]
            assert len(maps) == 2 + index
            for answer in maps:
                expected = scaled(data["inputs"][index].float().mean(dim=-1))
                np.testing.assert_allclose(answer, expected, atol=1e-6)


class TestSizes:
    def test_images_of_different_sizes_answer_as_they_would_alone(self, small, batch):
        sizes = [(16, 24), (12, 8), (16, 24), (20, 16)]
        data = batch(0, 1, 2, 0, sizes=sizes)
        model = small(fusion={"type": "Flip"}).eval()
        together = model.test_step(data)
        for index, prediction in enumerate(together):
            samples = data["samples"].select([index])
            alone = model.test_step({"inputs": data["inputs"][index][None], "samples": samples})[0]
            assert prediction.sample.image_id == f"image-{index}"
            assert prediction.map(prediction.class_ids[0]).shape == sizes[index]
            np.testing.assert_allclose(prediction.scores, alone.scores, atol=1e-5)
            label = alone.class_ids[0]
            np.testing.assert_allclose(prediction.map(label), alone.map(label), atol=1e-4)

    def test_images_of_one_size_share_a_forward(self, mirror, batch):
        model = mirror()
        model.test_step(batch(0, 1, 2, 0, sizes=[(6, 8), (4, 4), (6, 8), (6, 8)]))
        assert model.backbone.shown == [(3, 3, 6, 8), (1, 3, 4, 4)]


class Ramp(CAMHead):
    """Two branches: the first channel, and the second at half the size."""

    num_classes = 3

    def logits(self, features):
        return features["last"].mean(dim=(2, 3))

    def loss(self, features, samples):
        return {"loss": self.logits(features).sum()}

    def maps(self, features, class_ids):
        first, second = (
            features["last"][:, i : i + 1].expand(-1, class_ids.shape[1], -1, -1) for i in (0, 1)
        )
        return {"a": first, "b": second[..., ::2, ::2]}


class TestBranches:
    def test_all_branches_reach_the_fusion(self, mirror, batch):
        data = batch(0)
        (prediction,) = mirror(head=Ramp()).test_step(data)
        maps = prediction.raw_maps(0)[0].branches
        assert {name: tuple(m.shape) for name, m in maps.items()} == {
            "a": (1, 6, 8),
            "b": (1, 3, 4),
        }
        image = data["inputs"][0].float()
        expected = image[..., 0] + resize_maps(image[::2, ::2, 1], (6, 8))
        np.testing.assert_allclose(prediction.map(0), scaled(expected), atol=1e-6)

    def test_one_branch_may_be_chosen(self, mirror, batch):
        data = batch(0)
        (prediction,) = mirror(head=Ramp(), fusion=SingleView(branches="a")).test_step(data)
        np.testing.assert_allclose(prediction.map(0), scaled(channel(data, 0, 0)), atol=1e-6)


class TestFeatures:
    @pytest.mark.parametrize("kind", ["GradCAM", "GradCAMPlusPlus", "ScoreCAM"])
    def test_a_map_source_gets_features_that_the_head_does_not_tap(self, small, batch, kind):
        source = {"type": f"gradcam.{kind}", "target": "stage2"}
        model = small(map_source=source, fusion={"type": "Flip"}).eval()
        predictions = model.test_step(batch(1, 2, sizes=[(16, 16)] * 2))
        for prediction in predictions:
            for view in prediction.raw_maps(prediction.class_ids[0]):
                assert view.branches["cam"].shape == (1, 4, 4)
                assert not view.branches["cam"].requires_grad
        assert all(p.grad is None for p in model.parameters())
        assert model.backbone.wanted == ()

    def test_predicting_leaves_no_gradient_and_no_mode_behind(self, small, batch):
        model = small(map_source={"type": "gradcam.GradCAM", "target": "stage1"}).eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model.test_step(batch(1, sizes=[(16, 16)]))
        assert torch.is_grad_enabled()
        assert not model.training
        assert all(torch.equal(before[name], v) for name, v in model.state_dict().items())
        assert all(p.grad is None and p.requires_grad for p in model.parameters())

    def test_the_extractor_gets_the_first_views_features_unmirrored(self, mirror, batch):
        class Second(BoxExtractor):
            features = ("same",)

            def __call__(self, localization_map, context):
                self.context = context
                return Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

        class MirroredFirst(SingleView):
            def views(self):
                return (View(scale=0.5, flip=True, scores=False), View())

        data = batch(0, 1)
        extractor = Second()
        model = mirror(boxes=extractor, fusion=MirroredFirst())
        second = model.test_step(data)[1]
        assert len(second.boxes(1)) == 0
        images = data["inputs"].permute(0, 3, 1, 2).float()
        expected = View(scale=0.5).apply(images.flip(-1)).flip(-1)[1]
        torch.testing.assert_close(extractor.context.features["same"], expected)
        assert len(model.backbone.shown) == 2

    def test_branches_are_pictured_of_the_first_view_unmirrored(self, mirror, batch):
        class Both(type(mirror().head)):
            def maps(self, features, class_ids):
                (own,) = super().maps(features, class_ids).values()
                return {"own": own, "dark": 255 - own}

        class MirroredFirst(SingleView):
            def views(self):
                return (View(scale=0.5, flip=True, scores=False), View())

        data = batch(0, 1)
        second = mirror(head=Both(), fusion=MirroredFirst()).test_step(data)[1]
        images = data["inputs"].permute(0, 3, 1, 2).float()
        raw = View(scale=0.5).apply(images.flip(-1)).flip(-1)[1, 1]
        expected = scaled(resize_maps(raw[None], (6, 8)))[0]
        found = second.branches_at(1)
        assert list(found) == ["own", "dark"]
        np.testing.assert_allclose(found["own"], expected, atol=1e-6)
        np.testing.assert_allclose(found["dark"], 1 - expected, atol=1e-5)


class TestPrecision:
    @pytest.mark.parametrize("source", [None, "gradcam.GradCAM", "gradcam.ScoreCAM"])
    def test_maps_and_scores_are_float32_under_autocast(self, small, batch, source):
        model = small(map_source=source and {"type": source}).eval()
        data = batch(1, sizes=[(16, 16)])
        (exact,) = model.test_step(data)
        with torch.autocast("cpu", torch.bfloat16):
            (rounded,) = model.test_step(data)
        label = rounded.class_ids[0]
        for view in rounded.raw_maps(label):
            assert view.branches["cam"].dtype == torch.float32
        assert rounded.map(label).dtype == np.float32
        assert rounded.scores.dtype == np.float32
        np.testing.assert_allclose(rounded.scores, exact.scores, atol=0.02)
        assert not np.array_equal(rounded.map(label), exact.map(label))  # autocast was on
