import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.losses import BinaryCrossEntropy, CrossEntropy
from wsoltool.structures import Samples
from wsoltool.testing import check_head
from wsoltool_plugins import class_grouping
from wsoltool_plugins.cam.cam import CAMHead
from wsoltool_plugins.class_grouping.orthogonal import (
    BranchesHead,
    network_taps,
    orthogonality,
    pairwise_orthogonality,
)

CHANNELS = {"a.stage4": 4, "a.last": 4, "b.stage4": 4, "b.last": 4, "last": 4}


def test_face_offers_the_head():
    assert class_grouping.wsoltool_cam_heads() == [BranchesHead]


def test_equation_3_by_hand():
    first = torch.zeros(2, 1, 4, 4)
    second = torch.zeros(2, 1, 4, 4)
    first[0, 0, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    second[0, 0, :, 2] = torch.tensor([5.0, 6.0, 7.0, 8.0])  # they meet at row 1, column 2: 3 x 6
    first[1, 0, 0, 0], second[1, 0, 0, 0] = 2.0, 0.5
    assert orthogonality(first, second).item() == (18 + 1) / 2


def test_it_sums_over_channels_and_does_not_mix_them():
    first, second = torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    second[0, 1] = 3.0
    assert orthogonality(first, second).item() == 12
    first[0, 1] = 0.0
    assert orthogonality(first, second).item() == 0


def test_the_gradient_is_the_other_networks_features():
    first = torch.rand(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    second = torch.rand(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(orthogonality, (first, second))
    orthogonality(first, second).backward()
    torch.testing.assert_close(first.grad, second.detach() / 3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0, 10), channels=st.integers(1, 4))
def test_it_is_bilinear_symmetric_and_zero_for_disjoint_features(seed, scale, channels):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, channels, 3, 4)
    first, second = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    value = orthogonality(first, second)
    assert value >= 0
    torch.testing.assert_close(value, orthogonality(second, first))
    torch.testing.assert_close(orthogonality(scale * first, second), scale * value)
    apart = torch.rand(shape, generator=generator) < 0.5
    assert orthogonality(first * apart, second * ~apart) == 0


def test_half_precision_does_not_overflow():
    features = torch.full((1, 64, 14, 14), 30.0, dtype=torch.float16)
    found = orthogonality(features, features)
    assert found.dtype == torch.float32
    assert found.item() == 64 * 14 * 14 * 900
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert orthogonality(features.float(), features.float()).item() == 64 * 14 * 14 * 900


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 2, 4, 3), (2, 2, 3, 3), (2, 3, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="cannot be multiplied"):
        orthogonality(torch.ones(shape), torch.ones(1, 2, 3, 3))


def test_all_pairs_are_summed():
    one, two, three = (torch.full((1, 1, 1, 1), value) for value in (2.0, 3.0, 5.0))
    assert pairwise_orthogonality([one, two, three]).item() == 6 + 10 + 15
    with pytest.raises(ShapeError, match="no two features"):
        pairwise_orthogonality([one])


@pytest.mark.parametrize("loss", [None, BinaryCrossEntropy()])
@pytest.mark.parametrize("channels", [CHANNELS, {"a.last": 4}, {"last": 6}])
def test_contract(loss, channels):
    labels = ("index", "soft") if loss is None else ("index", "soft", "multi_hot")
    check_head(BranchesHead(channels, num_classes=5, loss=loss), channels, labels=labels)


def two_networks(orthogonal=0.5):
    head = BranchesHead({"a.last": 2, "b.last": 2}, num_classes=2, orthogonal=orthogonal)
    with torch.no_grad():
        head.classifiers[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        head.classifiers[0].bias.zero_()
        head.classifiers[1].weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
        head.classifiers[1].bias.copy_(torch.tensor([0.0, 1.0]))
    a = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])  # means 2, 2
    b = torch.tensor([[[[2.0, 0.0]], [[5.0, 1.0]]]])  # means 1, 3
    return head, {"a.last": a, "b.last": b}


def test_logits_maps_scores_and_vectors_by_hand():
    head, features = two_networks()
    torch.testing.assert_close(head.logits(features), torch.tensor([[2.0, 1.5]]))
    maps = head.maps(features, torch.tensor([[1, 0]]))
    torch.testing.assert_close(maps["a"], torch.tensor([[[[0.0, 4.0]], [[1.0, 3.0]]]]))
    torch.testing.assert_close(maps["b"], torch.tensor([[[[0.0, 0.0]], [[4.0, 0.0]]]]))
    assert list(maps) == ["a", "b"]
    softmax = [torch.tensor([[2.0, 2.0]]).softmax(1), torch.tensor([[2.0, 1.0]]).softmax(1)]
    torch.testing.assert_close(head.scores(features), (softmax[0] + softmax[1]) / 2)
    expected = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(head.class_vectors(), expected)
    assert head.class_weights() is None


