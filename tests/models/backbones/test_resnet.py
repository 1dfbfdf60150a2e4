"""ResNets against torchvision's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from wsoltool.models.backbones.resnet import ResNet, ResNet18, ResNet50, ResNet50X, SEResNet50
from wsoltool.models.insertion import Inserts
from wsoltool.models.recalibrations.batch_norm import BatchNorm


def theirs_in_resnet(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    features = {"stem": net.relu(net.bn1(net.conv1(images))).clone()}
    features["pool1"] = x = net.maxpool(features["stem"])
    for stage in range(1, 5):
        features[f"stage{stage}"] = x = getattr(net, f"layer{stage}")(x)
    return features


@pytest.mark.parametrize("cls", [ResNet18, ResNet50])
def test_resnet_is_torchvisions_up_to_the_surgery(cls: type[ResNet], alive, assert_close) -> None:
    original = alive(torchvision.models.get_model(cls.network, weights=None))
    weights = {k: v for k, v in original.state_dict().items() if not k.startswith("fc.")}
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs_in_resnet(original, images)
    for stride, same in [(32, 4), (16, 3), (8, 2)]:
        ours = cls(output_stride=stride).eval()
        ours.load_state_dict(weights, strict=True)
        points = ["stem", "pool1", *(f"stage{i}" for i in range(1, same + 1))]
        ours.want(points)
        with torch.no_grad():
            features = ours(images)
        for point in points:
            assert_close(features[point], expected[point])
        assert features["last"].shape[-1] == 64 // stride


def test_resnet_surgery_adds_cells_and_nothing_else(alive, assert_close) -> None:
    """Without dilation the new first block's cells at even places are the old block's."""
    fine, coarse = alive(ResNet50(output_stride=16)), ResNet50().eval()
    coarse.load_state_dict(fine.state_dict())
    x = torch.randn(1, 1024, 6, 6)
    with torch.no_grad():
        assert_close(fine.layer4[0](x)[..., ::2, ::2], coarse.layer4[0](x))


def test_resnet_layers_are_points_by_their_paper_names() -> None:
    net = ResNet18()
    assert net.module_at("layer3") is net.layer3[-1]
    assert net.module_at("stage3") is net.layer3[-1]
    assert "layer1.0.relu" not in net.insert_points  # it runs twice in a forward


def test_mldfr_makes_a_new_1x1_convolution() -> None:
    """Wang et al., section IV-B: layer4.0 keeps its blocks, its 3x3 convolution becomes 1x1."""
    plain, net = ResNet50(output_stride=16), ResNet50(output_stride=16, surgery="mldfr")
    transition = net.layer4[0].conv2.transition
    assert (transition.kernel_size, transition.stride) == ((1, 1), (1, 1))
    assert net.layer4[0].downsample[0].stride == (1, 1)
    count = sum(p.numel() for p in plain.parameters()) - sum(p.numel() for p in net.parameters())
    assert count == 512 * 512 * 8
    assert net.insert_points["last"] == (2048, 16)


def test_mldfr_loads_published_weights_but_for_the_new_convolution(tmp_path: Path) -> None:
    original = torchvision.models.resnet50(weights=None)
    torch.save(original.state_dict(), tmp_path / "resnet50.pth")
    source = {"file": str(tmp_path / "resnet50.pth")}
    net = ResNet50(output_stride=16, surgery="mldfr", pretrained=source)
    assert torch.equal(net.layer4[0].conv3.weight, original.layer4[0].conv3.weight)
    torch.save(net.state_dict(), tmp_path / "own.pth")
    again = ResNet50(
        output_stride=16, surgery="mldfr", pretrained={"file": str(tmp_path / "own.pth")}
    )
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_resnet50x_with_batchnorm_after_every_convolution_is_resnet50(alive, assert_close) -> None:
    plain = alive(ResNet50(output_stride=16))
    bare = ResNet50X(output_stride=16).eval()
    own = {k: v for k, v in plain.state_dict().items() if k in bare.state_dict()}
    bare.load_state_dict(own, strict=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in bare.modules())
    norms = [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)]
    inserts = Inserts(bare, [("@Conv2d", lambda channels, stride: BatchNorm(channels))]).eval()
    assert len(inserts) == len(norms) == 53
    by_point = {point: inserts[key] for key, point in inserts.points.items()}
    for name, module in plain.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            conv = name.replace("bn", "conv").replace("downsample.1", "downsample.0")
            by_point[conv].load_state_dict(module.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_close(bare(images)["last"], plain(images)["last"])


def test_resnet50x_loads_the_convolutions_of_resnet50(tmp_path: Path) -> None:
    original = torchvision.models.resnet50(weights=None)
    torch.save(original.state_dict(), tmp_path / "resnet50.pth")
    net = ResNet50X(pretrained={"file": str(tmp_path / "resnet50.pth")})
    assert torch.equal(net.layer3[2].conv2.weight, original.layer3[2].conv2.weight)
    assert not any("bn" in name for name in net.state_dict())


def test_seresnet50_is_resnet50_with_its_gates(alive, assert_close) -> None:
    """The gate of a block, written out: sigmoid(W2 relu(W1 mean)), before the shortcut."""
    net = alive(SEResNet50())
    block = net.layer2[1]
    x = torch.randn(1, 512, 5, 7)
    with torch.no_grad():
        out = block.relu(block.bn1(block.conv1(x)))
        out = block.bn3(block.conv3(block.relu(block.bn2(block.conv2(out)))))
        pooled = out.mean(dim=(2, 3))
        hidden = (pooled @ block.se.fc1.weight[:, :, 0, 0].T + block.se.fc1.bias).relu()
        gate = (hidden @ block.se.fc2.weight[:, :, 0, 0].T + block.se.fc2.bias).sigmoid()
        assert_close(block(x), (out * gate[:, :, None, None] + x).relu())
    assert block.se.fc1.weight.shape == (512 // 16, 512, 1, 1)


def test_seresnet50_has_the_published_number_of_parameters() -> None:
    """28.09 M with the classifier (Woo et al., ECCV 2018, Table 4)."""
    count = sum(p.numel() for p in SEResNet50().parameters()) + 2048 * 1000 + 1000
    assert count == pytest.approx(28.09e6, rel=1e-3)


def test_seresnet50_differs_from_resnet50_by_its_gates_alone() -> None:
    ours, plain = SEResNet50().state_dict(), ResNet50().state_dict()
    assert {name for name in ours if ".se." not in name} == set(plain)
    assert all(ours[name].shape == plain[name].shape for name in plain)
