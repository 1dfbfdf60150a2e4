import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.losses import BinaryCrossEntropy
from wsoltool.structures import Samples
from wsoltool.testing import check_head
from wsoltool_plugins import fam
from wsoltool_plugins.fam.fam import FAMHead, ForegroundConvs, ForegroundMemory

CHANNELS = {"pool1": 16, "last": 32}


def made(**options):
    torch.manual_seed(0)
    return FAMHead(CHANNELS, num_classes=5, **options)


def some_features():
    torch.manual_seed(1)
    return {"last": torch.randn(3, 32, 6, 4).relu()}


LABELS = Samples(torch.tensor([0, 3, 4]))


def test_face_offers_the_head():
    assert fam.wsoltool_cam_heads() == [FAMHead]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tap": "pool1"},
        {"memory": False},
        {"similarity": "ratio"},
        {"sparsity": 0, "diversity": 0, "importance": False},
        {"parts": 1, "diversity": 0},
        {"part_kernel_size": 3, "templates": 1},
        {"pooled": "features"},
    ],
    ids=str,
)
def test_contract(options):
    check_head(made(**options), CHANNELS)


def test_contract_with_several_classes_an_image():
    head = made(loss=BinaryCrossEntropy())
    check_head(head, CHANNELS, labels=("index", "soft", "multi_hot"))


def test_map_is_the_same_for_every_class_and_a_probability():
    head, features = made(), some_features()
    maps = head.maps(features, torch.tensor([[0, 1], [2, 3], [4, 4]]))["fam"]
    assert maps.shape == (3, 2, 6, 4)
    assert torch.equal(maps[:, 0], maps[:, 1])
    assert 0 < maps.min() < maps.max() < 1


def test_one_position_by_hand():
    head = FAMHead({"last": 1}, num_classes=2, templates=1, parts=2, importance=True)
    with torch.no_grad():
        head.foreground.values.fill_(1.0)
        head.attention.discovery.weight.copy_(torch.tensor([2.0, -2.0]).view(2, 1, 1, 1))
        head.attention.discovery.bias.zero_()
        head.attention.importance.weight.fill_(1.0)
        head.classifier.weight.copy_(torch.tensor([[1.0], [-3.0]]))
        head.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
    features = {"last": torch.tensor([[[[2.0]]]])}
    foreground = torch.tensor(2.0).sigmoid()  # one template: s = 1, w x = 2
    parts = torch.stack([4 * foreground, -4 * foreground]).sigmoid()  # discovery of x M
    pooled = 2.0 * foreground * parts
    expected = (pooled.softmax(dim=0) * pooled).sum()
    torch.testing.assert_close(
        head.maps(features, torch.zeros(1, 1).long())["fam"].flatten()[0], foreground
    )
    torch.testing.assert_close(head.part_maps(features).flatten(), parts)
    torch.testing.assert_close(head.logits(features)[0], torch.stack([expected, 1 - 3 * expected]))


