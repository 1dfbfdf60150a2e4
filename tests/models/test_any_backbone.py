"""Any method on any backbone, by config alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from wsoltool.errors import ConfigError
from wsoltool.models.builder import build_localizer
from wsoltool.plugin.manager import build
from wsoltool.structures import Sample, Samples

SIDE = 96  # pixels; InceptionV3 needs 43 at stride 16

BACKBONES: dict[str, dict[str, Any]] = {
    "vgg16": {"type": "VGG16", "extra_conv": 64},
    "googlenet": {"type": "GoogLeNet", "surgery": "mldfr"},
    "inceptionv3": {"type": "InceptionV3", "surgery": "wsolevaluation", "extra_conv": 32},
    "densenet161": {"type": "DenseNet161"},
    "mobilenetv1": {"type": "MobileNetV1", "width": 0.25},
    "mobilenetv2": {"type": "MobileNetV2", "width": 0.25, "surgery": "mldfr"},
    "resnet18": {"type": "ResNet18"},
    "resnet50x": {"type": "ResNet50X"},
    "seresnet50": {"type": "SEResNet50", "surgery": "mldfr"},
    "torchvision": {"type": "Torchvision", "network": "shufflenet_v2_x0_5"},
    "small": {"type": "SmallNet", "output_stride": 8},
}

#: A recalibration, a norm and an eraser at names that all backbones share.
INSERTS = [
    {"at": "stage1", "module": {"type": "mldfr.SelfAttention", "kernel_size": 5}},
    {"at": "stage2", "module": {"type": "SqueezeExcitation", "reduction": 2}},
    {"at": "stage3", "module": {"type": "BatchNorm"}},
    {"at": "last", "module": {"type": "DropBlock", "probability": 0.2, "block_size": 3}},
]
METHODS: dict[str, dict[str, Any]] = {
    "cam": {"head": {"type": "cam.CAMHead", "num_classes": 4}},
    "mldfr": {
        "inserts": INSERTS,
        "head": {"type": "cam.ConvHead", "num_classes": 4},
        "fusion": {"type": "MultiScale", "scales": (1.0, 1.5), "reduce": "sum"},
    },
    "has+gradcam": {
        "inserts": INSERTS[:3],
        "batch_augmentations": [{"type": "has.HideAndSeek", "grid_size": 16}],
        "head": {"type": "cam.CAMHead", "num_classes": 4},
        "map_source": {"type": "gradcam.GradCAM"},
    },
}


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    """The config of a backbone at stride 16, or what SmallNet has."""
    return {"output_stride": 16, **BACKBONES[request.param]}


def batch() -> dict[str, Any]:
    torch.manual_seed(0)
    region = (0.0, 0.0, float(SIDE), float(SIDE))
    items = [Sample(f"image-{i}", label, (SIDE, SIDE), region) for i, label in enumerate((1, 3))]
    images = torch.randint(256, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    return {"inputs": images, "samples": Samples.of(items)}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_and_localizes(backbone, method):
    if method != "mldfr" and backbone["type"] not in ("VGG16", "ResNet18", "MobileNetV2"):
        pytest.skip("mldfr's parts are all that depend on the backbone")
    torch.manual_seed(0)
    model = build_localizer({"backbone": backbone, **METHODS[method]}).train()
    data = model.data_preprocessor(batch(), training=True)
    losses = model(**data, mode="loss")
    sum(losses.values()).backward()
    unreached = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert not unreached
    for prediction in model.eval().test_step(batch()):
        found = prediction.map(prediction.class_ids[0])
        assert found.shape == (SIDE, SIDE)
        assert found.min() == 0
        # Grad-CAM's ReLU may leave nothing of a random network's map.
        assert found.max() == 1 or (method == "has+gradcam" and not found.any())


def test_inserting_changes_no_name_and_no_weight(backbone):
    torch.manual_seed(0)
    plain = build("backbone", backbone, "model.backbone").state_dict()
    model = build_localizer({"backbone": backbone, **METHODS["mldfr"]})
    assert list(model.backbone.state_dict()) == list(plain)
    model.backbone.load_state_dict(plain, strict=True)
    inserted = [key for key in model.state_dict() if key.startswith("inserts.")]
    assert len(inserted) > 10


def test_state_round_trip_copies_and_autocast(backbone):
    torch.manual_seed(0)
    model = build_localizer({"backbone": backbone, **METHODS["mldfr"]}).eval()
    again = build_localizer({"backbone": backbone, **METHODS["mldfr"]}).eval()
    again.load_state_dict(model.state_dict(), strict=True)
    images = model.data_preprocessor(batch())["inputs"]
    with torch.no_grad():
        logits = model(images)
        assert torch.equal(again(images), logits)
        assert torch.equal(copy.deepcopy(model)(images), logits)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(images)
    assert rounded.isfinite().all()


@pytest.mark.parametrize(
    ("backbone", "at", "count"),
    [
        ({"type": "VGG16"}, "conv*", 13),
        ({"type": "VGG16"}, "@ReLU", 13),
        ({"type": "ResNet18"}, "conv*", 17),
        ({"type": "ResNet18"}, "@Conv2d", 20),  # with the three shortcuts
        ({"type": "ResNet18"}, "layer*", 4),
        ({"type": "ResNet18"}, "@BasicBlock", 8),
        ({"type": "MobileNetV1", "width": 0.25}, "@Conv2d", 27),
        ({"type": "MobileNetV1", "width": 0.25}, "blocks.*", 13),
        ({"type": "MobileNetV2", "width": 0.25}, "features.*", 19),
        ({"type": "Torchvision", "network": "shufflenet_v2_x0_5"}, "stage*", 4),
    ],
)
def test_globs_and_classes_insert_everywhere(backbone, at, count):
    """Counts from the networks' papers."""
    inserts = [{"at": at, "module": {"type": "BatchNorm"}}]
    head = {"type": "cam.CAMHead", "num_classes": 4}
    model = build_localizer({"backbone": backbone, "inserts": inserts, "head": head})
    assert len(model.inserts) == count
    assert model(model.data_preprocessor(batch())["inputs"]).isfinite().all()


def test_an_unknown_class_of_layers_lists_those_there_are():
    model = {
        "backbone": {"type": "ResNet18"},
        "inserts": [{"at": "@BatchNorm", "module": {"type": "BatchNorm"}}],
        "head": {"type": "cam.CAMHead", "num_classes": 4},
    }
    with pytest.raises(ConfigError, match="no insert point '@BatchNorm'") as error:
        build_localizer(model)
    assert error.value.at == "model.inserts[0].at"
    assert "did you mean '@BatchNorm2d'?" in str(error.value)
