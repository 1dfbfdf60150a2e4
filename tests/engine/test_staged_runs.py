"""Which stages run, are skipped, go on or are refused; with stages that cost nothing."""

import json
import shutil
from pathlib import Path

import pytest

from wsoltool.engine.training import train
from wsoltool.errors import (
    CheckpointError,
    ConfigError,
    ConfigProblems,
    WorkDirError,
    WsolError,
)
from wsoltool.plugin.manager import catalogue

CHAIN = [
    {"type": "notes.Note", "name": "first", "text": "a"},
    {"type": "notes.Note", "name": "beside", "text": "-"},
    {"type": "notes.Note", "name": "last", "text": "b", "needs": ["first"]},
]


@pytest.fixture
def run(tiny_config, tmp_path, notes, capsys):
    """Train with stages in a folder; what ran, and whether it resumed."""

    def run(stages=CHAIN, length=24, folder="run", **arguments):
        notes.ran.clear()
        capsys.readouterr()
        if isinstance(stages, list):
            stages = {"type": "notes.Listed", "stages": stages}
        config = tiny_config(stages=stages, train_dataloader__dataset__length=length)
        train(config, tmp_path / folder, **arguments)
        run.said = capsys.readouterr().out.splitlines()
        return list(notes.ran)

    return run


def changed(index, **values):
    return [{**entry, **(values if i == index else {})} for i, entry in enumerate(CHAIN)]


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_stages_run_in_turn_and_the_last_one_is_published(run, tmp_path):
    assert run() == [("first", False), ("beside", False), ("last", False)]
    assert run.said == [
        "stage 1 of 3: first (begins)",
        "stage 2 of 3: beside (begins)",
        "stage 3 of 3: last (begins)",
    ]
    assert (tmp_path / "run" / "last.pth").read_text() == "ab"
    assert (tmp_path / "run" / "cam_small_creatures.py").is_file()
    record = json.loads((tmp_path / "run" / "last" / "stage.json").read_text())
    assert record["state"] == "finished"
    assert record["settings"] == {"stage": "notes.Note", "text": "b", "length": 24}
    assert list(record["needs"]) == ["first"]
    assert record["artefacts"]["last.pth"]["size"] == 2


def test_finished_stages_are_skipped(run, tmp_path):
    run()
    (tmp_path / "run" / "last.pth").unlink()
    assert run() == []
    assert run.said[0] == "stage 1 of 3: first (finished before)"
    assert (tmp_path / "run" / "last.pth").read_text() == "ab"


def test_a_folder_that_was_moved_goes_on(run, tmp_path):
    run()
    (tmp_path / "run").rename(tmp_path / "moved")
    assert run(folder="moved", resume=True) == []


def test_a_stopped_stage_goes_on(run, notes, tmp_path):
    notes.stopped.add("beside")
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "run" / "last.pth").exists()
    notes.stopped.clear()
    assert run(resume=True) == [("beside", True), ("last", False)]
    assert run.said[:2] == [
        "stage 1 of 3: first (finished before)",
        "stage 2 of 3: beside (goes on)",
    ]
    assert (tmp_path / "run" / "last.pth").read_text() == "ab"


def test_resume_needs_something_to_resume(run):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(resume=True)
    run()
    assert run(resume=True) == []


def test_a_plan_makes_its_stages(run, tmp_path):
    assert run({"type": "notes.Chain", "count": 2}) == [("n0", False), ("n1", False)]
    assert (tmp_path / "run" / "last.pth").read_text() == "n0n1"
    # A longer one goes on: the first two are as they were.
    assert run({"type": "notes.Chain", "count": 3}) == [("n2", False)]


@pytest.mark.parametrize(
    ("stages", "length", "told", "redone"),
    [
        (
            changed(0, text="c"),
            24,
            "stage 'first' was run with other settings: text: 'a' -> 'c'",
            "first, last",
        ),
        (
            changed(2, text="c"),
            24,
            "stage 'last' was run with other settings: text: 'b' -> 'c'",
            "last",
        ),
        (changed(2, needs=["first", "beside"]), 24, "needed other stages", "last"),
        (changed(1, type="notes.Lost"), 24, "stage: 'notes.Note' -> 'notes.Lost'", "beside"),
    ],
)
def test_a_changed_stage_is_refused_before_anything_runs(
    run, notes, tmp_path, stages, length, told, redone
):
    run()
    before = files(tmp_path)
    with pytest.raises(WsolError) as caught:
        run(stages, length)
    assert told in str(caught.value)
    assert f"begins anew: {redone}; another --work-dir" in str(caught.value)
    assert notes.ran == []
    assert files(tmp_path) == before


