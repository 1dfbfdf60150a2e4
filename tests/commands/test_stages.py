"""Stages on the command line: train, go on, redo, check, test, and what an interruption says."""

import json

import pytest

from wsoltool.engine.hooks import EpochSeedHook

#: Both stages train a network that is narrower than the top level's.
CONFIG = """
_base_ = {base!r}
_narrow = {{"model.backbone.channels": (4, 6, 8)}}
train_dataloader = dict(dataset=dict(length=8))
train_cfg = dict(val_interval=0, max_epochs=1)
stages = [
    dict(type="Train", name="first", config=_narrow),
    dict(type="Train", name="second", config=dict(load_from="stage:first/last.pth", **_narrow)),
]
"""


@pytest.fixture
def config(tmp_path, repository):
    base = repository / "configs" / "cam" / "cam_small_creatures.py"
    path = tmp_path / "staged.py"
    path.write_text(CONFIG.format(base=str(base)))
    return path


@pytest.fixture
def options(tiny_options):
    """Tiny, but for what the config says itself."""
    said = ("dataset.length=24", "max_epochs", "val_interval")
    return [option for option in tiny_options if not any(name in option for name in said)]


def test_check_lists_the_stages(wsoltool, config, options):
    shown = wsoltool("check", config, *options).out
    assert "staged.py: no problems, 0.0" in shown
    assert "stages:\n  1  first   Train\n  2  second  Train, needs first\n" in shown


def test_check_finds_mistakes_in_stages(refused, config, options):
    wrong = config.read_text().replace("model.backbone.channels", "model.backbone.chanels", 1)
    config.write_text(wrong)
    told = refused("check", config, *options)
    assert "at: stages[0].config.model.backbone.chanels" in told
    assert "did you mean 'channels'?" in told


def test_train_goes_on_and_test_takes_the_last_stages_model(wsoltool, config, options, tmp_path):
    run = ["--work-dir", tmp_path / "run", *options]
    first = wsoltool("train", config, *run)
    assert first.code == 0, first
    assert "stage 2 of 2: second (begins)" in first.out
    assert f"checkpoint: {tmp_path / 'run' / 'last.pth'}" in first.out
    assert wsoltool("train", config, *run).out.count("finished before") == 2
    last = tmp_path / "run" / "last.pth"
    # The top level's network is wider: its weights would not fit.
    scored = wsoltool("test", config, last, "--json", tmp_path / "f.json", *options)
    assert scored.code == 0, scored
    assert json.loads((tmp_path / "f.json").read_text())["config"] == str(config)
    photos = tmp_path / "contact_sheet_test.png"
    assert wsoltool("data", config, "--out", tmp_path, *options).code == 0
    found = wsoltool("localize", config, last, photos, "--out", tmp_path / "out", *options)
    assert found.code == 0, found
    costs = wsoltool("complexity", config, *options)
    assert costs.code == 0, costs
    assert "8 x" in costs.out


def test_changes_are_refused_until_a_stage_is_redone(wsoltool, refused, config, options, tmp_path):
    run = ["--work-dir", tmp_path / "run", *options]
    assert wsoltool("train", config, *run).code == 0
    changed = [*run, "randomness.seed=4"]
    told = refused("train", config, *changed)
    assert "stage 'first' was run with other settings: randomness.seed: 0 -> 4" in told
    assert "hint: --redo first second begins anew: first, second;" in told
    assert "did you mean 'second'?" in refused("train", config, "--redo", "secnd", *run)
    done = wsoltool("train", config, "--redo", "first", *changed)
    assert done.code == 0, done
    assert done.out.count("(begins)") == 2


def test_redo_and_resume_without_anything_to_do(refused, config, options, tmp_path):
    assert "nothing to resume" in refused("train", config, "--resume", *options)
    told = refused("train", "cam/cam_small_creatures.py", "--redo", "first", *options)
    assert "no stages to redo" in told


def test_an_interruption_before_anything_is_discarded_keeps_redo(
    wsoltool, config, options, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wsoltool.engine.staged_training.compare", stop)
    outcome = wsoltool("train", config, "--redo", "first", *options)
    assert outcome.code == 130
    assert outcome.err == "stopped\nthe same command begins anew what --redo names\n"
    outcome = wsoltool("train", config, *options)
    assert outcome.err == "stopped\nthe same command goes on after the last saved epoch\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the same command goes on after the last saved epoch"),
        (["--redo", "first"], "the same command without --redo goes on after"),
    ],
)
def test_an_interruption_says_how_to_go_on(wsoltool, config, options, monkeypatch, arguments, told):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(EpochSeedHook, "before_train_epoch", stop)
    outcome = wsoltool("train", config, *arguments, *options)
    assert outcome.code == 130
    assert outcome.err.startswith(f"stopped\n{told}")
    ordinary = wsoltool("train", config, *options, "stages=None", "work_dir=ordinary")
    assert ordinary.err == "stopped\n--resume goes on after the last saved epoch\n"
