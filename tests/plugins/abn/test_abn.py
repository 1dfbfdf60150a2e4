import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.builder import build_localizer
from wsoltool.models.losses import BinaryCrossEntropy
from wsoltool.structures import Sample, Samples
from wsoltool.testing import check_head
from wsoltool_plugins import abn
from wsoltool_plugins.abn.abn import AttentionBranchHead
from wsoltool_plugins.abn.branch import AttentionBranch, attended, own_copies

CHANNELS = {"stage2": 6, "stage3": 8, "last": 8}
BACKBONE = {"type": "SmallNet", "channels": (4, 6, 8, 8)}
LABELS = Samples(torch.tensor([0, 2, 4]))


def small():
    torch.manual_seed(0)
    return SmallNet(channels=(4, 6, 8, 8))


def bound(**options):
    backbone = small()
    head = AttentionBranchHead(backbone.channels(), num_classes=5, **options)
    head.bind(backbone)
    backbone.want(head.taps)
    return backbone, head


def localizer(**settings):
    torch.manual_seed(0)
    head = {"type": "abn.AttentionBranchHead", "num_classes": 5}
    return build_localizer({"backbone": BACKBONE, "head": head, **settings})


def some_images():
    torch.manual_seed(1)
    return torch.randn(3, 3, 24, 32)


def test_face_offers_the_head():
    assert abn.wsoltool_cam_heads() == [AttentionBranchHead]


@pytest.mark.parametrize("options", [{}, {"tap": "stage2"}], ids=str)
def test_contract(options):
    check_head(bound(**options)[1], CHANNELS, labels=("index", "soft"))


def test_contract_with_several_classes_an_image():
    _, head = bound(loss=BinaryCrossEntropy())
    check_head(head, CHANNELS, labels=("index", "soft", "multi_hot"))


def test_attention_by_hand_on_4_by_4_positions():
    branch = AttentionBranch(channels=1, num_classes=2).eval()
    for norm in (branch.norm, branch.responses[1], branch.attention[1]):
        norm.eps = 0.0
    with torch.no_grad():
        branch.responses[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        branch.attention[0].weight.zero_()
        branch.attention[0].weight[0, :, 1, 1] = torch.tensor([1.0, 3.0])
        branch.attention[0].weight[0, 0, 1, 2] = 10.0  # what stands to the right
        branch.classifier.weight.copy_(torch.tensor([[1.0, 1.0], [2.0, 0.0]]).view(2, 2, 1, 1))
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0], x[0, 0, 2, 1], x[0, 0, 2, 2] = 1.0, 0.5, -2.0
    weights, logits = branch(x)
    # Responses: ReLU of x and of -x.
    expected = torch.zeros(4, 4)
    expected[0, 0], expected[2, 1], expected[2, 2], expected[2, 0] = 1.0, 0.5, 6.0, 5.0
    torch.testing.assert_close(weights[0, 0], expected.sigmoid())
    torch.testing.assert_close(logits, torch.tensor([[1.5 + 2.0, 2 * 1.5]]) / 16)


def test_attended_by_hand():
    x = torch.tensor([[[[2.0, 4.0]], [[1.0, -1.0]]]])
    found = attended(x, torch.tensor([[[[0.5, 0.25]]]]))
    assert found.tolist() == [[[[3.0, 5.0]], [[1.5, -1.25]]]]


def test_later_layers_work_on_the_attended_feature():
    backbone, head = bound()
    plain = small()
    images = some_images()
    for module in (backbone, head, plain):
        module.eval()
    plain.want(["stage3"])
    features, x = backbone(images), plain(images)["stage3"]
    assert torch.equal(features["stage3"], x), "the tapped feature is not weighted"
    weights, logits = head.branch(x)
    last = plain.forward_from((1 + weights) * x, "stage3")["last"]
    torch.testing.assert_close(features["last"], last)
    expected = head.classifier(last.mean((2, 3)))
    torch.testing.assert_close(head.logits(features), expected)
    torch.testing.assert_close(head.scores(features), expected.softmax(1))
    losses = head.loss(features, LABELS)
    assert list(losses) == ["loss_attention", "loss_perception"]
    torch.testing.assert_close(losses["loss_attention"], F.cross_entropy(logits, LABELS.labels))
    torch.testing.assert_close(losses["loss_perception"], F.cross_entropy(expected, LABELS.labels))
    maps = head.maps(features, torch.tensor([[0, 1], [2, 2], [4, 3]]))
    torch.testing.assert_close(maps["attention"], weights.expand(-1, 2, -1, -1))
    row = head.classifier.weight[1]
    torch.testing.assert_close(maps["perception"][0, 1], torch.einsum("chw,c->hw", last[0], row))


