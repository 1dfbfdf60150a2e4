import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.backbones.parallel import Parallel
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.contracts import CAMHead
from wsoltool.testing import check_map_source
from wsoltool_plugins import gradcam
from wsoltool_plugins.gradcam.gradcam import GradCAM, GradCAMPlusPlus
from wsoltool_plugins.gradcam.scorecam import ScoreCAM


class LinearHead(CAMHead):
    """Mean, ReLU or not, of one feature or of several, and a linear layer."""

    def __init__(self, channels, num_classes=5, taps=("last",)):
        super().__init__()
        self.taps = taps
        self.num_classes = num_classes
        self.linear = nn.Linear(sum(channels[tap] for tap in taps), num_classes)

    def logits(self, features):
        return self.linear(torch.cat([features[t].mean(dim=(2, 3)) for t in self.taps], dim=1))

    def loss(self, features, samples):
        return {"loss": nn.functional.cross_entropy(self.logits(features), samples.labels)}

    def maps(self, features, class_ids):
        return {"cam": class_activation_map(features["last"], self.linear.weight, class_ids)}


CHANNELS = {"conv1": 4, "pool1": 4, "last": 6}
IMAGES, IDS = (2, 3, 8, 10), torch.tensor([[0, 3], [2, 2]])


@pytest.fixture
def head():
    torch.manual_seed(1)
    return LinearHead(CHANNELS).eval()


def run(source, backbone, head, images, class_ids=IDS):
    with torch.no_grad(), backbone.also((*head.taps, *source.features)):
        features = backbone(images)
        return features, source.maps(backbone, head, images, features, class_ids)["cam"]


def test_face_offers_the_three_sources():
    assert gradcam.wsoltool_map_sources() == [GradCAM, GradCAMPlusPlus, ScoreCAM]


@pytest.mark.parametrize("source", [GradCAM, GradCAMPlusPlus])
@pytest.mark.parametrize("target", ["last", "pool1", "stem", "conv2"])
@pytest.mark.parametrize("taps", [("last",), ("pool1", "last")])
def test_contract(source, target, taps, tiny_backbone):
    check_map_source(source(target), tiny_backbone, LinearHead(CHANNELS, taps=taps))


def test_grad_cam_on_pooling_and_linear_is_rectified_cam_over_the_grid_size(tiny_backbone, head):
    features, maps = run(GradCAM(), tiny_backbone, head, torch.randn(IMAGES))
    cam = class_activation_map(features["last"], head.linear.weight, IDS).detach()
    torch.testing.assert_close(maps, cam.relu() / (4 * 5))
    assert maps.any()


def test_grad_cam_plus_plus_on_pooling_and_linear_by_hand(tiny_backbone, head):
    features, maps = run(GradCAMPlusPlus(), tiny_backbone, head, torch.randn(IMAGES))
    grid = 4 * 5
    for b in range(2):
        for j in range(2):
            total = torch.zeros(4, 5)
            for k in range(6):
                activation = features["last"][b, k]
                g = head.linear.weight[IDS[b, j], k].item() / grid  # the same at every position
                alpha = g**2 / (2 * g**2 + activation.sum() * g**3 + 1e-15)
                total += grid * alpha * max(g, 0) * activation
            torch.testing.assert_close(maps[b, j], total.relu())


def test_deeper_targets_agree_with_finite_differences(tiny_backbone, head):
    # d score / d pool1, one entry at a time, through the layers that GradCAM must run again.
    backbone, head, images = tiny_backbone.double(), head.double(), torch.randn(IMAGES).double()
    features, maps = run(GradCAM("pool1"), backbone, head, images)
    pooled, step = features["pool1"], 1e-6
    with torch.no_grad():
        gradients = torch.zeros(2, 2, *pooled.shape[1:], dtype=torch.float64)
        for index in torch.cartesian_prod(*map(torch.arange, pooled.shape[1:])).tolist():
            nudge = torch.zeros_like(pooled)
            nudge[(slice(None), *index)] = step
            up, down = (
                head.logits(backbone.forward_from(pooled + sign * nudge, "pool1")).gather(1, IDS)
                for sign in (1, -1)
            )
            gradients[(slice(None), slice(None), *index)] = (up - down) / (2 * step)
    weights = gradients.mean(dim=(3, 4))
    expected = torch.einsum("bchw,bnc->bnhw", pooled, weights).relu()
    torch.testing.assert_close(maps, expected, atol=1e-8, rtol=1e-4)
    assert maps.any()


@pytest.mark.parametrize("source", [GradCAM, GradCAMPlusPlus])
def test_a_rerun_agrees_with_the_features_at_hand(source, tiny_backbone, head):
    # conv2 is last under another name, which forces the second run of the backbone.
    images = torch.randn(IMAGES)
    _, short = run(source("last"), tiny_backbone, head, images)
    _, long = run(source("conv2"), tiny_backbone, head, images)
    torch.testing.assert_close(short, long)


@pytest.mark.parametrize("target", ["last", "pool1"])
def test_inference_mode_is_no_obstacle(target, tiny_backbone, head):
    images = torch.randn(IMAGES)
    _, expected = run(GradCAM(target), tiny_backbone, head, images)
    with torch.inference_mode():
        _, maps = run(GradCAM(target), tiny_backbone, head, images.clone())
        torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize("target", ["last", "pool1"])
def test_no_asked_class_gives_no_map(target, tiny_backbone, head):
    _, maps = run(
        GradCAM(target), tiny_backbone, head, torch.randn(IMAGES), torch.zeros(2, 0).long()
    )
    assert maps.shape[:2] == (2, 0)