def test_equation_4_by_hand():
    head, features = two_networks(orthogonal=0.5)
    losses = head.loss(features, Samples(torch.tensor([0])))
    assert list(losses) == ["loss_a", "loss_b", "loss_orthogonal"]
    entropy = CrossEntropy()
    samples = Samples(torch.tensor([0]))
    torch.testing.assert_close(losses["loss_a"], entropy(torch.tensor([[2.0, 2.0]]), samples))
    torch.testing.assert_close(losses["loss_b"], entropy(torch.tensor([[2.0, 1.0]]), samples))
    assert losses["loss_orthogonal"].item() == 0.5 * (1 * 2 + 3 * 0 + 0 * 5 + 4 * 1)


def test_scores_are_probabilities_as_the_loss_trains_them():
    head, features = two_networks()
    head.criterion = BinaryCrossEntropy()
    expected = torch.tensor([[2.0, 2.0], [2.0, 1.0]]).sigmoid().mean(dim=0, keepdim=True)
    torch.testing.assert_close(head.scores(features), expected)


def test_one_network_is_plain_cam():
    head = BranchesHead({"a.last": 6}, num_classes=3)
    plain = CAMHead({"last": 6}, num_classes=3)
    plain.classifier.load_state_dict(head.classifiers[0].state_dict())
    features = torch.randn(2, 6, 4, 5)
    ours, theirs = {"a.last": features}, {"last": features}
    torch.testing.assert_close(head.logits(ours), plain.logits(theirs))
    ids = torch.tensor([[0, 2], [1, 1]])
    torch.testing.assert_close(head.maps(ours, ids)["a"], plain.maps(theirs, ids)["cam"])
    assert head.class_weights() is head.classifiers[0].weight
    losses = head.loss(ours, Samples(torch.tensor([0, 1])))
    assert list(losses) == ["loss_a"]


def test_no_weight_leaves_the_networks_alone():
    head, features = two_networks(orthogonal=0)
    assert list(head.loss(features, Samples(torch.tensor([0])))) == ["loss_a", "loss_b"]


def test_the_loss_keeps_networks_apart_and_classifies():
    """A few steps on free features: what both networks light up grows smaller."""
    torch.manual_seed(0)
    head = BranchesHead({"a.last": 3, "b.last": 3}, num_classes=3, orthogonal=0.05)
    free = {name: torch.rand(3, 3, 4, 4, requires_grad=True) for name in head.taps}
    samples = Samples(torch.arange(3))
    before = orthogonality(*(f.relu() for f in free.values())).item()
    optimizer = torch.optim.SGD([*free.values(), *head.parameters()], lr=0.5)
    for _ in range(40):
        optimizer.zero_grad()
        losses = head.loss({name: f.relu() for name, f in free.items()}, samples)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert orthogonality(*(f.relu() for f in free.values())).item() < 0.5 * before


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["last", "pool1"], ("last",)),
        (["a.last", "b.last", "last"], ("a.last", "b.last")),
        (["a.last", "a.x.last", "a.y.last", "b.last"], ("a.x.last", "a.y.last", "b.last")),
        (["a.last", "ab.last"], ("a.last", "ab.last")),
        (["last", "a.blast"], ("last",)),
    ],
)
def test_networks_are_found_by_their_last_feature(names, expected):
    assert network_taps(dict.fromkeys(names, 1)) == expected


def test_other_taps_may_be_given():
    head = BranchesHead(CHANNELS, num_classes=2, taps=["a.stage4", "b.last"])
    assert head.branches == ("a.stage4", "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"taps": "a.last"}, "taps='a.last'"),
        ({"taps": ["a.last", "a.last"]}, "taps="),
        ({"taps": ["a.lost"]}, "no feature 'a.lost'"),
        ({"orthogonal": -1}, "orthogonal=-1"),
        ({"loss": "BinaryCrossEntropy"}, "loss='BinaryCrossEntropy'"),
    ],
)
def test_bad_values_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        BranchesHead(CHANNELS, **{"num_classes": 2, **options})


def test_networks_of_other_widths_need_no_orthogonal_loss():
    channels = {"a.last": 4, "b.last": 6}
    with pytest.raises(ConfigError, match="differ in channels"):
        BranchesHead(channels, num_classes=2)
    assert BranchesHead(channels, num_classes=2, orthogonal=0).class_vectors().shape == (2, 10)
