"""MobileNetV1 against Keras' definition, MobileNetV2 against torchvision's."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import CheckpointError, ConfigError
from wsoltool.models.backbones.mobilenet import MobileNetV1, MobileNetV2


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
def test_mobilenet_is_keras(side: int, alive, assert_close) -> None:
    net = alive(MobileNetV1(width=0.5))
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert_close(net(images)["last"], keras_mobilenet(net, images))


@pytest.mark.parametrize(("stride", "step"), [(16, 2), (8, 4)])
def test_dilated_mobilenet_holds_the_coarse_map(
    stride: int, step: int, alive, assert_close
) -> None:
    fine = alive(MobileNetV1(width=0.25, output_stride=stride, dilate=True))
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


@pytest.mark.parametrize("width", [0, -1, 5, True, "1.0", None])
def test_mobilenetv2_refuses_width(width: object) -> None:
    with pytest.raises(ConfigError, match="width"):
        MobileNetV2(width=width)


def test_mobilenetv2_of_another_width_says_so(tmp_path: Path) -> None:
    torch.save(torchvision.models.mobilenet_v2(width_mult=0.5).state_dict(), tmp_path / "half.pth")
    with pytest.raises(CheckpointError) as error:
        MobileNetV2(pretrained={"file": str(tmp_path / "half.pth")})
    assert "the file looks like width=0.5" in str(error.value)


def test_mldfr_puts_a_transition_in_the_place_of_the_last_downsampling_block() -> None:
    net = MobileNetV2(output_stride=16, surgery="mldfr")
    names = net.step_names
    assert names[names.index("features.13") + 1] == "transition"
    assert "features.14" not in names
    conv = net.transition.conv
    assert (conv.in_channels, conv.out_channels, conv.kernel_size) == (96, 160, (1, 1))
    assert conv.bias is not None
    assert net.insert_points["transition"] == (160, 16)
    assert not any(name.startswith("features.14.") for name in net.state_dict())
