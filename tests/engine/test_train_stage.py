"""The stage that trains: what it overrides, what its weights follow from, what it refuses."""

from pathlib import Path

import pytest

from wsoltool.config import with_overrides
from wsoltool.engine import stage_list
from wsoltool.engine.train_stage import Train, weight_settings
from wsoltool.errors import ConfigError, ConfigProblems, WsolError
from wsoltool.preflight import check

PLATEAU = {"type": "ReduceOnPlateauLR", "monitor": "PxAP"}


def problems(config, purpose="train"):
    with pytest.raises(ConfigProblems) as caught:
        check(config, purpose)
    return {problem.at: problem.what for problem in caught.value.problems}


def test_overrides_are_merged_as_an_inheriting_config_says_them(tiny_config):
    config = tiny_config(stages=[])
    before = config.to_dict()
    stage = Train(
        "a",
        {
            "model.backbone.channels": (4, 6),
            "optim_wrapper": {"optimizer": {"_delete_": True, "type": "SGD", "lr": 0.5}},
            "train_cfg": {"max_epochs": 7},
        },
    )
    trained = stage.training_config(config, {})
    assert trained.model.backbone == {"type": "SmallNet", "channels": (4, 6)}
    assert trained.optim_wrapper.optimizer == {"type": "SGD", "lr": 0.5}
    assert trained.train_cfg == {"max_epochs": 7, "val_interval": 2}
    assert "stages" not in trained
    assert trained.filename == config.filename
    assert config.to_dict() == before
    # Twice, for nothing is taken out of the overrides.
    assert stage.training_config(config, {}).to_dict() == trained.to_dict()


def test_files_of_stages_are_named_and_needed(tiny_config):
    named = {"load_from": "stage:first/last.pth", "custom_hooks": [{"files": ("stage:b/x/y",)}]}
    stage = Train("c", named, needs=["a", "first"])
    assert stage.needs == ("a", "first", "b")
    folders = {"a": Path("/w/a"), "first": Path("/w/first"), "b": Path("/w/b")}
    trained = stage.training_config(tiny_config(), folders)
    assert trained.load_from == "/w/first/last.pth"
    assert trained.custom_hooks[0]["files"] == ("/w/b/x/y",)
    # Settings say the same wherever the work directory lies.
    assert stage.settings(tiny_config())["load_from"] == "stage:first/last.pth"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": [1]}, "config is"),
        ({"config": {"stages": []}}, "cannot choose stages"),
        ({"config": {"work_dir": "x"}}, "cannot choose work_dir"),
        ({"config": {"load_from": "stage:first"}}, "names no file"),
        ({"needs": "first"}, "needs is"),
        ({"needs": [1]}, "needs is"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Train("a", **arguments)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.fusion", {"type": "Flip"}),
        ("model.boxes.threshold", 0.5),
        ("model.map_source", {"type": "gradcam.GradCAM"}),
        ("test_dataloader.batch_size", 7),
        ("train_dataloader.num_workers", 3),
        ("val_dataloader.dataset.length", 3),
        ("train_cfg.val_interval", 1),
        ("evaluation.resamples", 20),
        ("metrics", [{"type": "DetectionMetric"}]),
        ("log_interval", 1),
        ("checkpoint.interval", 2),
        ("work_dir", "elsewhere"),
    ],
)
def test_settings_leave_out_what_no_weight_follows_from(tiny_config, key, value):
    config = tiny_config()
    changed = with_overrides(config, {key: value})
    assert changed.to_dict() != config.to_dict()
    assert weight_settings(changed) == weight_settings(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.backbone.channels", (4, 6)),
        ("model.head.num_classes", 7),
        ("model.frozen", "stage1"),
        ("train_dataloader.batch_size", 4),
        ("train_dataloader.dataset.length", 8),
        ("train_cfg.max_epochs", 3),
        ("optim_wrapper.optimizer.lr", 0.5),
        ("param_scheduler", []),
        ("custom_hooks", [{"type": "mmengine.EMAHook"}]),
        ("randomness.seed", 5),
        ("load_from", "a.pth"),
        ("data_root", "b"),
    ],
)
def test_settings_have_what_weights_follow_from(tiny_config, key, value):
    config = tiny_config()
    assert weight_settings(with_overrides(config, {key: value})) != weight_settings(config)