def test_stages_of_one_name_are_told_apart_by_their_plugins(run, tmp_path, notes, monkeypatch):
    """A plan may make stages of a class that no configs can name."""
    note = notes.wsoltool_stages()[0]
    own = type("Note", (note,), {"__module__": "elsewhere"})
    with monkeypatch.context() as patched:
        patched.setattr(notes.wsoltool_stage_plans()[0], "stages", lambda *_: [own("only")])
        run({"type": "notes.Chain"})
    record = json.loads((tmp_path / "run" / "only" / "stage.json").read_text())
    assert record["settings"]["stage"] == "elsewhere.Note"
    with pytest.raises(ConfigError, match=r"stage: 'elsewhere\.Note' -> 'notes\.Note'"):
        run([{"type": "notes.Note", "name": "only"}])
    names = ("Train", "class_grouping.TrainLevel")
    for name in names:
        assert catalogue().name_of("stage", catalogue().resolve(["stage"], name, "x")) == name


def test_all_that_changed_is_told_at_once(run, notes):
    run()
    with pytest.raises(ConfigProblems) as caught:
        run(changed(0, text="c"), length=8)
    text = str(caught.value)
    assert text.count("length: 24 -> 8") == 3
    assert "length: 24 -> 8; text: 'a' -> 'c'" in text
    assert text.count("--redo first beside last begins anew: first, beside, last;") == 3


def test_a_stopped_stage_does_not_go_on_with_other_settings(run, notes):
    notes.stopped.add("last")
    with pytest.raises(KeyboardInterrupt):
        run()
    notes.stopped.clear()
    with pytest.raises(ConfigError, match="text: 'b' -> 'c'"):
        run(changed(2, text="c"))
    with pytest.raises(ConfigError, match="text: 'a' -> 'c'"):
        run(changed(0, text="c"))


def test_a_changed_artefact_is_refused(run, notes, tmp_path):
    run()
    artefact = tmp_path / "run" / "first" / "last.pth"
    artefact.write_text("x")
    with pytest.raises(CheckpointError, match="changed since stage 'first'") as caught:
        run()
    assert caught.value.at == str(artefact)
    assert "--redo first begins anew: first, last;" in caught.value.hint
    artefact.unlink()
    with pytest.raises(CheckpointError, match=r"stage 'first' has left no last\.pth"):
        run()
    assert notes.ran == []