class Foreground(torch.nn.Module):
    """The same probability everywhere."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, features):
        return torch.full_like(features[:, :1], self.value)


def test_an_empty_foreground_leaves_the_mean_of_the_features_as_printed():
    head, features = made(pooled="features"), some_features()
    head.foreground = Foreground(0.0)
    share = head.attention.discovery.bias.sigmoid()  # of each part, everywhere
    pooled = share[None, :, None] * features["last"].mean(dim=(2, 3))[:, None]
    expected = head.classifier(head.attention.object_feature(pooled))
    torch.testing.assert_close(head.logits(features), expected)


def test_an_empty_foreground_leaves_nothing_where_the_foreground_is_pooled():
    head, features = made(), some_features()
    head.foreground = Foreground(0.0)
    torch.testing.assert_close(head.logits(features), head.classifier.bias.expand(3, -1))
    head.foreground = printed = Foreground(1.0)
    other = made(pooled="features")
    other.foreground = printed
    torch.testing.assert_close(head.logits(features), other.logits(features))


def test_losses_are_the_terms_of_equation_11():
    head, features = made(sparsity=0.5, diversity=0.25), some_features()
    losses = head.loss(features, LABELS)
    foreground = head.maps(features, torch.zeros(3, 1).long())["fam"]
    torch.testing.assert_close(losses["loss_sparsity"], 0.5 * foreground.mean())
    torch.testing.assert_close(losses["foreground"], foreground.mean())
    assert not losses["foreground"].requires_grad
    cross_entropy = torch.nn.functional.cross_entropy(head.logits(features), LABELS.labels)
    torch.testing.assert_close(losses["loss_cls"], cross_entropy)
    other = made(sparsity=0.5, diversity=0.5).loss(features, LABELS)
    torch.testing.assert_close(other["loss_diversity"], 2 * losses["loss_diversity"])


@pytest.mark.parametrize(
    ("switch", "gone"), [("sparsity", "loss_sparsity"), ("diversity", "loss_diversity")]
)
def test_a_weight_of_zero_leaves_the_loss_out(switch, gone):
    assert gone in made().loss(some_features(), LABELS)
    assert gone not in made(**{switch: 0}).loss(some_features(), LABELS)


def test_memory_is_replaced_by_about_as_many_parameters():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    for channels in (512, 768, 1024, 2048):
        memory = count(ForegroundMemory(channels, 3, "softmax"))
        assert count(ForegroundConvs(channels, 3)) == pytest.approx(memory, rel=0.002)
    assert isinstance(made(memory=False).foreground, ForegroundConvs)


def test_without_importance_the_parts_count_alike():
    parts = torch.randn(2, 5, 32)
    torch.testing.assert_close(
        made(importance=False).attention.object_feature(parts), parts.mean(1)
    )
    weighted = made().attention.object_feature(parts)
    assert not torch.allclose(weighted, parts.mean(1))


def test_the_sparsity_loss_shrinks_the_foreground():
    features = some_features()
    covered = {}
    for weight in (0.0, 5.0):
        head = made(sparsity=weight)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        for _ in range(50):
            losses = head.loss(features, LABELS)
            optimizer.zero_grad()
            sum(value for name, value in losses.items() if "loss" in name).backward()
            optimizer.step()
        covered[weight] = losses["foreground"].item()
    assert covered[5.0] < 0.2 < covered[0.0]


def test_the_diversity_loss_separates_the_parts():
    features = some_features()
    head = made(diversity=1.0, sparsity=0)
    with torch.no_grad():
        head.attention.discovery.weight *= 10  # parts near sigmoid(0) are alike and move slowly
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    first = None
    for _ in range(60):
        loss = head.loss(features, LABELS)["loss_diversity"]
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first - 0.01


def test_every_parameter_learns():
    head = made()
    losses = head.loss(some_features(), LABELS)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        if name != "attention.importance.bias":  # a softmax does not see what all share
            assert parameter.grad.abs().max() > 0, name


def test_half_precision_under_autocast():
    head, features = made(), some_features()
    with torch.autocast("cpu", torch.bfloat16):
        losses = head.loss(features, LABELS)
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"similarity": "cosine"}, "similarity='cosine'"),
        ({"templates": 0}, "templates=0"),
        ({"parts": 2.0}, "parts=2.0"),
        ({"parts": 1}, "one part differs from none"),
        ({"part_kernel_size": 2}, "an odd number"),
        ({"pooled": "parts"}, "pooled='parts'"),
        ({"sparsity": -0.1}, "sparsity=-0.1"),
        ({"sparsity": float("inf")}, "sparsity=inf"),
        ({"diversity": float("nan")}, "diversity=nan"),
        ({"diversity": "much"}, "diversity='much'"),
        ({"diversity": True}, "diversity=True"),
        ({"tap": "pool9"}, "pool9"),
    ],
    ids=str,
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        made(**options)