@pytest.mark.parametrize(
    "watching",
    [
        {"param_scheduler": [PLATEAU]},
        {"custom_hooks": [{"type": "mmengine.EarlyStoppingHook", "monitor": "PxAP"}]},
    ],
)
def test_training_that_watches_validation_follows_from_it(tiny_config, watching):
    config = with_overrides(tiny_config(), watching)
    for key, value in (("model.boxes.threshold", 0.5), ("val_dataloader.dataset.length", 3)):
        assert weight_settings(with_overrides(config, {key: value})) != weight_settings(config)
    quiet = with_overrides(
        tiny_config(), {"param_scheduler": [{**PLATEAU, "monitor": "train/loss"}]}
    )
    changed = with_overrides(quiet, {"model.boxes.threshold": 0.5})
    assert weight_settings(changed) == weight_settings(quiet)


@pytest.mark.parametrize(
    ("overrides", "at", "what"),
    [
        ({"model.head.num_clases": 3}, "stages[1].config.model.head.num_clases", "takes no"),
        ({"model": {"head": {"type": "cam.CAMHaed"}}}, "stages[1].config.model.head.type", "not"),
        ({"optim_wrappr": {}}, "stages[1].config.optim_wrappr", "unknown key"),
        ({"train_cfg": {"max_epochs": 0}}, "stages[1].config.train_cfg.max_epochs", "is 0"),
        ({"train_cfg.max_epochs.x": 1}, "stages[1].config", "do not fit"),
        ({"train_cfg.max_epochs": {"x": 1}}, "stages[1].config", "do not fit"),
        (
            {"optim_wrapper.paramwise_cfg": {"custom_keys": {"nothing": {"lr_mult": 2}}}},
            "stages[1].config.optim_wrapper.paramwise_cfg.custom_keys.nothing",
            "",
        ),
        (
            {"param_scheduler": [{"type": "StepLR", "step_sise": 3}]},
            "stages[1].config.param_scheduler[0].step_sise",
            "takes no",
        ),
    ],
)
def test_mistakes_in_overrides_are_found_where_they_stand(tiny_config, overrides, at, what):
    stages = [
        {"type": "Train", "name": "first"},
        {"type": "Train", "name": "second", "config": overrides},
    ]
    for purpose in ("train", "check"):
        found = problems(tiny_config(stages=stages), purpose)
        assert what in found[at]
        assert all(path.startswith("stages[1]") for path in found)


def test_mistakes_of_the_top_level_are_told_once(tiny_config):
    stages = [{"type": "Train", "name": name} for name in ("first", "second")]
    found = problems(tiny_config(stages=stages, model__fusion__scals=[1]))
    assert list(found) == ["model.fusion.scals"]


def test_mistakes_that_stages_share_are_told_once_with_the_first(tiny_config):
    inserts = [{"at": "stage9", "module": {"type": "BatchNorm"}}]
    stages = [{"type": "Train", "name": name} for name in ("first", "second")]
    found = problems(tiny_config(stages=stages, model__inserts=inserts))
    assert list(found) == ["model.inserts[0].at, for stage 'first'"]


def test_the_same_mistake_in_two_overrides_is_told_of_both(tiny_config):
    wrong = {"type": "Train", "config": {"model.head.num_clases": 3}}
    stages = [{**wrong, "name": name} for name in ("first", "second")]
    found = problems(tiny_config(stages=stages))
    assert list(found) == [f"stages[{i}].config.model.head.num_clases" for i in (0, 1)]


def test_what_a_stage_makes_wrong_elsewhere_names_the_stage(tiny_config):
    inserts = [{"at": "stage3", "module": {"type": "BatchNorm"}}]
    stages = [
        {"type": "Train", "name": "first"},
        {"type": "Train", "name": "second", "config": {"model.backbone.channels": (4, 6)}},
    ]
    found = problems(tiny_config(stages=stages, model__inserts=inserts))
    assert list(found) == ["model.inserts[0].at, for stage 'second'"]