def test_a_step_runs_every_layer_once():
    model = localizer().train()
    counts = {}
    for name, module in model.named_modules():
        if not [*module.children()] and module is not model.head.criterion:
            module.register_forward_hook(
                lambda *_, name=name: counts.update({name: counts.get(name, 0) + 1})
            )
    model(some_images(), LABELS, mode="loss")
    assert set(counts.values()) == {1}
    assert [name for name in counts if name.startswith("head.branch.layers")]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {1}


def test_the_losss_attention_is_that_of_its_own_batch():
    backbone, head = bound()
    backbone.eval(), head.eval()
    first, second = backbone(some_images()), backbone(some_images() * 2)
    later = head.loss(first, LABELS)["loss_attention"]
    again = head.loss(backbone(some_images()), LABELS)["loss_attention"]
    assert later.item() == again.item() != head.loss(second, LABELS)["loss_attention"].item()


def test_the_branch_starts_as_the_layers_behind_the_tap_and_trains_apart():
    model = localizer()
    own = dict(model.head.branch.layers.named_parameters())
    later = {n: p for n, p in model.backbone.named_parameters() if "4" in n}
    assert len(own) == len(later) == 3
    for ours, theirs in zip(own.values(), later.values(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours is not theirs
    model.train()(some_images(), LABELS, mode="loss")["loss_attention"].backward()
    assert all(parameter.grad is not None for parameter in own.values())
    assert all(parameter.grad is None for parameter in later.values())


def test_weights_are_once_in_a_checkpoint_which_loads():
    model = localizer()
    names = list(model.state_dict())
    assert len(names) == len(set(names))
    heads = [name for name in names if name.startswith("head.")]
    assert not [name for name in heads if "backbone" in name or "_seen" in name]
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == sum(p.numel() for p in model.backbone.parameters()) + sum(
        p.numel() for p in model.head.parameters()
    )
    torch.manual_seed(7)
    other = localizer()
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(model.state_dict())
    model.eval(), other.eval()
    assert torch.equal(model(some_images()), other(some_images()))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_attends_with_its_own_branch(way):
    model = localizer().train()
    model(some_images())  # leaves features with a graph behind
    other = way(model)
    model.eval(), other.eval()
    before = model(some_images())
    assert torch.equal(other(some_images()), before)
    with torch.no_grad():
        other.head.branch.attention[1].bias.fill_(5.0)
    assert torch.equal(model(some_images()), before)
    assert not torch.allclose(other(some_images()), before)


def test_inserts_stay_the_backbones():
    inserts = [
        {"at": point, "module": {"type": "DropBlock", "block_size": 1, "probability": 0.5}}
        for point in ("stage3", "conv4", "stage4")
    ]
    model = localizer(inserts=inserts).train()
    assert not [h for m in model.head.modules() for h in m._forward_hooks.values()]
    losses = model(some_images(), LABELS, mode="loss")
    assert all(value.isfinite() for value in losses.values())
    assert len(model.state_dict()) == len(localizer().state_dict())


def test_the_branch_trains_behind_frozen_layers():
    model = localizer(frozen="stage4", norm_eval=True).train()
    assert all(p.requires_grad for p in model.head.parameters())
    assert all(module.training for module in model.head.modules())
    model(some_images(), LABELS, mode="loss")["loss_attention"].backward()
    assert model.head.branch.layers[0].weight.grad.abs().max() > 0


def test_copies_work_in_place_nowhere():
    layers = [nn.Sequential(nn.ReLU(inplace=True)), nn.ReLU(inplace=True)]
    copies = own_copies(layers)
    x = torch.tensor([-1.0])
    for layer in copies:
        layer(x)
    assert x.item() == -1
    assert layers[1].inplace


def test_gradcam_sees_through_the_attention():
    source = {"type": "gradcam.GradCAM", "target": "stage3"}
    model = localizer(map_source=source).eval()
    images, ids = some_images(), torch.tensor([[0], [2], [4]])
    with torch.no_grad(), model.backbone.also(["stage3"]):
        features = model.extract(images)
        maps = model.map_source.maps(model.backbone, model.head, images, features, ids)
    assert maps["cam"].shape == (3, 1, 6, 8)
    assert maps["cam"].max() > 0


def test_half_precision_under_autocast():
    model = localizer().train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(some_images(), LABELS, mode="loss")
    assert all(value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_everything_learns():
    model = localizer().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    found = []
    for _ in range(30):
        losses = model(some_images(), LABELS, mode="loss")
        optimizer.zero_grad()
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        found.append([value.item() for value in losses.values()])
    assert all(last < 0.5 * first for first, last in zip(found[0], found[-1], strict=True))


@pytest.mark.parametrize(
    ("tap", "words"), [("last", "attention to 'last'"), ("stage1", "attention to 'stage1'")]
)
def test_a_tap_that_does_not_fit_is_named(tap, words):
    with pytest.raises(ConfigError, match=words) as caught:
        bound(tap=tap)
    assert caught.value.at == "model.head.tap"


def test_an_unknown_tap_is_named():
    with pytest.raises(ConfigError, match="pool9"):
        AttentionBranchHead(CHANNELS, 5, tap="pool9")


@pytest.mark.parametrize(("multi", "labels"), [(False, LABELS), (True, Samples(torch.eye(5)[:3]))])
def test_one_and_several_classes_an_image(multi, labels):
    loss = BinaryCrossEntropy() if multi else None
    backbone, head = bound(loss=loss)
    backbone.eval(), head.eval()
    features = backbone(some_images())
    logits = head.logits(features)
    expected = logits.sigmoid() if multi else logits.softmax(1)
    torch.testing.assert_close(head.scores(features), expected)
    assert head.loss(features, labels)["loss_perception"].isfinite()
    assert head.class_weights() is None
    assert head.class_vectors() is head.classifier.weight


def side_by_side(tap):
    head = {"type": "abn.AttentionBranchHead", "num_classes": 5, "tap": tap}
    backbone = {"type": "Parallel", "networks": {"a": BACKBONE, "b": BACKBONE}}
    return build_localizer({"backbone": backbone, "head": head})


def test_a_tap_in_another_network_is_named():
    with pytest.raises(ConfigError, match=r"attention to 'a\.stage3' of Parallel") as caught:
        side_by_side("a.stage3")
    assert caught.value.at == "model.head.tap"
    losses = side_by_side("b.stage3").train()(some_images(), LABELS, mode="loss")
    assert all(value.isfinite() for value in losses.values())


def test_a_gradient_maps_pass_leaves_no_graph():
    model = localizer(map_source={"type": "gradcam.GradCAM", "target": "stage3"}).eval()
    samples = Samples.of([Sample(str(i), i, (24, 32), (0.0, 0.0, 32.0, 24.0)) for i in range(3)])
    model.predict(some_images(), samples)
    assert not [tensor for _, answer in model.head._seen for tensor in answer if tensor.grad_fn]


def test_each_view_runs_the_branch_once():
    model = localizer(
        fusion={"type": "MultiScale", "scales": (1.0, 1.5), "score_scales": (1.0, 1.5)}
    ).eval()
    calls = []
    model.head.branch.register_forward_hook(lambda *_: calls.append(1))
    samples = Samples.of([Sample(str(i), i, (24, 32), (0.0, 0.0, 32.0, 24.0)) for i in range(3)])
    assert sum(view.scores for view in model.fusion.views()) > 1
    model.predict(some_images(), samples)
    assert len(calls) == len(model.fusion.views())


def test_what_was_seen_goes_with_its_features():
    backbone, head = bound()
    backbone.eval(), head.eval()
    with torch.no_grad():
        for _ in range(3):
            features = backbone(some_images())
        assert len(head._seen) <= 2
        head.maps(features, torch.zeros(3, 1, dtype=torch.int64))
    assert not [seen for seen, _ in head._seen if seen() is not None]
