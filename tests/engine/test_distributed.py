"""Two processes do what one does: the same step, one network on all ranks, the same figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wsoltool.engine.distributed import join_group, wrapper_settings
from wsoltool.errors import ConfigError

TABLE = {
    "Top-1 Cls",
    "GT-known Loc",
    "MaxBoxAccV2",
    "PxAP",
    "PIoU",
    "mIoU",
    "mLEV",
    "mLEV (box)",
}
FURTHER = {
    "mAP@0.5",
    "mAP@0.1",
    "CorLoc",
    "CorLoc (image mean)",
    "segmentation/mIoU (label)",
    "segmentation/mIoU (label, with background)",
    "segmentation/mLEV (label)",
    "segmentation/mLEV (label, box)",
}
WORKER = Path(__file__).with_name("two_processes.py")


def run(task, folder, processes, cwd=None):
    """Run the worker alone, or in several processes by torchrun."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *(launch if processes > 1 else []), str(WORKER), task, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    outcome = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr[-4000:]


def equal(first, second):
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


def figures(folder, name):
    """What one process and two have told."""
    files = (folder / f"{name}-on-{count}.json" for count in (1, 2))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["step", "inserts"])
def test_two_processes_take_the_steps_of_one_on_the_whole_batch(tmp_path, task):
    run(task, tmp_path, 1)
    run(task, tmp_path, 2)
    alone = torch.load(tmp_path / f"{task}-0-of-1.pth")
    first, second = (torch.load(tmp_path / f"{task}-{rank}-of-2.pth") for rank in (0, 1))
    assert equal(first, second)
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6)
    if task == "inserts":
        factor = alone["inserts.stage1.factor"]
        assert not factor.equal(torch.ones_like(factor)), "an insert at a frozen step did not train"


@pytest.mark.slow
def test_a_schedule_watches_the_loss_of_all_processes(tmp_path):
    run("schedule", tmp_path, 1)
    run("schedule", tmp_path, 2)
    files = ("schedule-0-of-1", "schedule-0-of-2", "schedule-1-of-2")
    alone, first, second = (json.loads((tmp_path / f"{f}.json").read_text()) for f in files)
    assert first == second
    # Means 4, 20/6, 5 and 1.5: the third lowers the rate.
    assert [rate for rate, _, _ in alone] == [1.0, 1.0, 0.1, 0.1]
    assert [best for _, best, _ in first] == pytest.approx([4, 20 / 6, 20 / 6, 1.5])
    for ours, theirs in zip(alone, first, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.slow
def test_what_was_hidden_is_told_of_the_images_of_all_processes(tmp_path):
    run("erasing", tmp_path, 1)
    run("erasing", tmp_path, 2)
    for file in ("erasing-0-of-1", "erasing-0-of-2", "erasing-1-of-2"):
        # Four of six images passed, an eighth of the others hidden; the ranks saw 3 and 1 pass.
        assert json.loads((tmp_path / f"{file}.json").read_text()) == [
            "epoch 1, SelectionStrategy at late: passed 66.7 % of the images;"
            " 4.2 % of the area hidden"
        ]


@pytest.mark.slow
def test_a_learning_curve_is_of_the_images_of_all_processes(tmp_path):
    run("curve", tmp_path, 1)
    run("curve", tmp_path, 2)
    for count in (1, 2):
        folder = tmp_path / f"curve-on-{count}"
        assert {path.name for path in folder.iterdir()} == {
            "learning_curve.csv",
            "learning_curve.png",
        }
        rows = (folder / "learning_curve.csv").read_text().splitlines()
        assert rows == ["epoch,name,value", "1,train/loss,3.5", "1,train/loss_rare,1.0"]


@pytest.mark.slow
def test_training_ends_with_one_network_and_scores_as_one_process(tmp_path):
    trained, current = tmp_path / "trained", tmp_path / "cwd"
    trained.mkdir()
    current.mkdir()
    run("train", trained, 2, cwd=current)
    told = [json.loads((trained / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    # 24 images in batches of 4 on 2 ranks.
    assert told == [{"wrapper": "MMDistributedDataParallel", "steps": 3}] * 2
    first, second = (torch.load(trained / f"rank-{rank}.pth") for rank in (0, 1))
    assert equal(first, second), "ranks differ: gradients or running statistics are not shared"
    (checkpoint,) = trained.glob("epoch_*.pth")
    content = torch.load(checkpoint)
    assert equal(content["state_dict"], first)

    torch.save({key: content[key] for key in ("meta", "state_dict")}, trained / "model.pth")
    config = (trained / "cam_small_creatures.py").read_text()
    run("test", trained, 1, cwd=current)
    run("test", trained, 2, cwd=current)
    for size in (10, 11, 1):
        alone, shared = figures(trained, f"single-{size}-by-1")
        assert len(alone["images"]) == len(set(alone["images"])) == size
        assert shared == alone, "figures of two processes differ from those of one"
        assert {row["metric"] for row in alone["table"]["rows"]} >= TABLE
        assert alone["further"].keys() >= FURTHER
        alone, shared = figures(trained, f"several-{size}-by-1")
        assert shared == alone, "figures of two processes differ from those of one"
        assert {row["images"] for row in alone["rows"]} == {size}
        assert alone["further"].keys() >= {"mAP@0.5", "CorLoc", "segmentation/mIoU (predicted)"}
    for kind in ("single", "several"):  # other batches: the last bits of maps may differ
        alone, shared = figures(trained, f"{kind}-11-by-2")
        assert alone.get("images") == shared.get("images")
        assert shared["further"] == pytest.approx(alone["further"], rel=1e-6)
        rows = [told["rows"] + told.get("table", {}).get("rows", []) for told in (alone, shared)]
        for row, other in zip(*rows, strict=True):
            assert row["metric"] == other["metric"]
            assert row["value"] == pytest.approx(other["value"], rel=1e-6)
    assert (trained / "cam_small_creatures.py").read_text() == config, "a test changed the config"
    assert not list(current.iterdir()), "something was left in the current folder"


def test_without_a_launcher_nothing_is_joined():
    join_group("none")
    assert not torch.distributed.is_initialized()


def test_unknown_launchers_are_refused():
    with pytest.raises(ConfigError, match="unknown launcher 'slurm'"):
        join_group("slurm")


def test_the_launcher_needs_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="outside of torchrun") as caught:
        join_group("pytorch")
    assert "torchrun" in caught.value.hint


def test_models_on_cpus_are_wrapped_without_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert wrapper_settings()["device_ids"] is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "device_ids" not in wrapper_settings()