def test_files_that_do_not_exist_yet_are_no_problem(tiny_config):
    later = {
        "load_from": "stage:first/last.pth",
        "model.backbone.pretrained": {"file": "stage:first/last.pth"},
    }
    stages = [
        {"type": "Train", "name": "first"},
        {"type": "Train", "name": "second", "config": later},
    ]
    config = tiny_config(stages=stages)
    for purpose in ("train", "check"):
        check(config, purpose)


@pytest.mark.parametrize(
    ("stages", "at", "what"),
    [
        ([], "stages", "no stages"),
        ("Train", "stages", "no component"),
        ({"type": "Train", "name": "a"}, "stages.type", "not found"),
        ([{"type": "Train"}], "stages[0]", "needs the argument 'name'"),
        ([{"type": "Trian", "name": "a"}], "stages[0].type", "not found"),
        ([{"type": "Train", "name": "a b"}], "stages[0].name", "named 'a b'"),
        ([{"type": "Train", "name": ".."}], "stages[0].name", "named '..'"),
        ([{"type": "Train", "name": n} for n in ("a", "A")], "stages[1].name", "two stages"),
        ([{"type": "Train", "name": "a", "needs": ["a"]}], "stages[0]", "no stage before it"),
        (
            [
                {"type": "Train", "name": "a", "config": {"load_from": "stage:b/last.pth"}},
                {"type": "Train", "name": "b"},
            ],
            "stages[0]",
            "no stage before it",
        ),
        ([{"type": "Train", "name": "a", "config": 3}], "stages[0]", "config is 3"),
    ],
)
def test_wrong_stages_are_refused(tiny_config, stages, at, what):
    assert what in problems(tiny_config(stages=stages))[at]


def test_files_that_no_stage_leaves_are_refused(tiny_config):
    misspelled = {"load_from": "stage:first/lsat.pth"}
    stages = [
        {"type": "Train", "name": "first"},
        {"type": "Train", "name": "second", "config": misspelled},
    ]
    with pytest.raises(ConfigProblems) as caught:
        check(tiny_config(stages=stages), "train")
    (problem,) = caught.value.problems
    assert problem.at == "stages[1].config"
    assert "is to read 'lsat.pth', which stage 'first' does not leave" in problem.what
    assert problem.hint == "did you mean 'last.pth'?"


def test_stages_by_name_are_told_to_be_a_list(tiny_config):
    with pytest.raises(ConfigProblems) as caught:
        check(tiny_config(stages={"a": {"type": "Train", "name": "a"}}))
    (problem,) = caught.value.problems
    assert (problem.at, problem.what) == ("stages", "stages has the keys a")
    assert problem.expected.startswith("a list of dict(type=..., name=...), or one plan")


def test_a_list_ends_with_a_stage_that_trains(tiny_config, notes):
    """Else nothing would say, after days, what model the last checkpoint is of."""
    stages = [{"type": "Train", "name": "a"}, {"type": "notes.Note", "name": "b"}]
    assert "'b', does not train" in problems(tiny_config(stages=stages))["stages"]
    check(tiny_config(stages=stages[::-1]), "train")
    check(tiny_config(stages={"type": "notes.Listed", "stages": stages}), "train")


def test_the_last_stage_must_leave_a_network(tiny_config, notes, monkeypatch):
    note = notes.wsoltool_stages()[0]
    monkeypatch.setattr(note, "artefacts", ("tree.txt",))
    stages = [{"type": "Train", "name": "a"}, {"type": "notes.Note", "name": "b"}]
    assert "'b', leaves no last.pth" in problems(tiny_config(stages=stages))["stages"]


def test_problems_of_a_plans_stages_name_the_stage(tiny_config, notes):
    config = tiny_config(stages={"type": "notes.Chain", "names": ["a", "a"]})
    assert problems(config)["stages.name"] == "two stages are named 'a'"


def test_none_switches_stages_off(tiny_config):
    config = tiny_config(stages=None)
    check(config, "train")
    assert not stage_list.is_staged(config)


