"""Checkpoints of ensembles: what is put together, what is said of it, what is refused."""

import pytest
import torch

from wsoltool.engine.checkpoints import read_checkpoint, training_of
from wsoltool.engine.ensembles import write_ensemble
from wsoltool.errors import CheckpointError, WorkDirError

ANIMALS = ["cat", "dog", "emu"]
IMAGES = {"images": 9, "ids_sha256": "1", "quarantined": None}


@pytest.fixture
def saved(tmp_path):
    """A function that writes a member's checkpoint and answers its path."""

    def save(name, value=0.0, classes=ANIMALS, **meta):
        path = tmp_path / f"{name}.pth"
        meta = {"data": {"train-weaksup": IMAGES}, "classes": classes, **meta}
        content = {"meta": meta, "state_dict": {"w": torch.full((2,), float(value))}}
        torch.save({**content, "optimizer": {"state": {}}}, path)
        return path

    return save


def test_three_seeds_become_one(saved, tmp_path):
    files = {
        name: saved(name, seed, seed=seed, epoch=7, experiment_name=f"run{seed}")
        for seed, name in enumerate("abc")
    }
    path = write_ensemble(tmp_path / "three.pth", files)
    content = read_checkpoint(path)
    assert content.keys() == {"meta", "state_dict"}
    for seed, name in enumerate("abc"):
        assert content["state_dict"][f"members.{name}.w"].tolist() == [seed, seed]
        assert content["state_dict"][f"members.{name}.classes"].tolist() == [0, 1, 2]
    meta = content["meta"]
    assert meta["classes"] == ANIMALS
    assert meta["data"] == {"train-weaksup": IMAGES}
    assert training_of(meta) == {"run": "run0+run1+run2", "epoch": 7}
    assert meta["members"]["c"]["training"] == {"seed": 2, "run": "run2", "epoch": 7}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pth", "b.pth", "c.pth", "three.pth"]


def test_the_first_member_names_the_classes_and_the_others_say_theirs(saved, tmp_path):
    files = {"fine": saved("fine"), "coarse": saved("coarse", classes=["pet", "bird"])}
    path = write_ensemble(tmp_path / "x.pth", files, {"coarse": [0, 0, 1]})
    content = read_checkpoint(path)
    assert content["state_dict"]["members.coarse.classes"].tolist() == [0, 0, 1]
    assert content["meta"]["classes"] == ANIMALS
    assert content["meta"]["members"]["coarse"]["classes"] == ["pet", "bird"]


def test_what_members_do_not_say_alike_is_said_of_each_alone(saved, tmp_path):
    other = {**IMAGES, "ids_sha256": "2"}
    files = {"a": saved("a", seed=3), "b": saved("b", seed=3, data={"train-weaksup": other})}
    meta = read_checkpoint(write_ensemble(tmp_path / "x.pth", files))["meta"]
    assert meta["data"] == {}
    assert meta["seed"] == 3
    assert meta["members"]["b"]["data"] == {"train-weaksup": other}


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (None, "trained on other classes than the first member"),
        ({"b": [0, 1]}, r"are \[0, 1\]"),
        ({"b": [0, 1, 2]}, r"are \[0, 1, 2\]"),
        ({"c": [0, 0, 0]}, "'c', which is no member"),
    ],
)
def test_classes_that_cannot_be(saved, tmp_path, classes, told):
    files = {"a": saved("a"), "b": saved("b", classes=["pet", "bird"])}
    with pytest.raises(CheckpointError, match=told):
        write_ensemble(tmp_path / "x.pth", files, classes)
    assert not (tmp_path / "x.pth").exists()


def test_files_that_cannot_be(saved, tmp_path):
    whole = write_ensemble(tmp_path / "x.pth", {"a": saved("a")})
    with pytest.raises(CheckpointError, match="'b' is an ensemble itself"):
        write_ensemble(tmp_path / "y.pth", {"a": saved("a"), "b": whole})
    with pytest.raises(CheckpointError, match="not found"):
        write_ensemble(tmp_path / "y.pth", {"a": tmp_path / "none.pth"})
    with pytest.raises(CheckpointError, match="names no classes"):
        write_ensemble(tmp_path / "y.pth", {"a": saved("a", classes=None)})
    with pytest.raises(CheckpointError, match="no checkpoint"):
        write_ensemble(tmp_path / "y.pth", {})
    with pytest.raises(WorkDirError):
        write_ensemble(tmp_path / "no" / "y.pth", {"a": saved("a")})
