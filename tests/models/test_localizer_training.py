"""Inserts and augmentations in training, modes, and what copies and checkpoints hold."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, WsolError
from wsoltool.functional.maps import minmax_normalize
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.contracts import (
    BatchAugmentation,
    Eraser,
    Recalibration,
)
from wsoltool.models.insertion import Inserts
from wsoltool.models.preprocessor import Preprocessor


class HideLabelled(Eraser):
    """Zeros the images whose label is 1, and remembers every call."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def erase(self, features, samples):
        self.calls.append(samples.labels.tolist())
        return features * (samples.labels != 1).view(-1, 1, 1, 1)


class Negate(BatchAugmentation):
    def __call__(self, images, samples):
        return -images, samples.with_labels(samples.labels * 0 + 1)


class TestTraining:
    def test_erasers_see_the_labels_in_training(self, mirror, batch):
        model = mirror()
        model.inserts = Inserts(model.backbone, [("same", lambda *_: HideLabelled())])
        data = batch(1, 0, 1)
        inputs = model.data_preprocessor(data, True)
        model.train()
        features = model.extract(**{"images": inputs["inputs"], "samples": inputs["samples"]})
        hidden = [not image.any() for image in features["last"]]
        assert hidden == [True, False, True]
        assert model.inserts["same"].calls == [[1, 0, 1]]

    def test_a_head_may_run_erased_layers_again(self, mirror, batch):
        class Twice(type(mirror().head)):
            def bind(self, backbone):
                self.again = (backbone,)

            def loss(self, features, samples):
                features = self.again[0].forward_from(features["last"], "input")
                return super().loss(features, samples)

        backbone = mirror().backbone
        inserts = Inserts(backbone, [("same", lambda *_: HideLabelled())])
        model = mirror(backbone=backbone, inserts=inserts, head=Twice()).train()
        model(**model.data_preprocessor(batch(1, 0), True), mode="loss")
        assert inserts["same"].calls == [[1, 0], [1, 0]]
        assert inserts.current_samples is None

    def test_erasers_do_nothing_at_test(self, mirror, batch):
        data = batch(1, 0)
        plain = mirror().test_step(data)
        model = mirror()
        model.inserts = Inserts(model.backbone, [("same", lambda *_: HideLabelled())])
        model.eval()
        for before, after in zip(plain, model.test_step(data), strict=True):
            label = before.class_ids[0]
            assert np.array_equal(before.map(label), after.map(label))
        assert model.inserts["same"].calls == []

    def test_predicting_in_training_mode_with_an_eraser_is_an_error(self, mirror, batch):
        model = mirror()
        model.inserts = Inserts(model.backbone, [("same", lambda *_: HideLabelled())])
        with pytest.raises(WsolError, match="in training without samples"):
            model.train().test_step(batch(1))

    @pytest.mark.parametrize("point", ["input", "same", "last"])
    def test_inserts_act_at_the_input_too(self, mirror, batch, point):
        class Double(Recalibration):
            def forward(self, features):
                return features * 2

        data = batch(1)
        (before,) = mirror().test_step(data)
        model = mirror()
        model.inserts = Inserts(model.backbone, [(point, lambda *_: Double())])
        (after,) = model.eval().test_step(data)
        twice = before.raw_maps(1)[0].branches["cam"] * 2
        assert torch.equal(after.raw_maps(1)[0].branches["cam"], twice)

    def test_the_loss_is_the_heads_on_augmented_images(self, mirror, batch):
        data = batch(0, 2)
        settings = {"mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0)}
        model = mirror(preprocessor=Preprocessor(**settings, batch_augmentations=[Negate()]))
        losses = model.train()(**model.data_preprocessor(data, True), mode="loss")
        logits = -data["inputs"].float().mean(dim=(1, 2)) / 255
        expected = nn.functional.cross_entropy(logits, torch.tensor([1, 1]))
        assert losses["loss_cls"].item() == pytest.approx(expected.item(), rel=1e-5)

    def test_batch_augmentations_leave_the_test_alone(self, mirror, batch):
        data = batch(1)
        settings = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        model = mirror(preprocessor=Preprocessor(**settings, batch_augmentations=[Negate()]))
        (prediction,) = model.test_step(data)
        np.testing.assert_allclose(
            prediction.map(1), minmax_normalize(data["inputs"][0][..., 1].float()), atol=1e-6
        )
        assert prediction.sample.label == 1

    def test_tensor_mode_answers_logits(self, mirror, batch):
        data = mirror().data_preprocessor(batch(0, 1))
        logits = mirror()(data["inputs"])
        assert torch.equal(logits, data["inputs"].mean(dim=(2, 3)))

    def test_unknown_modes_are_refused(self, mirror):
        with pytest.raises(ConfigError, match="unknown mode 'train'"):
            mirror()(torch.zeros(1, 3, 4, 4), mode="train")


class Gain(Recalibration):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, features):
        return features * self.gain


