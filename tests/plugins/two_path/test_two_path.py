import pytest
import torch
from torch import nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.models.losses import BinaryCrossEntropy
from wsoltool.structures import Samples
from wsoltool.testing import check_head
from wsoltool_plugins import two_path
from wsoltool_plugins.two_path.attention import SCHEMES, adjusted_attention, normalized_map
from wsoltool_plugins.two_path.two_path import TwoPathHead

CHANNELS = {"pool1": 4, "last": 8}


def made(**options):
    torch.manual_seed(0)
    head = TwoPathHead(CHANNELS, num_classes=5, **options)
    for layer in (head.upper, head.lower):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return head


def some_features(dtype=torch.float32):
    torch.manual_seed(1)
    return {"last": torch.randn(3, 8, 6, 4).relu().to(dtype)}


LABELS = Samples(torch.tensor([0, 3, 4]))
SEVERAL = Samples(
    torch.tensor([[1.0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]),
)


def reference(head, g, shares):
    """Section 3 step by step, with g' made: logits of both, M and M'' both scaled."""
    upper_map = torch.einsum("bchw,bc->bhw", g, shares @ head.upper.weight)
    attention = normalized_map(upper_map, head.normalize)
    g2 = (1 + adjusted_attention(attention, head.scheme))[:, None] * g
    lower_map = torch.einsum("bchw,bc->bhw", g2, shares @ head.lower.weight)
    logits = head.upper(g.mean((2, 3))), head.lower(g2.mean((2, 3)))
    return *logits, attention, normalized_map(lower_map, head.normalize)


def test_face_offers_the_head():
    assert two_path.wsoltool_cam_heads() == [TwoPathHead]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tap": "pool1"},
        {"scheme": "invert"},
        {"scheme": "zero", "normalize": "sigmoid"},
        {"scheme": "none", "normalize": "none"},
        {"weight": 0},
        {"scores": "upper"},
        {"scores": "lower"},
    ],
    ids=str,
)
def test_contract(options):
    check_head(made(**options), CHANNELS, labels=("index", "soft"))


@pytest.mark.parametrize("scores", ["mean", "upper", "lower"])
def test_contract_with_several_classes_an_image(scores):
    head = made(loss=BinaryCrossEntropy(), scores=scores)
    check_head(head, CHANNELS, labels=("index", "soft", "multi_hot"))


def test_classifiers_start_as_cams():
    torch.manual_seed(0)
    head = TwoPathHead({"last": 500}, num_classes=100)
    for layer in (head.upper, head.lower):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.bias.any()
    assert not torch.equal(head.upper.weight, head.lower.weight)


def test_a_4_by_4_map_by_hand():
    """One channel: M is g over its largest value; its mean of 1/4 is taken from what exceeds it."""
    head = TwoPathHead({"last": 1}, num_classes=2, weight=1.0)
    with torch.no_grad():
        head.upper.weight.copy_(torch.tensor([[2.0], [0.0]]))
        head.lower.weight.copy_(torch.tensor([[1.0], [0.0]]))
    g = torch.zeros(1, 1, 4, 4)
    g[0, 0, 1, 1:3], g[0, 0, 2, 1:3] = torch.tensor([4.0, 3.0]), torch.tensor([2.0, 3.0])
    g[0, 0, :, 3], g[0, 0, 0, 2] = torch.tensor([1.0, 1.0, 1.0, 0.0]), 1.0
    losses = head.loss({"last": g}, Samples(torch.tensor([0])))
    # M' is 0.75, 0.5, 0.25, 0.5 at the four and 0.25 at the ones; g' = 7, 4.5, 2.5, 4.5, 1.25 x 4.
    means = torch.tensor([16.0, 23.5]) / 16
    expected = F.softplus(-torch.tensor([2.0, 1.0]) * means)  # of logits z and 0: ln(1 + e^-z)
    torch.testing.assert_close(losses["loss_upper"], expected[0])
    torch.testing.assert_close(losses["loss_lower"], expected[1])
    # M'' = g' / 7 against M = 1, 0.75, 0.5, 0.75, 0.25 x 4.
    pairs = [(0.75, 4.5 / 7)] * 2 + [(0.5, 2.5 / 7)] + [(0.25, 1.25 / 7)] * 4
    wanted = sum((m - m2) ** 2 for m, m2 in pairs) / 16
    assert losses["loss_attention"].item() == pytest.approx(wanted)
    maps = head.maps({"last": g}, torch.tensor([[0]]))
    torch.testing.assert_close(maps["upper"], 2 * g)
    assert maps["lower"][0, 0, 1:3, 1:3].tolist() == [[7.0, 4.5], [2.5, 4.5]]


