"""Inserts through what training does to a model: copies, checkpoints, precision, conversion."""

import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from wsoltool.engine.checkpoints import load_weights
from wsoltool.engine.training import train
from wsoltool.models.backbones.resnet import ResNet18
from wsoltool.models.backbones.small import SmallNet
from wsoltool.structures import Samples

INSERTS = [
    {"at": "stage*", "module": {"type": "BatchNorm"}},
    {"at": "bn2", "module": {"type": "BatchNorm"}},
    {"at": "conv3", "module": {"type": "DropBlock", "block_size": 3}},
]
SMALL = (4, 6, 8)


def step(model, images):
    """Logits after a step that moves every weight and statistic."""
    torch.manual_seed(2)
    samples = Samples(torch.arange(len(images)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = model.train()(images, samples, mode="loss")
    sum(losses.values()).backward()
    optimizer.step()
    return model.eval()(images).detach()


@pytest.fixture
def images():
    torch.manual_seed(3)
    return torch.randn(3, 3, 32, 32)


def test_no_name_of_the_backbone_changes(small):
    plain, model = small(), small(inserts=INSERTS)
    assert list(model.backbone.state_dict()) == list(plain.backbone.state_dict())
    added = set(model.state_dict()) - set(plain.state_dict())
    assert added
    assert all(name.startswith("inserts.") for name in added)


def test_pretrained_weights_load_beneath_inserts(small, tmp_path):
    source = SmallNet(SMALL)
    save_file(source.state_dict(), tmp_path / "x.safetensors")
    backbone = {
        "type": "SmallNet",
        "channels": SMALL,
        "pretrained": {"file": str(tmp_path / "x.safetensors")},
    }
    model = small(backbone=backbone, inserts=INSERTS, frozen="stage1", norm_eval=True)
    state = model.backbone.state_dict()
    assert all(torch.equal(state[name], value) for name, value in source.state_dict().items())


def test_inserts_inside_blocks_leave_the_names_alone(small):
    backbone = {"type": "ResNet18"}
    inserts = [{"at": "layer2.*", "module": {"type": "BatchNorm"}}]
    model = small(backbone=backbone, inserts=inserts)
    assert list(model.backbone.state_dict()) == list(ResNet18().state_dict())
    assert list(model.inserts) == ["layer2_0", "layer2_1"]


def test_a_checkpoint_restores_inserts(small, images):
    trained = small(inserts=INSERTS)
    expected = step(trained, images)
    again = small(inserts=INSERTS)
    assert not torch.equal(again.eval()(images), expected)
    load_weights(again, trained.state_dict(), "x.pth")
    assert torch.equal(again(images), expected)


def test_a_copy_trains_alone(small, images):
    model = small(inserts=INSERTS, frozen="stage1", norm_eval=True)
    twin = copy.deepcopy(model)
    before = copy.deepcopy(model.state_dict())
    expected = step(twin, images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(step(model, images), expected)


def test_converted_norms_keep_their_inserts(small, images):
    model, other = small(inserts=INSERTS), small(inserts=INSERTS)
    step(model, images)
    step(other, images)
    nn.init.constant_(model.inserts["bn2"].weight, 0.3)
    nn.init.constant_(other.inserts["bn2"].weight, 0.3)
    expected = model.eval()(images)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(other.eval())
    assert isinstance(converted.backbone.layers.bn2, nn.SyncBatchNorm)
    assert not converted.backbone.layers.bn2._forward_hooks
    assert torch.allclose(converted(images), expected, atol=1e-6)
    assert len(converted.backbone.layers.bn2._forward_hooks) == 1
    converted(images)
    assert len(converted.backbone.layers.bn2._forward_hooks) == 1
    # ... and where it is a copy that is converted.
    twin = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(model))
    nn.init.constant_(twin.inserts["bn2"].weight, 0.9)
    assert not torch.allclose(twin(images), expected, atol=1e-6)
    assert torch.equal(model(images), expected)


def test_frozen_and_kept_norms_outlast_conversion(small):
    model = small(frozen="stage1", norm_eval=True)
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model).train()
    layers = model.backbone.layers
    assert not any(layer.training for layer in (layers.conv1, layers.bn1, layers.bn2, layers.bn3))
    assert not layers.bn1.weight.requires_grad
    assert layers.bn2.weight.requires_grad


@pytest.mark.parametrize("compiled", [False, {"backend": "eager"}])
def test_mixed_precision_trains_inserts(tiny_config, tmp_path, compiled):
    config = tiny_config(
        model__inserts=INSERTS,
        model__compile=compiled,
        train_cfg__max_epochs=1,
        train_cfg__val_interval=1,
    )
    state = torch.load(train(config, tmp_path, amp=True))["state_dict"]
    assert state["inserts.stage1.num_batches_tracked"] == 3
    assert not state["inserts.stage1.weight"].equal(torch.ones(16))
    assert all(value.isfinite().all() for value in state.values())
    assert all(value.dtype is not torch.bfloat16 for value in state.values())
