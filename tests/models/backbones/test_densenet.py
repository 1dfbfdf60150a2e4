"""DenseNet161's own names and surgery."""

from __future__ import annotations

import torch

from wsoltool.models.backbones.densenet import DenseNet161


def test_names() -> None:
    net = DenseNet161(output_stride=32)
    names = net.step_names
    assert names[1:6] == ("conv0", "norm0", "relu0", "pool0", "denseblock1")
    assert names[-3:] == ("denseblock4", "norm5", "relu")
    shared = {name: net.step_of(name) for name in ("stem", "pool1", "pool4", "stage1", "stage4")}
    assert list(shared.values()) == ["relu0", "pool0", "transition3.pool", "denseblock1", "relu"]
    assert net.module_at("transition1") is net.module_at("transition1.pool")
    assert net.insert_points["denseblock2.denselayer3.conv1"] == (192, 8)
    assert next(iter(net.state_dict())).startswith("features.")


def test_the_last_poolings_are_left_out() -> None:
    """mLDFR recalibrates 96, 192 and, in its authors' release, 1056 channels."""
    net = DenseNet161(output_stride=16, surgery="mldfr")
    assert "transition3.pool" not in net.step_names
    assert "transition2.pool" in net.step_names
    assert net.insert_points["transition3"] == (1056, 16)
    assert net.insert_points["pool1"] == (96, 4)
    assert net.insert_points["pool2"] == (192, 8)
    assert "transition2.pool" not in DenseNet161(output_stride=8).step_names
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 3, 64, 64))["last"].shape == (1, 2208, 4, 4)
