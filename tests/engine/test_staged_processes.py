"""Two processes go through the stages together: who runs what, and nobody waits for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.distributed import on_main_process

WORKER = Path(__file__).with_name("staged_processes.py")


def run(task, folder):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    outcome = subprocess.run(
        [sys.executable, *launch, str(WORKER), task, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert outcome.returncode == 0, outcome.stderr[-4000:]
    return [json.loads((folder / f"{task}-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_go_through_the_stages_together(tmp_path):
    main, other = run("soup", tmp_path)
    assert main["whole"] == [["start", False], ["seed_1", False], ["soup", False]]
    assert other["whole"] == main["whole"][:2], "every process ran what the main one does alone"
    assert main["cut"] == [*main["whole"][:2], ["seed_1", True], ["soup", False]]
    assert other["cut"] == main["cut"][:3]
    assert main["again"] == other["again"] == []
    assert main["refused"] == other["refused"]
    assert "train_cfg.max_epochs: 2 -> 3" in main["refused"]
    whole, cut = (read_checkpoint(tmp_path / name / "last.pth") for name in ("whole", "cut"))
    for key, value in whole["state_dict"].items():
        assert value.equal(cut["state_dict"][key])


@pytest.mark.slow
def test_a_failure_of_the_main_process_reaches_the_others(tmp_path):
    main, other = run("failure", tmp_path)
    assert main["answer"] == other["answer"] == {"rank": 0}
    assert main["expected"] == other["expected"] == "WsolError: no\n  hint: do"
    assert main["other"] == "ValueError: a bug"
    assert other["other"] == "WsolError: the main process failed: ValueError: a bug"


def test_a_single_process_is_the_main_one():
    assert on_main_process(lambda: 3) == 3
    with pytest.raises(ValueError, match="a bug"):
        on_main_process(lambda: int("a bug"))
