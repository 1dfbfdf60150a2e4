"""Networks of torchvision, whichever: equal features, names, surgery."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.backbones.densenet import DenseNet161
from wsoltool.models.backbones.inception import GoogLeNet, InceptionV3
from wsoltool.models.backbones.mobilenet import MobileNetV2
from wsoltool.models.backbones.published import Torchvision, make_network, remove_stride
from wsoltool.models.backbones.resnet import ResNet18, ResNet50

#: One of every family.
NETWORKS = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s"),
    *("googlenet", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf"),
    *("regnet_y_400mf", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "vgg11_bn"),
)
OWN: dict[str, type[Backbone]] = {
    "densenet161": DenseNet161,
    "googlenet": GoogLeNet,
    "inception_v3": InceptionV3,
    "mobilenet_v2": MobileNetV2,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
}
MANY = 30e6  # parameters; larger networks of the same families are left out, for the time they take


def output_stride(name: str) -> int:
    return 16 if name.startswith("squeezenet") else 32


def what_the_classifier_gets(network: nn.Module, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    classifier = network.fc if hasattr(network, "fc") else network.classifier
    handle = classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    handle.remove()
    return seen[0]


def assert_same_network(net: Backbone, network: nn.Module, assert_close) -> None:
    wanted = net.state_dict()
    net.load_state_dict({k: v for k, v in network.state_dict().items() if k in wanted})
    images = torch.randn(1, 3, 128, 160)
    with torch.no_grad():
        features = net.eval()(images)["last"]
    expected = what_the_classifier_gets(network, images)
    if expected.numel() != features.numel():
        side = round((expected.numel() / features.shape[1]) ** 0.5)
        features = F.adaptive_avg_pool2d(features, side)
    assert_close(features.flatten(), expected.flatten())


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_torchvisions(name: str, alive, assert_close) -> None:
    net = Torchvision(name, output_stride(name))
    assert_same_network(net, alive(make_network(name)), assert_close)


@pytest.mark.parametrize("name", OWN)
def test_own_classes_are_torchvisions(name: str, alive, assert_close) -> None:
    assert_same_network(OWN[name](), alive(make_network(name)), assert_close)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models))
def test_every_network_of_torchvision(name: str, alive, assert_close) -> None:
    """The same, or a clear refusal."""
    count = torchvision.models.get_model_weights(name)["DEFAULT"].meta["num_params"]
    if name in NETWORKS or count > MANY:
        pytest.skip("another one of its family stands for it")
    if name.startswith(("swin", "vit", "maxvit")):
        with pytest.raises(ConfigError, match=r"no run of layers|images of any size"):
            Torchvision(name)
    else:
        net = Torchvision(name, output_stride(name))
        assert_same_network(net, alive(make_network(name)), assert_close)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stride", [8, 16])
def test_strides_are_removed_from_the_end(name: str, stride: int) -> None:
    net = Torchvision(name, stride).eval()
    assert net.insert_points["last"][1] == stride
    native = {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
    for point in set(native) & set(net.canonical):
        assert net.insert_points[point][1] == min(native[point], stride), point
    with torch.no_grad():
        last = net(torch.randn(1, 3, 160, 128))["last"]
    cut_off = 4 if name.startswith(("alexnet", "squeezenet")) else 0
    assert 160 / stride - cut_off <= last.shape[2] <= 160 / stride
    assert 128 / stride - cut_off <= last.shape[3] <= 128 / stride


@pytest.mark.parametrize("name", ["swin_t", "vit_b_32", "maxvit_t"])
def test_transformers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no run of layers|images of any size") as error:
        Torchvision(name)
    assert "convolutional" in str(error.value)


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_steps_are_the_layers_that_a_network_has_now(twin_of) -> None:
    net = DenseNet161()
    twin = nn.SyncBatchNorm.convert_sync_batchnorm(twin_of(net))
    for (name, module), (twin_name, twin_module) in zip(net.steps(), twin.steps(), strict=True):
        assert twin_name == name
        assert twin_module is twin.get_submodule(twin._paths[name]) is not module
    kinds = {name: type(module) for name, module in twin.steps()}
    assert kinds["transition2.norm"] is kinds["norm5"] is nn.SyncBatchNorm


def test_a_network_compiles_as_one_graph(assert_close) -> None:
    net, images = MobileNetV2().eval(), torch.randn(1, 3, 64, 64)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_close(compiled(images)["last"], net(images)["last"])


def test_unknown_network() -> None:
    with pytest.raises(ConfigError, match="no network 'efficentnet_b0'") as error:
        Torchvision("efficentnet_b0")
    assert "did you mean 'efficientnet_b0'?" in str(error.value)


def test_a_network_goes_as_far_as_it_goes() -> None:
    with pytest.raises(ConfigError, match="no output_stride=32") as error:
        Torchvision("squeezenet1_0", output_stride=32)
    assert "8, 16" in str(error.value)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7])
def test_remove_stride_keeps_the_size_and_the_cells(side: int, assert_close) -> None:
    """The strided convolution's cells are among the fine one's, and the size is the image's."""
    conv = nn.Conv2d(2, 3, side, stride=2)
    remove_stride(conv)
    x = torch.randn(1, 2, 10, 12)
    with torch.no_grad():
        fine, strided = conv(x), F.conv2d(x, conv.weight, conv.bias, stride=2)
    assert fine.shape[-2:] == (10, 12)
    start = (side - 1) // 2 if side % 2 else 0
    height, width = strided.shape[-2:]
    inner = fine[..., start : start + 2 * height : 2, start : start + 2 * width : 2]
    assert_close(inner[..., :height, :width], strided)
