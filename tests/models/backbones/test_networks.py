"""Every backbone against its original, and what all of them promise."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import CheckpointError, ConfigError, ShapeError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.mobilenet import MobileNetV1
from wsoltool.models.backbones.resnet import ResNet, ResNet18, ResNet50
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16

CASES = [
    pytest.param(lambda: VGG16(output_stride=16), id="vgg16-16"),
    pytest.param(lambda: VGG16(output_stride=8, extra_conv=24, batch_norm=True), id="vgg16-bn-8"),
    pytest.param(lambda: ResNet50(output_stride=32), id="resnet50-32"),
    pytest.param(lambda: ResNet18(output_stride=8), id="resnet18-8"),
    pytest.param(lambda: MobileNetV1(width=0.25, output_stride=16), id="mobilenet-16"),
    pytest.param(lambda: MobileNetV1(width=0.5, output_stride=32), id="mobilenet-32"),
    pytest.param(SmallNet, id="small"),
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def random_statistics(net: nn.Module) -> nn.Module:
    """Give BatchNorm statistics that differ from the identity, so that mistakes show."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return net.eval()


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-5 of the largest value."""
    assert ours.shape == theirs.shape
    assert theirs.abs().max() > 0
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("build", CASES)
def test_points_match_real_features(build: Callable[[], Backbone]) -> None:
    net = build().eval()
    side = 2 * net.output_stride
    net.want([*net.step_names, *net.canonical])
    with torch.no_grad():
        features = net(torch.randn(1, 3, side, side))
    for name, feature in features.items():
        channels, stride = net.insert_points[name]
        assert feature.shape == (1, channels, side // stride, side // stride), name
    assert net.insert_points["last"][1] == net.output_stride


@pytest.mark.parametrize("build", CASES)
def test_every_step_and_shared_name_is_an_insert_point(build: Callable[[], Backbone]) -> None:
    net = build()
    assert {*net.step_names, *net.canonical, "input", "last"} <= set(net.insert_points)
    for point in net.insert_points:
        assert isinstance(net.module_at(point), nn.Module)


@pytest.mark.parametrize("build", CASES)
def test_features_are_not_overwritten_by_later_layers(build: Callable[[], Backbone]) -> None:
    net = build().eval()
    assert not any(getattr(module, "inplace", False) for module in net.modules())


@pytest.mark.parametrize("build", CASES)
def test_smallest_image(build: Callable[[], Backbone]) -> None:
    net = build().eval()
    side = net.output_stride
    with torch.no_grad():
        assert net(torch.randn(1, 3, side, side))["last"].shape[-2:] == (1, 1)
    with pytest.raises(ShapeError, match=rf"{side} x {side - 1} pixels"):
        net(torch.randn(1, 3, side, side - 1))


@pytest.mark.parametrize("build", CASES)
def test_channels_last_gives_the_same(build: Callable[[], Backbone]) -> None:
    net = random_statistics(build())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        plain = net(images)["last"]
        net.to(memory_format=torch.channels_last)
        other = net(images.contiguous(memory_format=torch.channels_last))["last"]
    assert other.is_contiguous(memory_format=torch.channels_last)
    assert_close(other, plain)


@pytest.mark.parametrize("build", CASES)
def test_gradient_reaches_every_weight(build: Callable[[], Backbone]) -> None:
    net = build()
    net(torch.randn(2, 3, 64, 64))["last"].square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.ndim > 1)


@pytest.mark.parametrize("cls", [VGG16, ResNet50, MobileNetV1, SmallNet])
def test_unknown_output_stride(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="output_stride=12"):
        cls(output_stride=12)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg16_is_torchvisions(batch_norm: bool) -> None:
    make = torchvision.models.vgg.make_layers
    original = random_statistics(make(torchvision.models.vgg.cfgs["D"], batch_norm))
    images = torch.randn(1, 3, 64, 64)
    last_pool = len(original) - 1
    fourth_pool = [i for i, m in enumerate(original) if isinstance(m, nn.MaxPool2d)][3]
    for stride, point, end in [(32, "pool5", None), (16, "relu5_3", last_pool)]:
        ours = VGG16(output_stride=stride, batch_norm=batch_norm).eval()
        ours.features.load_state_dict(original.state_dict(), strict=True)
        with torch.no_grad():
            assert ours.step_names[-1] == point
            assert_close(ours(images)["last"], original[:end](images))
    ours = VGG16(output_stride=8, batch_norm=batch_norm).eval()
    ours.features.load_state_dict(original.state_dict(), strict=True)
    ours.want(["relu4_3"])
    with torch.no_grad():
        before = original[:fourth_pool](images)
        features = ours(images)
        assert_close(features["relu4_3"], before)
        assert_close(features["last"], original[fourth_pool + 1 : last_pool](before))


def test_vgg16_names() -> None:
    net = VGG16(output_stride=16, extra_conv=24, batch_norm=True)
    names = net.step_names
    assert names[:8] == (
        *("input", "conv1_1", "bn1_1", "relu1_1", "conv1_2", "bn1_2", "relu1_2", "pool1"),
    )
    assert names[-4:] == ("relu5_3", "conv6", "bn6", "relu6")
    assert "pool4" in names
    assert "pool5" not in names
    assert "pool4" not in VGG16(output_stride=8).step_names
    assert net.channels()["last"] == 24
    assert net.conv6.kernel_size == (3, 3)
    assert net.resolve_points("conv5_*") == ("conv5_1", "conv5_2", "conv5_3")
    assert net.resolve_points("pool*") == ("pool1", "pool2", "pool3", "pool4")


def test_vgg16_starts_as_torchvisions_does() -> None:
    ours = VGG16().features[2].weight.detach()
    fan_out = 64 * 9
    assert ours.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize("extra_conv", [-1, True, 1.5, "1024"])
def test_vgg16_refuses_extra_conv(extra_conv: object) -> None:
    with pytest.raises(ConfigError, match="extra_conv"):
        VGG16(extra_conv=extra_conv)


def theirs_in_resnet(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    features = {"stem": net.relu(net.bn1(net.conv1(images))).clone()}
    features["pool1"] = x = net.maxpool(features["stem"])
    for stage in range(1, 5):
        features[f"stage{stage}"] = x = getattr(net, f"layer{stage}")(x)
    return features


@pytest.mark.parametrize("cls", [ResNet18, ResNet50])
def test_resnet_is_torchvisions_up_to_the_surgery(cls: type[ResNet]) -> None:
    original = random_statistics(torchvision.models.get_model(cls.network, weights=None))
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


def test_resnet_surgery_adds_cells_and_nothing_else() -> None:
    """Without dilation the new first block's cells at even places are the old block's."""
    fine, coarse = random_statistics(ResNet50(output_stride=16)), ResNet50().eval()
    coarse.load_state_dict(fine.state_dict())
    x = torch.randn(1, 1024, 6, 6)
    with torch.no_grad():
        assert_close(fine.layer4[0](x)[..., ::2, ::2], coarse.layer4[0](x))


def test_resnet_layers_are_points_by_their_paper_names() -> None:
    net = ResNet18()
    assert net.module_at("layer3") is net.layer3[-1]
    assert net.module_at("stage3") is net.layer3[-1]
    assert "layer1.0.relu" not in net.insert_points  # it runs twice in a forward


def keras_mobilenet(net: MobileNetV1, images: Tensor) -> Tensor:
    """The functions of the original network, on the weights of ``net``, unchanged strides."""

    def norm(x: Tensor, bn: nn.BatchNorm2d) -> Tensor:
        scale = bn.weight / (bn.running_var + 0.001).sqrt()
        x = (x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]
        return x.clamp(0, 6)

    x = norm(F.conv2d(F.pad(images, (0, 1, 0, 1)), net.stem.conv.weight, stride=2), net.stem.bn)
    for index, block in enumerate(net.blocks):
        stride = 2 if index in (1, 3, 5, 11) else 1
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        x = norm(F.conv2d(x, block.dw.weight, stride=stride, groups=x.shape[1]), block.dw_bn)
        x = norm(F.conv2d(x, block.pw.weight), block.pw_bn)
    return x


@pytest.mark.parametrize("side", [64, 75])
def test_mobilenet_is_keras(side: int) -> None:
    net = random_statistics(MobileNetV1(width=0.5))
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert_close(net(images)["last"], keras_mobilenet(net, images))


@pytest.mark.parametrize(("stride", "step"), [(16, 2), (8, 4)])
def test_dilated_mobilenet_holds_the_coarse_map(stride: int, step: int) -> None:
    fine = random_statistics(MobileNetV1(width=0.25, output_stride=stride, dilate=True))
    coarse = MobileNetV1(width=0.25).eval()
    coarse.load_state_dict(fine.state_dict(), strict=True)
    images = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        ours, theirs = fine(images)["last"], coarse(images)["last"]
        plain = MobileNetV1(width=0.25, output_stride=stride).eval()
        plain.load_state_dict(fine.state_dict(), strict=True)
        assert (plain(images)["last"] - ours).abs().max() > 1e-3
    assert_close(ours[..., step - 1 :: step, step - 1 :: step], theirs)


@pytest.mark.parametrize(
    ("width", "stem", "last"), [(0.25, 8, 256), (0.5, 16, 512), (0.75, 24, 768), (1, 32, 1024)]
)
def test_mobilenet_channels(width: float, stem: int, last: int) -> None:
    channels = MobileNetV1(width=width).channels()
    assert (channels["stem"], channels["last"]) == (stem, last)


def test_mobilenet_channels_between_are_multiples_of_8() -> None:
    channels = MobileNetV1(width=0.6).channels()
    assert all(c % 8 == 0 for name, c in channels.items() if name != "input")
    assert channels["stem"] == 16  # 19.2 is nearer to 16 than to 24
    assert channels["blocks.0"] == 40  # 38.4


@pytest.mark.parametrize("width", [0, 0.2, 1.01, "0.75", float("nan")])
def test_mobilenet_refuses_width(width: object) -> None:
    with pytest.raises(ConfigError, match="width"):
        MobileNetV1(width=width)


def local_mobilenet() -> Path:
    if not (home := os.environ.get("WSOLTOOL_DATA")):
        pytest.skip("WSOLTOOL_DATA is not set")
    path = Path(home) / "pretrained" / "mobilenetv1_075_imagenet.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    return path


def test_mobilenet_loads_published_weights() -> None:
    from safetensors.torch import load_file

    path = local_mobilenet()
    net = MobileNetV1(
        width=0.75,
        output_stride=16,
        dilate=True,
        pretrained={"file": "pretrained/mobilenetv1_075_imagenet.safetensors"},
    ).eval()
    state = load_file(path)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    with torch.no_grad():
        last = net(torch.rand(1, 3, 224, 224) * 2 - 1)["last"]
    assert last.shape == (1, 768, 14, 14)
    assert last.isfinite().all()


def test_mobilenet_recognises_photos() -> None:
    """Top-1 among the set's 50 classes without training; a plain script had 65.6 % on all."""
    from safetensors.torch import load_file

    path = local_mobilenet()
    photos = path.parents[1] / "tinyimagenet50"
    if not photos.is_dir():
        pytest.skip(f"{photos} does not exist")
    rows = (path.parent / "imagenet1000_classes.txt").read_text().splitlines()
    index = {row.split(",")[1]: int(row.split(",")[0]) for row in rows}
    classes = [
        index[row.split(",")[1]] for row in (photos / "classes.txt").read_text().splitlines()
    ]
    labels = (photos / "metadata" / "test" / "class_labels.txt").read_text().splitlines()[::25]
    files, targets = zip(*(row.split(",") for row in labels), strict=True)
    photo_arrays = [cv2.imread(str(photos / "images" / file))[..., ::-1].copy() for file in files]
    images = torch.stack([torch.from_numpy(a).permute(2, 0, 1) for a in photo_arrays])
    net = MobileNetV1(width=0.75, output_stride=16, pretrained={"file": str(path)}).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (net.input_mean, net.input_std))
    fc = load_file(path)
    with torch.no_grad():
        pooled = net((F.interpolate(images.float(), size=128, mode="bilinear") - mean) / std)
        logits = pooled["last"].mean(dim=(2, 3)) @ fc["fc.weight"].T + fc["fc.bias"]
    right = logits[:, classes].argmax(dim=1) == torch.tensor([int(t) for t in targets])
    assert right.float().mean() > 0.55