def test_a_target_that_scores_do_not_need_is_an_error(tiny_backbone):
    blind = LinearHead(CHANNELS, taps=("pool1",)).eval()
    with pytest.raises(ConfigError, match="no gradient by feature 'last'"):
        run(GradCAM("last"), tiny_backbone, blind, torch.randn(IMAGES))


def test_scores_without_a_graph_are_an_error(tiny_backbone):
    class Detached(LinearHead):
        def logits(self, features):
            return super().logits({k: v.detach() for k, v in features.items()}).detach()

    with pytest.raises(ConfigError, match="no gradient by feature 'last'"):
        run(GradCAM(), tiny_backbone, Detached(CHANNELS).eval(), torch.randn(IMAGES))


def test_unknown_target_and_class_are_errors(tiny_backbone, head):
    with pytest.raises(ConfigError, match="no feature 'pool9'"):
        run(GradCAM("pool9"), tiny_backbone, head, torch.randn(IMAGES))
    with pytest.raises(ShapeError, match="class ids from"):
        run(GradCAM(), tiny_backbone, head, torch.randn(IMAGES), torch.tensor([[5], [0]]))


class TwoNetworks(LinearHead):
    """Reads the last feature of two networks side by side; their means are multiplied, too."""

    def __init__(self, channels):
        super().__init__(channels, taps=("a.last", "b.last"))

    def logits(self, features):
        a, b = (features[tap].mean(dim=(1, 2, 3), keepdim=True).flatten(1) for tap in self.taps)
        return super().logits(features) + a * b


@pytest.fixture
def side_by_side():
    torch.manual_seed(2)
    net = Parallel({"a": SmallNet((4, 6)), "b": SmallNet((5,), output_stride=2)}).eval()
    return net, TwoNetworks(net.channels()).eval()


class TestSeveralTargets:
    @pytest.mark.parametrize("source", [GradCAM, GradCAMPlusPlus])
    @pytest.mark.parametrize("targets", [["a.last", "b.last"], ["b.stage1", "a.conv1"], ["a.last"]])
    def test_contract(self, source, targets, side_by_side):
        check_map_source(source(targets), *side_by_side)

    def test_each_branch_is_the_map_of_its_target_alone(self, side_by_side):
        net, head = side_by_side
        targets, images = ["a.stage1", "b.last"], torch.randn(2, 3, 16, 24)
        with torch.no_grad(), net.also((*targets, *head.taps)):
            features = net(images)
            together = GradCAM(targets).maps(net, head, images, features, IDS)
            assert list(together) == targets
            for target in targets:
                alone = GradCAM(target).maps(net, head, images, features, IDS)["cam"]
                torch.testing.assert_close(together[target], alone)
                assert alone.any()

    @pytest.mark.parametrize("order", [1, -1])
    def test_what_the_head_reads_is_at_hand(self, side_by_side, order, monkeypatch):
        net, head = side_by_side
        targets, images = ["a.last", "b.last"][::order], torch.randn(2, 3, 16, 24)
        with torch.no_grad(), net.also(targets):
            features = net(images)
            again = GradCAM([*targets, "a.conv1"]).maps(
                net, head, images, {**features, "a.conv1": None}, IDS
            )
            monkeypatch.setattr(net, "forward", None)
            found = GradCAM(targets).maps(net, head, images, features, IDS)
        assert list(found) == targets
        for target in targets:
            torch.testing.assert_close(found[target], again[target])

    def test_one_pass_backwards_for_each_class_serves_all(self, side_by_side, monkeypatch):
        net, head = side_by_side
        images, calls, grad = torch.randn(2, 3, 16, 24), [], torch.autograd.grad

        def counted(*arguments, **options):
            calls.append(1)
            return grad(*arguments, **options)

        monkeypatch.setattr(torch.autograd, "grad", counted)
        with torch.no_grad():
            GradCAM(["a.last", "b.last"]).maps(net, head, images, net(images), IDS)
        assert len(calls) == IDS.shape[1]

    def test_a_target_below_another_counts_what_flows_through_it(self, tiny_backbone):
        # As a leaf of its own, pool1 would have the gradient of its direct way alone.
        head, images = LinearHead(CHANNELS, taps=("pool1", "last")).eval(), torch.randn(IMAGES)
        with torch.no_grad(), tiny_backbone.also(("pool1", "last")):
            features = tiny_backbone(images)
            both = GradCAM(["pool1", "last"]).maps(tiny_backbone, head, images, features, IDS)
            alone = GradCAM("pool1").maps(tiny_backbone, head, images, features, IDS)["cam"]
        torch.testing.assert_close(both["pool1"], alone)

    def test_no_class_asked_gives_no_map(self, side_by_side):
        net, head = side_by_side
        images = torch.randn(2, 3, 16, 24)
        none = torch.zeros(2, 0, dtype=torch.int64)
        with torch.no_grad():
            maps = GradCAM(["a.last", "b.last"]).maps(net, head, images, net(images), none)
        assert {n: tuple(m.shape) for n, m in maps.items()} == {
            "a.last": (2, 0, 4, 6),
            "b.last": (2, 0, 8, 12),
        }

    @pytest.mark.parametrize("targets", [[], ["last", "last"], [1], 3, None])
    def test_targets_that_are_none(self, targets):
        with pytest.raises(ConfigError, match="target="):
            GradCAM(targets)

    def test_a_target_that_the_scores_do_not_depend_on(self, side_by_side):
        net, _ = side_by_side
        head = LinearHead(net.channels(), taps=("a.last",)).eval()
        images = torch.randn(2, 3, 16, 24)
        with torch.no_grad(), pytest.raises(ConfigError, match=r"no gradient by feature 'b\.last'"):
            GradCAM(["a.last", "b.last"]).maps(net, head, images, net(images), IDS)
