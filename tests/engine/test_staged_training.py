"""Trainings in stages end with the same weights however often they are stopped and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from wsoltool.engine import staged_training
from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.hooks import EpochSeedHook
from wsoltool.engine.runner import QuietRunner
from wsoltool.engine.train_stage import Train
from wsoltool.engine.training import train
from wsoltool.errors import CheckpointError, ConfigError

SMALL = {
    "train_dataloader__dataset__length": 8,
    "train_dataloader__batch_size": 4,
    "train_cfg__val_interval": 0,
    "model__inserts": [{"at": "stage3", "module": {"type": "DropBlock", "block_size": 1}}],
}
STAGES = [
    {"type": "Train", "name": "first"},
    {
        "type": "Train",
        "name": "second",
        "config": {"load_from": "stage:first/last.pth", "randomness.seed": 3},
    },
]


class Killed(Exception):
    """Stands for a process that ends."""


@pytest.fixture
def small_config(tiny_config):
    return lambda **options: tiny_config(**{**SMALL, "stages": STAGES, **options})


@pytest.fixture(scope="module")
def whole(request, tmp_path_factory):
    """Weights of an uninterrupted run."""
    from wsoltool.config import load_config

    from_tests = request.getfixturevalue("tiny_options")[1:]
    from wsoltool.commands.options import parse_options

    config = load_config("cam/cam_small_creatures.py", parse_options(from_tests))
    config.merge_from_dict({k.replace("__", "."): v for k, v in SMALL.items()})
    config.stages = STAGES
    folder = tmp_path_factory.mktemp("whole")
    train(config, folder)
    return folder


def weights(path):
    return read_checkpoint(path)["state_dict"]


def same(first, second):
    first, second = weights(first), weights(second)
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


def kill_in(monkeypatch, stage, epoch):
    """Let a stage end without a word when its epoch begins."""
    run, before = Train.run, EpochSeedHook.before_train_epoch
    running = []

    def note(self, work):
        running.append(self.name)
        run(self, work)

    def kill(self, runner):
        if running[-1] == stage and runner.epoch == epoch:
            raise Killed
        before(self, runner)

    monkeypatch.setattr(Train, "run", note)
    monkeypatch.setattr(EpochSeedHook, "before_train_epoch", kill)


def test_the_last_stage_goes_on_from_the_first(whole, small_config, tmp_path):
    assert same(whole / "last.pth", whole / "second" / "last.pth")
    assert not same(whole / "first" / "last.pth", whole / "last.pth")
    assert read_checkpoint(whole / "last.pth")["meta"]["classes"]


@pytest.mark.parametrize(("stage", "epoch"), [("first", 0), ("first", 1), ("second", 1)])
def test_a_run_killed_within_a_stage_ends_with_the_same_weights(
    whole, small_config, tmp_path, monkeypatch, capsys, stage, epoch
):
    with monkeypatch.context() as patched:
        kill_in(patched, stage, epoch)
        with pytest.raises(Killed):
            train(small_config(), tmp_path)
    assert json.loads((tmp_path / stage / "stage.json").read_text())["state"] == "running"
    capsys.readouterr()
    train(small_config(), tmp_path)
    assert f"{stage} (goes on)" in capsys.readouterr().out
    assert same(tmp_path / "first" / "last.pth", whole / "first" / "last.pth")
    assert same(tmp_path / "last.pth", whole / "last.pth")
    # No epoch was trained twice.
    logs = [log.read_text() for log in (tmp_path / stage).glob("*/vis_data/scalars.json")]
    assert sorted(json.loads(line)["epoch"] for line in "".join(logs).splitlines()) == [1, 2]


def kill_while_saving(monkeypatch, keeps):
    """Let the second epoch's save end without a word; ``keeps`` whether its file is whole."""
    save = QuietRunner.save_checkpoint

    def kill(self, out_dir, filename, *arguments, **options):
        if filename != "epoch_2.pth" or keeps:
            save(self, out_dir, filename, *arguments, **options)
        if filename == "epoch_2.pth":
            (Path(out_dir) / "last_checkpoint").write_text("" if keeps else "epoch_1.pth")
            raise Killed

    monkeypatch.setattr(QuietRunner, "save_checkpoint", kill)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_stage_killed_while_it_saved_never_begins_anew_by_itself(
    whole, small_config, tmp_path, monkeypatch, keeps
):
    """The epoch before is removed by then; the newest file is found without its pointer."""
    config = small_config(checkpoint={"max_keep_ckpts": 1})
    with monkeypatch.context() as patched:
        kill_while_saving(patched, keeps)
        with pytest.raises(Killed):
            train(config, tmp_path)
    left = [path.name for path in (tmp_path / "first").glob("*.pth")]
    assert left == (["epoch_2.pth"] if keeps else [])
    if keeps:
        train(config, tmp_path)
        assert same(tmp_path / "last.pth", whole / "last.pth")
        logs = [log.read_text() for log in (tmp_path / "first").glob("*/vis_data/scalars.json")]
        assert sorted(json.loads(line)["epoch"] for line in "".join(logs).splitlines()) == [1, 2]
        return
    with pytest.raises(CheckpointError, match="no checkpoint is left") as caught:
        train(config, tmp_path)
    assert caught.value.hint == "--redo first begins it anew"


