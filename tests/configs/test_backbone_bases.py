"""The backbones to inherit from: each is what it says, 14 x 14 cells for 224 pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from wsoltool.config import config_root, plain
from wsoltool.models.builder import build_localizer, without_pretrained

BASES = sorted((config_root() / "_base_" / "backbones").glob("*.py"))


def test_there_are_some() -> None:
    assert {"vgg16", "resnet50", "inceptionv3"} <= {path.stem for path in BASES}


@pytest.mark.parametrize("path", BASES, ids=lambda path: path.stem)
def test_a_backbone_for_any_head(path: Path) -> None:
    model = plain(Config.fromfile(path).model)
    # torchvision publishes all but MobileNetV1.
    published = path.stem != "mobilenetv1"
    assert (model["backbone"]["pretrained"] is True) == published
    assert published or set(model["backbone"]["pretrained"]) == {"file"}
    head = {"type": "cam.ConvHead", "num_classes": 3}
    localizer = build_localizer(without_pretrained({**model, "head": head})).eval()
    with torch.no_grad():
        assert localizer.extract(torch.zeros(1, 3, 224, 224))["last"].shape[2:] == (14, 14)