def test_the_final_config_is_that_of_the_last_training(tiny_config, notes, tmp_path):
    stages = [
        {"type": "Train", "name": "a"},
        {"type": "notes.Note", "name": "c"},
        {"type": "Train", "name": "b", "config": {"load_from": "stage:a/last.pth"}},
    ]
    config = tiny_config(stages=stages, work_dir="runs")
    assert stage_list.final_config(config).load_from == str(Path("runs/a/last.pth").absolute())
    found = stage_list.final_config(config, tmp_path / "last.pth")
    assert found.load_from == str(tmp_path / "a" / "last.pth")
    # A checkpoint in a stage's own folder lies one deeper.
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "stage.json").write_text("{}")
    found = stage_list.final_config(config, tmp_path / "b" / "last.pth")
    assert found.load_from == str(tmp_path / "a" / "last.pth")
    assert "stages" not in found
    assert stage_list.final_config(found) is found


def test_a_plan_says_what_is_tested(tiny_config, notes, monkeypatch):
    chain = notes.wsoltool_stage_plans()[0]
    config = tiny_config(stages={"type": "notes.Chain"})
    assert stage_list.final_config(config).to_dict() == tiny_config().to_dict()
    overrides = {"model.head.num_classes": 4}
    monkeypatch.setattr(chain, "tested", lambda self, config: with_overrides(config, overrides))
    assert stage_list.final_config(config).model.head.num_classes == 4
    assert config.model.head.num_classes == 10
    # What is tested must be sound before days of training.
    overrides["model.head.type"] = "cam.Nothing"
    assert "not found" in problems(config)["stages, as tested: model.head.type"]
    monkeypatch.setattr(chain, "tested", lambda *_: (_ for _ in ()).throw(ConfigError("no")))
    with pytest.raises(WsolError, match="no"):
        check(config, "train")


def test_what_is_tested_is_checked_by_plugins_and_built(tiny_config, notes, monkeypatch):
    chain = notes.wsoltool_stage_plans()[0]
    config = tiny_config(stages={"type": "notes.Chain"})
    # The core's own check of whole configs knows which figures there are.
    overrides = {"checkpoint": {"save_best": "nothing"}}
    monkeypatch.setattr(chain, "tested", lambda self, config: with_overrides(config, overrides))
    assert list(problems(config)) == ["stages, as tested: checkpoint.save_best"]
    # Only a backbone that is built tells which steps there are.
    overrides.clear()
    overrides["model.inserts"] = [{"at": "stage9", "module": {"type": "BatchNorm"}}]
    assert list(problems(config)) == ["stages, as tested: model.inserts[0].at"]
    overrides.clear()
    check(config, "train")


@pytest.mark.parametrize("method", ["stages", "tested"])
def test_a_plan_that_fails_is_told_of_unless_the_config_is_unsound(
    tiny_config, notes, monkeypatch, method
):
    chain = notes.wsoltool_stage_plans()[0]
    monkeypatch.setattr(chain, method, lambda self, config: config.model["head"]["none"])
    sound = tiny_config(stages={"type": "notes.Chain"})
    ((at, what),) = problems(sound).items()
    assert at.startswith("stages")
    assert "plan 'notes.Chain' fails on the config: KeyError: 'none'" in what
    assert list(problems(tiny_config(stages=sound.stages, model=None))) == ["model"]


def test_a_stage_that_fails_is_told_of_unless_the_config_is_unsound(tiny_config, notes):
    stages = {"type": "notes.Chain", "count": 1}
    told = problems(tiny_config(stages=stages, train_dataloader=None), "check")
    assert list(told) == ["train_dataloader"]
    config = tiny_config(stages=stages)
    config.pop("train_dataloader")
    ((at, what),) = problems(config, "check").items()
    assert at.startswith("stages, stage 'n0'")
    assert "stage 'n0' fails on the config: AttributeError" in what


@pytest.mark.parametrize("value", [None, "x", 3])
@pytest.mark.parametrize("key", ["model", "train_dataloader"])
def test_readers_check_the_shape_before_stages_read_it(tiny_config, notes, key, value):
    train = [{"type": "Train", "name": "a", "config": {"model.head.num_classes": 4}}]
    for stages in ({"type": "notes.Chain"}, train):
        config = tiny_config(stages=stages, **{key: value})
        with pytest.raises(ConfigProblems) as caught:
            stage_list.final_config(config)
        assert [problem.at for problem in caught.value.problems] == [key]
