"""Networks side by side: names, features, freezing, partial runs, training, what is refused."""

import copy

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.parallel import Parallel
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.builder import without_pretrained
from wsoltool.models.contracts import CAMHead
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import Localizer
from wsoltool.plugin.manager import build
from wsoltool.testing import check_backbone


def two(seed=0):
    torch.manual_seed(seed)
    return Parallel({"a": SmallNet((4, 8)), "b": SmallNet((6,), output_stride=2)})


def nested(seed=0):
    torch.manual_seed(seed)
    inner = Parallel({"x": SmallNet((4,), 2), "y": SmallNet((5,), 2)})
    return Parallel({"u": inner, "v": SmallNet((6,), 2)})


class InPlaceFirst(Backbone):
    """Its first layer would overwrite the images."""

    output_stride = 1

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(3, 2, 1)

    def steps(self):
        return [("relu", self.relu), ("conv", self.conv)]


@pytest.mark.parametrize("make", [two, nested, lambda: Parallel({"only": SmallNet((4, 8))})])
def test_contract(make):
    check_backbone(make())


class TestFeatures:
    def test_each_network_answers_what_it_answers_alone(self):
        net, images = two().eval(), torch.randn(2, 3, 16, 24)
        alone = {name: copy.deepcopy(own) for name, own in net.named_networks().items()}
        net.want(["a.stage1", "input", "b.conv1"])
        alone["a"].want(["stage1"])
        alone["b"].want(["conv1"])
        features = net(images)
        a, b = alone["a"](images), alone["b"](images)
        expected = {
            "input": images,
            "a.stage1": a["stage1"],
            "a.last": a["last"],
            "b.conv1": b["conv1"],
            "b.last": b["last"],
            "last": b["last"],
        }
        assert features.keys() == expected.keys()
        assert all(torch.equal(features[name], value) for name, value in expected.items())

    def test_training_mode_is_bit_equal_too_under_autocast(self):
        net, images = two(), torch.randn(2, 3, 16, 24)
        alone = copy.deepcopy(net.networks["a"])
        with torch.autocast("cpu", torch.bfloat16):
            found = net(images)["a.last"]
            assert torch.equal(found, alone(images)["last"])
        assert not torch.equal(found, net(images)["a.last"])

    def test_wanting_within_a_block_leaves_no_trace(self):
        net, images = nested(), torch.randn(2, 3, 8, 8)
        with net.also(["u.x.conv1", "v.last"]):
            assert "u.x.conv1" in net(images)
        assert net.wanted == ()
        assert net.networks["u"].networks["x"].wanted == ()
        assert set(net(images)) == {"u.x.last", "u.y.last", "u.last", "v.last", "last"}
        assert torch.equal(net.eval()(images)["u.last"], net(images)["u.y.last"])

    def test_what_networks_wanted_before_stays_wanted(self):
        alone = SmallNet((4, 8))
        alone.want(["stage1"])
        net = Parallel({"a": alone})
        assert net.wanted == ("a.stage1",)
        assert "a.stage1" in net(torch.zeros(2, 3, 8, 8))

    def test_no_network_overwrites_the_images_of_another(self):
        net, images = Parallel({"a": InPlaceFirst(), "b": InPlaceFirst()}), torch.randn(1, 3, 4, 4)
        before = images.clone()
        features = net(images)
        assert torch.equal(images, before)
        assert torch.equal(features["b.last"], net.networks["b"].conv(before.relu()))

    def test_the_smallest_images_are_those_of_the_most_demanding_network(self):
        net = Parallel({"a": SmallNet((4,) * 3, 8), "b": SmallNet((4,), 2)})
        assert (net.output_stride, net.smallest_side) == (2, 8)
        with pytest.raises(ShapeError, match="too small for Parallel"):
            net(torch.zeros(1, 3, 6, 16))

    def test_networks_of_one_config_start_from_different_weights(self):
        network = {"type": "SmallNet", "channels": (4,), "output_stride": 2}
        config = {"type": "Parallel", "networks": {"a": network, "b": network, "c": None}}
        net = build("backbone", config, "backbone")
        assert list(net.networks) == ["a", "b"]
        a, b = (own.layers.conv1.weight for own in net.networks.values())
        assert not torch.equal(a, b)