def test_mobilenet_of_another_width_says_so() -> None:
    path = local_mobilenet()
    with pytest.raises(CheckpointError) as error:
        MobileNetV1(width=0.5, pretrained={"file": str(path)})
    text = str(error.value)
    assert "width=0.75" in text
    assert "stem.conv.weight: shape (24, 3, 3, 3) in the file, expected (16, 3, 3, 3)" in text
    assert text.count("in the file, expected") > 100


def test_smallnet_has_24_cells_at_96_pixels() -> None:
    net = SmallNet()
    assert net(torch.randn(2, 3, 96, 96))["last"].shape == (2, 48, 24, 24)
    assert net.resolve_points("stage*") == ("stage1", "stage2", "stage3", "stage4")


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_smallnet_strides(stride: int) -> None:
    net = SmallNet(channels=(4, 5), output_stride=stride)
    assert net(torch.randn(1, 3, 8, 8))["last"].shape == (1, 5, 8 // stride, 8 // stride)


@pytest.mark.parametrize("channels", [(), (0, 4), ("16",), 16])
def test_smallnet_refuses_channels(channels: object) -> None:
    with pytest.raises(ConfigError, match="channels"):
        SmallNet(channels=channels)


@pytest.mark.parametrize("cls", [MobileNetV1, SmallNet])
def test_no_published_weights(cls: type[Backbone]) -> None:
    with pytest.raises(ConfigError, match="torchvision publishes no weights") as error:
        cls(pretrained=True)
    assert "dict(file=" in str(error.value)
