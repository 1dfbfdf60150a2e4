"""Only plain data is read, nothing is executed, every tensor is accounted for."""

import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from wsoltool.engine.checkpoints import (
    from_plain,
    load_weights,
    read_checkpoint,
    to_plain,
    training_of,
)
from wsoltool.errors import CheckpointError


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_malicious_checkpoint_is_refused_without_executing(tmp_path, legacy):
    path, target = tmp_path / "evil.pth", tmp_path / "executed"
    content = {"state_dict": {"w": Payload(str(target))}}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match="refused; nothing in it was run"):
        read_checkpoint(path)
    assert not target.exists()
    torch.load(path, weights_only=False) if not legacy else pickle.loads(path.read_bytes())
    assert target.exists(), "the payload would have run, so the test means something"


def test_missing_checkpoint_lists_what_lies_there(tmp_path):
    torch.save({}, tmp_path / "epoch_1.pth")
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth"):
        read_checkpoint(tmp_path / "epoch_2.pth")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        read_checkpoint(path)


def test_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "cut.pth"
    torch.save({"state_dict": {"w": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_file_without_a_model_is_refused(tmp_path):
    torch.save({"weights": {}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds no trained model"):
        read_checkpoint(tmp_path / "w.pth")


def test_another_models_weights_are_listed_and_nothing_is_loaded():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = {
        "0.weight": torch.ones(3, 5),
        "0.bias": torch.ones(3),
        "1.bias": torch.ones(1),
        "2.weight": torch.ones(1),
    }
    with pytest.raises(CheckpointError) as caught:
        load_weights(model, weights, "other.pth")
    text = str(caught.value)
    assert "1 missing: 1.weight" in text
    assert "1 left over: 2.weight" in text
    assert "0.weight (3, 5) in the file, (3, 2) in the model" in text
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_histories_and_numpy_values_survive_as_plain_data(tmp_path):
    history = HistoryBuffer([1.0, 2.5], [1, 2], max_length=7)
    tree = {"log": {"loss": history}, "best": np.float64(3.5), "list": [np.int64(2)]}
    torch.save(to_plain(tree), tmp_path / "t.pth")
    loaded = from_plain(torch.load(tmp_path / "t.pth", weights_only=True))
    assert loaded["best"] == 3.5
    assert loaded["list"] == [2]
    restored = loaded["log"]["loss"]
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.5]
    assert restored.data[1].tolist() == [1, 2]
    assert restored.max_length == 7


def test_what_a_checkpoint_says_of_its_training():
    meta = {"seed": 3, "experiment_name": "cam_1", "epoch": 4, "iter": 9}
    assert training_of(meta) == {"seed": 3, "run": "cam_1", "epoch": 4}
    assert training_of({"seed": None, "experiment_name": 5, "epoch": True}) == {}
    assert training_of({}) == {}