class TestNames:
    def test_globs_find_the_points_of_every_network(self):
        net = nested()
        assert net.resolve_points("stage*") == ("u.x.stage1", "u.y.stage1", "v.stage1")
        assert net.resolve_points("*.stage1") == ("v.stage1",)
        assert net.resolve_points("u.*.stage1") == ("u.x.stage1", "u.y.stage1")
        assert net.resolve_points("conv*") == ("u.x.conv1", "u.y.conv1", "v.conv1")
        assert net.resolve_points("@ReLU") == ("u.x.relu1", "u.y.relu1", "v.relu1")
        assert net.resolve_points("last") == ("last",)

    def test_channels_and_strides_are_the_networks(self):
        net = two()
        points = net.insert_points
        for name, own in net.named_networks().items():
            for point, at in own.insert_points.items():
                assert points[f"{name}.{point}"] == at
        assert points["last"] == (6, 2)
        assert points["input"] == (3, 1)
        assert net.channels()["a.last"] == 8

    def test_a_name_without_a_network_has_a_near_one(self):
        with pytest.raises(ConfigError, match=r"did you mean 'a\.stage2'"):
            two().module_at("stage2")
        with pytest.raises(ConfigError, match=r"no feature 'c\.last'"):
            two().want(["c.last"])

    def test_inserts_act_in_their_network_alone(self):
        net, images = two().eval(), torch.randn(1, 3, 16, 16)
        before = net(images)
        Inserts(net, [("a.stage2", lambda channels, stride: Doubled())])
        after = net(images)
        assert torch.equal(after["a.last"], 2 * before["a.last"])
        assert torch.equal(after["last"], before["last"])

    def test_features_are_apart_where_their_networks_are(self):
        net = nested()
        assert net.apart(["u.x.last", "u.y.conv1", "v.last"])
        assert net.apart(["input"])
        assert not net.apart(["input", "v.last"])
        assert not net.apart(["u.x.last", "u.x.conv1", "v.last"])
        assert not net.apart(["v.conv1", "last"])
        assert SmallNet().apart(["last"])
        assert not SmallNet().apart(["stage1", "last"])


class Doubled(nn.Module):
    def forward(self, features):
        return 2 * features


class TestPartialRuns:
    def test_a_run_goes_on_in_its_own_network(self):
        net, images = two().eval(), torch.randn(1, 3, 16, 16)
        net.want(["a.conv2"])
        features = net(images)
        rest = net.forward_from(net.networks["a"].layers.conv1(images), "a.conv1")
        assert set(rest) == {"a.conv2", "a.last"}
        assert torch.equal(rest["a.last"], features["a.last"])
        rest = net.forward_from(features["last"], "last")
        assert set(rest) == {"b.last", "last"}
        assert set(net.forward_from(images, "input")) == {"a.conv2", "a.last", "b.last", "last"}


class TestFreezing:
    @staticmethod
    def frozen(net):
        return {n.rpartition(".")[0] for n, p in net.named_parameters() if not p.requires_grad}

    def test_a_name_without_a_network_is_for_all_of_them(self):
        net = Parallel({"a": SmallNet((4, 8)), "b": SmallNet((4, 8))})
        net.freeze("stage1")
        layers = ("conv1", "bn1")
        assert self.frozen(net) == {f"networks.{n}.layers.{la}" for n in "ab" for la in layers}
        net.train()
        assert not net.networks["b"].layers.bn1.training
        assert net.networks["b"].layers.bn2.training

    def test_one_with_a_network_is_for_it_alone(self):
        net = nested()
        net.freeze("u.x.stage1")
        found = {f"networks.u.networks.x.layers.{la}" for la in ("conv1", "bn1")}
        assert self.frozen(net) == found
        net.train()
        assert not net.networks["u"].networks["x"].layers.bn1.training
        assert net.networks["v"].layers.bn1.training

    def test_a_step_that_one_network_lacks_is_refused(self):
        with pytest.raises(ConfigError, match="SmallNet has no feature 'stage2'"):
            two().freeze("stage2")
        with pytest.raises(ConfigError, match="no feature"):
            two().freeze("a.stage7")

    def test_norm_eval_reaches_every_network(self):
        net = nested()
        net.norm_eval = True
        net.train()
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(norms) == 3
        assert not any(norm.training for norm in norms)


class Both(CAMHead):
    """Linear classifiers of both networks' means, their logits added."""

    taps = ("a.last", "b.last")
    num_classes = 3

    def __init__(self):
        super().__init__()
        self.linear = nn.ModuleDict({"a": nn.Linear(8, 3), "b": nn.Linear(6, 3)})

    def logits(self, features):
        return sum(self.linear[n](features[f"{n}.last"].mean((2, 3))) for n in "ab")

    def loss(self, features, samples):
        return {"loss": nn.functional.cross_entropy(self.logits(features), samples.labels)}

    def maps(self, features, class_ids):
        maps = {}
        for name in "ab":
            weights = self.linear[name].weight[class_ids]
            maps[name] = torch.einsum("bnc,bchw->bnhw", weights, features[f"{name}.last"])
        return maps