def test_a_stage_that_was_redone_in_between_is_noticed(run, notes, tmp_path):
    run()
    # Somebody runs the first stage alone, in its place, with a result of its own.
    for file in ("stage.json", "last.pth"):
        (tmp_path / "run" / "first" / file).unlink()
    with pytest.raises(CheckpointError, match="run after 'first', which is not finished now"):
        run()
    run(CHAIN[:1], folder="other")
    other = tmp_path / "other" / "first"
    record = json.loads((other / "stage.json").read_text())
    record["artefacts"]["more.txt"] = {"size": 1, "sha256": "0"}
    (tmp_path / "run" / "first" / "last.pth").write_text("a")
    del record["artefacts"]["more.txt"]
    record["settings"]["text"] = "z"
    (tmp_path / "run" / "first" / "stage.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="'first' was redone after 'last' was run"):
        run(changed(0, text="z"))


def test_a_damaged_record_is_refused_and_can_be_redone(run, tmp_path):
    run()
    (tmp_path / "run" / "first" / "stage.json").write_text("{")
    with pytest.raises(WsolError, match="cannot be read") as caught:
        run()
    assert "--redo first" in str(caught.value)
    assert run(redo=["first"]) == [("first", False), ("last", False)]


def test_redo_discards_what_needs_it_and_nothing_else(run, tmp_path):
    run()
    (tmp_path / "run" / "last" / "old.txt").write_text("")
    (tmp_path / "run" / "beside" / "old.txt").write_text("")
    assert run(changed(0, text="c"), redo=["first"]) == [("first", False), ("last", False)]
    assert not (tmp_path / "run" / "last" / "old.txt").exists()
    assert (tmp_path / "run" / "beside" / "old.txt").exists()
    assert (tmp_path / "run" / "last.pth").read_text() == "cb"


def test_redo_leaves_no_old_result_where_it_is_stopped(run, notes, tmp_path):
    run()
    notes.stopped.add("first")
    with pytest.raises(KeyboardInterrupt):
        run(redo=["first"])
    assert not (tmp_path / "run" / "last.pth").exists()
    notes.stopped.clear()
    assert run() == [("first", True), ("last", False)]


@pytest.mark.parametrize("moves", range(8))
def test_redo_can_be_killed_at_any_moment(run, tmp_path, monkeypatch, moves):
    """Whatever was removed or renamed by then: the folder is no other run's, nothing is refused."""
    run()
    done = []

    def counted(original):
        def act(path, *arguments, **options):
            if tmp_path / "run" in Path(path).parents:
                if len(done) == moves:
                    raise KeyboardInterrupt
                done.append(path)
            return original(path, *arguments, **options)

        return act

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "unlink"), (Path, "replace"), (shutil, "rmtree")):
            patched.setattr(owner, name, counted(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            run(redo=["first"])
    assert run() in ([], [("last", False)], [("first", False), ("last", False)])
    assert (tmp_path / "run" / "last.pth").read_text() == "ab"
    assert run(changed(0, text="c"), redo=["first"]) == [("first", False), ("last", False)]
    assert not list((tmp_path / "run").glob(".*"))


def test_redo_of_what_was_never_run_just_runs(run):
    assert run(redo=["last"]) == [("first", False), ("beside", False), ("last", False)]


def test_redo_does_not_run_where_another_stage_is_refused(run, tmp_path):
    run()
    before = files(tmp_path)
    with pytest.raises(ConfigError, match="stage 'first' was run with other settings"):
        run(changed(0, text="c"), redo=["beside"])
    assert files(tmp_path) == before


def test_redo_of_an_unknown_stage_names_the_near_one(run, tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="no stage 'frist' to redo") as caught:
        run(redo=["frist"])
    assert "did you mean 'first'?" in str(caught.value)
    with pytest.raises(ConfigError, match="no stages to redo"):
        train(tiny_config(), tmp_path, redo=["first"])


def test_files_of_something_else_are_kept(run, notes, tmp_path):
    folder = tmp_path / "run" / "last"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    for redo in ([], ["last"], ["first"]):
        with pytest.raises(WorkDirError, match="something else"):
            run(redo=redo)
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert notes.ran == []


@pytest.mark.parametrize("name", ["last.pth", "epoch_1.pth", "last_checkpoint"])
def test_the_folder_of_an_ordinary_run_is_kept(run, notes, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("x")
    with pytest.raises(WorkDirError, match="another run's"):
        run()
    assert (tmp_path / "run" / name).read_text() == "x"
    assert notes.ran == []


def test_an_ordinary_run_keeps_out_of_a_folder_of_stages(run, tiny_config, tmp_path):
    run()
    with pytest.raises(WorkDirError, match="training in stages"):
        train(tiny_config(), tmp_path / "run")


def test_a_stage_must_leave_what_it_says(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"'beside' has ended without leaving tree\.txt"):
        run(changed(1, type="notes.Lost"))
    assert (
        json.loads((tmp_path / "run" / "beside" / "stage.json").read_text())["state"] == "running"
    )


def test_a_full_disk_keeps_what_was_published(run, tmp_path, monkeypatch):
    run()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfileobj", full)
        with pytest.raises(WorkDirError, match="No space left"):
            run()
    assert (tmp_path / "run" / "last.pth").read_text() == "ab"
    assert not [path for path in (tmp_path / "run").iterdir() if "part" in path.name]


def test_generators_are_seeded_before_each_stage(run, notes, monkeypatch):
    import torch

    drawn = []
    note = notes.wsoltool_stages()[0]
    write = note.run
    monkeypatch.setattr(note, "run", lambda *a: (drawn.append(torch.rand(1).item()), write(*a)))
    run()
    run(redo=["last"])
    assert len(drawn) == 4
    assert len(set(drawn)) == 1