@pytest.mark.parametrize("normalize", ["minmax", "sigmoid", "none"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("samples", [LABELS, SEVERAL], ids=["index", "several"])
def test_losses_are_the_terms_of_equation_7(scheme, normalize, samples):
    loss = BinaryCrossEntropy() if samples is SEVERAL else None
    head = made(scheme=scheme, normalize=normalize, weight=0.5, loss=loss)
    g = some_features()["last"]
    targets = samples.targets(5)
    shares = targets / targets.sum(1, keepdim=True).clamp_min(1)
    upper, lower, first, second = reference(head, g, shares)
    losses = head.loss({"last": g}, samples)
    assert list(losses) == ["loss_upper", "loss_lower", "loss_attention"]
    torch.testing.assert_close(losses["loss_upper"], head.criterion(upper, samples))
    torch.testing.assert_close(losses["loss_lower"], head.criterion(lower, samples))
    wanted = 0.5 * (first - second).square().mean()
    torch.testing.assert_close(losses["loss_attention"], wanted)


def test_an_image_without_a_label_has_no_attention():
    head = made(loss=BinaryCrossEntropy())
    features = {"last": some_features()["last"][1:2]}
    samples = Samples(torch.zeros(1, 5))
    losses = head.loss(features, samples)
    plain = head.lower(features["last"].mean((2, 3)))
    torch.testing.assert_close(losses["loss_lower"], head.criterion(plain, samples))
    assert losses["loss_attention"].item() == 0


def test_maps_are_each_asked_classes_own():
    head, g = made(), some_features()["last"]
    class_ids = torch.tensor([[0, 1], [4, 4], [2, 3]])
    maps = head.maps({"last": g}, class_ids)
    assert list(maps) == ["upper", "lower"]
    for column in (0, 1):
        shares = F.one_hot(class_ids[:, column], 5).float()
        _, _, first, second = reference(head, g, shares)
        torch.testing.assert_close(normalized_map(maps["upper"])[:, column], first)
        torch.testing.assert_close(normalized_map(maps["lower"])[:, column], second)


def test_scores_follow_the_upper_classifiers_first_class():
    g = some_features()["last"]
    both = made()
    first = F.one_hot(both.upper(g.mean((2, 3))).argmax(1), 5).float()
    upper, lower, _, _ = reference(both, g, first)
    expected = {
        "upper": upper.softmax(1),
        "lower": lower.softmax(1),
        "mean": (upper.softmax(1) + lower.softmax(1)) / 2,
    }
    for scores, probabilities in expected.items():
        torch.testing.assert_close(made(scores=scores).scores({"last": g}), probabilities)
    torch.testing.assert_close(both.logits({"last": g}), (upper + lower) / 2)


def test_scores_of_several_classes_follow_all_that_are_predicted():
    head, g = made(loss=BinaryCrossEntropy()), some_features()["last"]
    likely = head.upper(g.mean((2, 3))) > 0
    assert sorted(likely.sum(1).tolist())[-1] > 1, "no image has several"
    shares = likely.float()
    shares[~likely.any(1)] = F.one_hot(head.upper(g.mean((2, 3))).argmax(1), 5).float()[
        ~likely.any(1)
    ]
    upper, lower, _, _ = reference(head, g, shares / shares.sum(1, keepdim=True))
    expected = (upper.sigmoid() + lower.sigmoid()) / 2
    torch.testing.assert_close(head.scores({"last": g}), expected)


def test_the_upper_path_needs_no_attention():
    head, calls = made(scores="upper"), []
    head.lower.register_forward_hook(lambda *_: calls.append(1))
    head.scores(some_features())
    assert not calls
    assert head.class_weights() is head.upper.weight
    assert made().class_weights() is None


def test_class_vectors_are_the_rows_of_both():
    head = made()
    vectors = head.class_vectors()
    assert vectors.shape == (5, 16)
    assert torch.equal(vectors[2], torch.cat([head.upper.weight[2], head.lower.weight[2]]))


def test_a_weight_of_zero_leaves_the_comparison_out():
    assert list(made(weight=0).loss(some_features(), LABELS)) == ["loss_upper", "loss_lower"]


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_parameter_learns_and_the_features_do(scheme):
    head, features = made(scheme=scheme), some_features()
    features["last"].requires_grad_()
    total(head.loss(features, LABELS)).backward()
    tensors = {**dict(head.named_parameters()), "features": features["last"]}
    for name, tensor in tensors.items():
        assert tensor.grad.isfinite().all(), name
        assert tensor.grad.abs().max() > 0, name


def test_the_lower_loss_reaches_the_upper_classifier_through_the_attention():
    head = made(weight=0)
    head.loss(some_features(), LABELS)["loss_lower"].backward()
    assert head.upper.weight.grad.abs().max() > 0


def test_gradients():
    head = made().double()
    features = some_features(torch.float64)["last"].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda g: tuple(head.loss({"last": g}, LABELS).values()), features
    )


def test_constant_features_are_no_problem():
    head = made()
    features = {"last": torch.ones(3, 8, 6, 4, requires_grad=True)}
    losses = head.loss(features, LABELS)
    assert losses["loss_attention"].item() == 0
    total(losses).backward()
    assert features["last"].grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_the_comparison_brings_the_maps_together():
    head, features = made(), some_features()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    found = []
    for _ in range(60):
        losses = head.loss(features, LABELS)
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
        found.append({name: value.item() for name, value in losses.items()})
    for name in found[0]:
        assert found[-1][name] < 0.5 * found[0][name], name


def test_half_precision_under_autocast():
    head, features = made(), some_features()
    exact = head.loss(features, LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        half = {"last": features["last"].bfloat16()}
        losses = head.loss(half, LABELS)
        maps = head.maps(half, torch.tensor([[0, 1]] * 3))
    for name, value in losses.items():
        assert value.item() == pytest.approx(exact[name].item(), rel=0.1), name
    assert losses["loss_attention"].dtype == torch.float32
    assert all(value.isfinite().all() for value in maps.values())
    total(losses).backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_a_nearly_flat_map_is_no_noise_in_half_precision():
    """Large values whose thousandths tell the cells apart: what bfloat16 would round away."""
    torch.manual_seed(0)
    head = TwoPathHead({"last": 2}, num_classes=2)
    with torch.no_grad():
        head.upper.weight.copy_(torch.tensor([[100.0, 0.1], [1.0, 0.0]]))
        head.lower.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    g = torch.ones(1, 2, 4, 4)
    g[:, 1] = torch.arange(16.0).view(4, 4)  # M is 100 to 101.5, in steps of a tenth
    flat, ids, samples = torch.ones(1, 2, 4, 4), torch.tensor([[0]]), Samples(torch.tensor([0]))
    exact, exact_loss = head.maps({"last": g}, ids), head.loss({"last": g}, samples)
    with torch.autocast("cpu", torch.bfloat16):
        half = {"last": g.bfloat16()}
        found, losses, scores = head.maps(half, ids), head.loss(half, samples), head.scores(half)
        level = head.loss({"last": flat.bfloat16()}, samples)
    for name in exact:
        torch.testing.assert_close(normalized_map(found[name]), normalized_map(exact[name]))
    torch.testing.assert_close(normalized_map(found["upper"]), (g[:, 1:] / 15))
    torch.testing.assert_close(losses["loss_attention"], exact_loss["loss_attention"])
    assert level["loss_attention"].item() == 0, "a flat map is no attention"
    torch.testing.assert_close(scores.float(), head.scores({"last": g}), atol=0.01, rtol=0)


def test_an_unknown_class_is_refused():
    with pytest.raises(ShapeError, match="class ids"):
        made().maps(some_features(), torch.tensor([[5]] * 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scheme": "reduced"}, "scheme='reduced'"),
        ({"normalize": "softmax"}, "normalize='softmax'"),
        ({"scores": "max"}, "scores='max'"),
        ({"weight": -1}, "weight=-1"),
        ({"weight": True}, "weight=True"),
        ({"tap": "pool9"}, "pool9"),
    ],
    ids=str,
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        made(**options)