class TestLocalizer:
    def test_a_loss_over_both_networks_reaches_both(self, mirror, batch):
        model = mirror(backbone=two(), head=Both()).train()
        data = model.data_preprocessor(batch(0, 1, sizes=[(16, 16)] * 2), training=True)
        model(**data, mode="loss")["loss"].backward()
        assert all(p.grad is not None and p.grad.any() for p in model.backbone.parameters())

    def test_maps_of_both_reach_the_fusion(self, mirror, batch):
        model = mirror(backbone=two(), head=Both())
        (prediction,) = model.test_step(batch(1, sizes=[(16, 16)]))
        branches = prediction.raw_maps(1)[0].branches
        assert {name: tuple(m.shape) for name, m in branches.items()} == {
            "a": (1, 4, 4),
            "b": (1, 8, 8),
        }

    def test_a_copy_and_a_state_dict_are_whole(self, mirror):
        model = mirror(backbone=two(), head=Both())
        other: Localizer = copy.deepcopy(model)
        images = torch.randn(1, 3, 16, 16)
        assert torch.equal(other(images), model(images))
        fresh = two(seed=5)
        assert list(fresh.state_dict()) == list(model.backbone.state_dict())
        fresh.load_state_dict(model.backbone.state_dict())
        expected = model.backbone(images)["a.last"]  # channels last: rounded otherwise
        torch.testing.assert_close(fresh.eval()(images)["a.last"], expected)
        assert all(name.startswith(("networks.a.", "networks.b.")) for name in fresh.state_dict())

    def test_compiled_it_answers_the_same(self, mirror):
        model = mirror(backbone=two(), head=Both())
        images = torch.randn(2, 3, 16, 16)
        expected = model(images)
        model.backbone.compile(backend="eager")
        torch.testing.assert_close(model(images), expected)
        with model.backbone.also(["a.stage1"]):
            assert "a.stage1" in model.backbone(images)


class TestRefusals:
    @pytest.mark.parametrize(
        "networks",
        [{}, None, [SmallNet((4,), 2)], {"a.b": SmallNet((4,), 2)}, {"": SmallNet((4,), 2)}]
        + [
            {name: SmallNet((4,), 2)}
            for name in ("input", "last", "items", "train", "training", "1")
        ]
        + [{"a": nn.Identity()}],
    )
    def test_networks_that_cannot_be(self, networks):
        with pytest.raises(ConfigError, match="Parallel"):
            Parallel(networks)

    def test_networks_that_share_a_parameter(self):
        first, second = SmallNet((4,), 2), SmallNet((4,), 2)
        second.layers.conv1.weight = first.layers.conv1.weight
        with pytest.raises(ConfigError, match=r"a\.layers\.conv1\.weight and b\."):
            Parallel({"a": first, "b": second})

    def test_networks_that_take_other_images(self):
        other = SmallNet((4,), 2)
        other.input_mean = (0.0, 0.0, 0.0)
        with pytest.raises(ConfigError, match="'b' takes images of mean"):
            Parallel({"a": SmallNet((4,), 2), "b": other})
        assert Parallel({"b": other}).input_mean == (0.0, 0.0, 0.0)

    def test_the_same_statistics_written_otherwise_are_the_same(self):
        nets = {"a": SmallNet((4,), 2), "b": SmallNet((4,), 2)}
        nets["b"].input_mean = tuple(value * (1 + 1e-9) for value in nets["a"].input_mean)
        assert Parallel(nets).input_mean == nets["a"].input_mean


def test_no_network_reads_weights_where_they_come_later(tmp_path):
    inner = {"type": "Parallel", "networks": {"x": {"type": "VGG16", "pretrained": True}}}
    networks = {"a": {"type": "VGG16", "pretrained": {"file": "x"}}, "b": inner, "c": None}
    model = {"backbone": {"type": "Parallel", "networks": networks}, "head": 1}
    bare = without_pretrained(model)["backbone"]["networks"]
    assert bare["a"]["pretrained"] is False
    assert bare["b"]["networks"]["x"] == {"type": "VGG16", "pretrained": False}
    assert bare["c"] is None
    assert networks["a"]["pretrained"] == {"file": "x"}


def test_each_network_loads_its_own_weights(tmp_path):
    nets = {name: SmallNet((4,), 2) for name in "ab"}
    for name, net in nets.items():
        torch.save(net.state_dict(), tmp_path / f"{name}.pth")
    config = {"type": "SmallNet", "channels": (4,), "output_stride": 2}
    networks = {n: {**config, "pretrained": {"file": str(tmp_path / f"{n}.pth")}} for n in "ab"}
    made = build("backbone", {"type": "Parallel", "networks": networks}, "backbone")
    for name, net in nets.items():
        assert torch.equal(made.networks[name].layers.conv1.weight, net.layers.conv1.weight)