class TestCopies:
    def with_gain(self, mirror):
        backbone = SmallNet(channels=(4, 3))
        inserts = Inserts(backbone, [("stage1", lambda *_: Gain()), ("input", lambda *_: Gain())])
        return mirror(backbone=backbone, inserts=inserts)

    def test_a_copy_has_inserts_of_its_own(self, mirror, batch):
        data = batch(1, sizes=[(16, 16)])
        model = self.with_gain(mirror)
        twin = copy.deepcopy(model)
        (before,) = model.test_step(data)
        with torch.no_grad():
            model.inserts["stage1"].gain.fill_(0)
            model.backbone.layers.bn1.bias.fill_(9)
        (changed,), (kept,) = model.test_step(data), twin.test_step(data)
        assert not changed.raw_maps(1)[0].branches["cam"].any()
        assert torch.equal(
            kept.raw_maps(1)[0].branches["cam"], before.raw_maps(1)[0].branches["cam"]
        )
        with torch.no_grad():
            twin.inserts["input"].gain.fill_(0)
        assert model.inserts["input"].gain == 1

    def test_a_copy_in_training_shows_its_erasers_its_own_samples(self, mirror, batch):
        model = mirror()
        model.inserts = Inserts(model.backbone, [("same", lambda *_: HideLabelled())])
        twin = copy.deepcopy(model).train()
        twin(**twin.data_preprocessor(batch(1, 0), True), mode="loss")
        assert twin.inserts["same"].calls == [[1, 0]]
        assert model.inserts["same"].calls == []

    def test_moving_averages_of_the_model_predict(self, small, batch):
        from mmengine.model import ExponentialMovingAverage

        module = {"type": "BatchNorm"}
        model = small(inserts=[{"at": "stage2", "module": module}])
        average = ExponentialMovingAverage(model, momentum=0.5)
        average.update_parameters(model)
        first = model.inserts["stage2"].weight.detach().clone()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1)
        average.update_parameters(model)
        weight = average.module.inserts["stage2"].weight
        torch.testing.assert_close(weight, first + 0.5)
        data = batch(1, sizes=[(16, 16)])
        model.class_query = average.module.class_query = lambda sample, scores: [0]
        ours, theirs = (m.eval().test_step(data)[0] for m in (model, average.module))
        label = ours.class_ids[0]
        raw, averaged = (p.raw_maps(label)[0].branches["cam"] for p in (ours, theirs))
        assert not torch.allclose(raw, averaged)
        with torch.no_grad():
            average.module.inserts["stage2"].weight.zero_()
        (again,) = model.test_step(data)
        assert torch.equal(again.raw_maps(label)[0].branches["cam"], raw)

    def test_weights_survive_a_round_trip(self, small, batch):
        inserts = [{"at": "stage*", "module": {"type": "BatchNorm"}}]
        model, other = small(inserts=inserts).eval(), small(inserts=inserts)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(torch.randn_like(parameter))
        other.load_state_dict(model.state_dict(), strict=True)
        data = batch(1, sizes=[(16, 16)])
        first, second = (m.eval().test_step(data)[0] for m in (model, other))
        assert np.array_equal(first.scores, second.scores)
        label = first.class_ids[0]
        assert np.array_equal(first.map(label), second.map(label))
        assert {key.partition(".")[0] for key in model.state_dict()} == {
            "backbone",
            "head",
            "inserts",
        }

    def test_a_network_that_the_head_runs_again_is_saved_once(self, mirror):
        class Binding(type(mirror().head)):
            def bind(self, backbone):
                self.runs = (backbone,)

        model = mirror(backbone=SmallNet(channels=(4, 3)), head=Binding())
        assert not [key for key in model.state_dict() if key.startswith("head.")]
        twin = copy.deepcopy(model)
        assert twin.head.runs[0] is twin.backbone