@pytest.mark.parametrize("moment", ["_finish", "_begin", "_publish"])
def test_a_run_killed_between_stages_ends_with_the_same_weights(
    whole, small_config, tmp_path, monkeypatch, moment
):
    original, calls = getattr(staged_training, moment), []

    def kill(*arguments):
        calls.append(arguments)
        if len(calls) == (2 if moment == "_begin" else 1):
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(staged_training, moment, kill)
        with pytest.raises(Killed):
            train(small_config(), tmp_path)
    assert not (tmp_path / "last.pth").exists()
    train(small_config(), tmp_path)
    assert same(tmp_path / "last.pth", whole / "last.pth")


def test_a_second_stage_trains_as_it_would_alone(small_config, tmp_path):
    """Nothing of a stage stays in the process: generators, deterministic kernels, loggers."""
    deterministic = {"randomness.deterministic": True, "model.backbone.channels": (4, 6, 8)}
    stages = [
        {"type": "Train", "name": "other", "config": deterministic},
        {"type": "Train", "name": "alone", "config": {"randomness.seed": 5}},
    ]
    train(small_config(stages=stages), tmp_path / "staged")
    assert not torch.are_deterministic_algorithms_enabled()
    train(small_config(stages=None, randomness__seed=5), tmp_path / "ordinary")
    assert same(tmp_path / "staged" / "last.pth", tmp_path / "ordinary" / "last.pth")
    for stage in ("other", "alone"):
        (log,) = (tmp_path / "staged" / stage).glob("*/*.log")
        assert "Epoch(train) [2]" in log.read_text()
        assert (
            str(tmp_path / "staged" / {"other": "alone", "alone": "other"}[stage])
            not in log.read_text()
        )


def test_test_options_change_without_training_anew(whole, small_config, capsys):
    capsys.readouterr()
    train(small_config(model__fusion={"type": "Flip"}, model__boxes__threshold=0.4), whole)
    assert capsys.readouterr().out.count("finished before") == 2


def test_precision_counts_among_the_settings(whole, small_config):
    with pytest.raises(ConfigError, match="other settings: amp: False -> True"):
        train(small_config(stages=STAGES[:1]), whole, amp=True)


def test_the_dumped_config_goes_on(whole, capsys):
    from wsoltool.config import load_config

    capsys.readouterr()
    train(load_config(whole / "cam_small_creatures.py"), whole)
    assert capsys.readouterr().out.count("finished before") == 2


def test_the_manuals_soup_is_the_mean_of_its_parts(small_config, soups, tmp_path):
    config = small_config(stages={"type": "soups.Soup", "seeds": (1, 2)}, train_cfg__max_epochs=1)
    train(config, tmp_path)
    parts = [weights(tmp_path / f"seed_{seed}" / "last.pth") for seed in (1, 2)]
    mean = weights(tmp_path / "last.pth")
    assert not all(parts[0][key].equal(parts[1][key]) for key in mean)
    for key, value in mean.items():
        expected = (parts[0][key].double() + parts[1][key].double()) / 2
        torch.testing.assert_close(value, expected.to(value.dtype))


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with(whole, tiny_options, tmp_path):
    """SIGKILL as soon as the first epoch of a stage is saved, once in each stage."""
    options = [f"{key.replace('__', '.')}={value}" for key, value in SMALL.items()]
    options += [f"stages={STAGES}", "train_dataloader.dataset.in_memory=False"]
    command = [sys.executable, "-m", "wsoltool", "train", "cam/cam_small_creatures.py"]
    command += ["--work-dir", str(tmp_path), *tiny_options, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    for stage in ("first", "second"):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while not (tmp_path / stage / "epoch_1.pth").exists() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert json.loads((tmp_path / stage / "stage.json").read_text())["state"] == "running"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "stage 1 of 2: first (finished before)\nstage 2 of 2: second (goes on)" in done.stdout
    assert same(tmp_path / "last.pth", whole / "last.pth")


def test_the_manual_shows_this_very_plugin(repository, readme):
    section = readme.partition("### A stage of your own\n")[2].partition("\n### ")[0]
    source = (repository / "tests/engine/example/soups.py").read_text()
    assert f"```python\n{source}```" in section
