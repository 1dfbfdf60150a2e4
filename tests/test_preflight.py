"""Every mistake of a config is found, with its path, and all of them at once."""

import pytest

from wsoltool.config import load_config
from wsoltool.errors import ConfigProblems
from wsoltool.plugin.manager import Catalogue, Origin, discover
from wsoltool.preflight import TOP_LEVEL, check

BASE = "cam/cam_small_creatures.py"


def problems(options=None, purpose="train", change=None):
    config = load_config(BASE, options)
    if change:
        change(config)
    with pytest.raises(ConfigProblems) as caught:
        check(config, purpose)
    return str(caught.value)


def test_photos_without_boxes_have_nothing_to_score():
    with pytest.raises(ConfigProblems, match="ImageFolders has no split test") as caught:
        check(load_config("cam/cam_resnet50_photos.py"), "test")
    assert "test_share=0.1" in str(caught.value)


def test_options_of_readers_are_checked():
    name = "cam/cam_mobilenetv1_tinyimagenet50.py"
    reader = "train_dataloader.dataset.reader"
    options = {f"{reader}.box_convention": "inclusiv", "test_dataloader.dataset.split": "tset"}
    with pytest.raises(ConfigProblems) as caught:
        check(load_config(name, options), "train")
    assert "did you mean 'inclusive'?" in str(caught.value)
    assert f"at: {reader}" in str(caught.value)
    assert "tset" not in str(caught.value)
    with pytest.raises(ConfigProblems, match="no split tset"):
        check(load_config(name, {"test_dataloader.dataset.split": "tset"}), "test")


def test_unknown_top_level_key_has_a_near_name():
    text = problems(change=lambda c: c.update(optim_wrapr={}))
    assert "unknown key 'optim_wrapr'" in text
    assert "did you mean 'optim_wrapper'?" in text


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("model.fusoin", "fusion"),
        ("train_cfg.max_epoch", "max_epochs"),
        ("train_dataloader.batchsize", "batch_size"),
        ("randomness.sed", "seed"),
        ("model.head.num_clases", "num_classes"),
        ("model.boxes.treshold", "threshold"),
        ("train_dataloader.dataset.lenght", "length"),
        ("evaluation.protocol", "protocols"),
        ("optim_wrapper.optimizer.weight_decai", "weight_decay"),
        ("optim_wrapper.paramwise_cfg.norm_decay_mul", "norm_decay_mult"),
        ("optim_wrapper.paramwise_cfg.custom_keys.head.lr_mul", "lr_mult"),
        ("model.frozn", "frozen"),
        ("model.norm_evl", "norm_eval"),
        ("model.compile.mod", "mode"),
    ],
)
def test_unknown_nested_key_has_a_path_and_a_near_name(key, near):
    text = problems(change=lambda config: config.merge_from_dict({key: 1}))
    assert f"at: {key}" in text
    assert f"did you mean '{near}'?" in text


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("model.backbone.type", "SmallNet"),
        ("model.head.type", "cam.CAMHead"),
        ("model.boxes.type", "ThresholdBoxes"),
        ("train_dataloader.dataset.type", "Creatures"),
        ("optim_wrapper.optimizer.type", "SGD"),
        ("param_scheduler.0.type", "CosineAnnealingLR"),
        ("optim_wrapper.constructor", "GroupingConstructor"),
    ],
)
def test_unknown_component_has_a_path_and_a_near_name(key, near):
    text = problems({key: near[:-1] + "x"})
    path = key.replace(".0.", "[0].")
    assert f"at: {path}" in text
    assert f"'{near}'" in text


def test_all_problems_are_reported_at_once():
    text = problems({"model.head.type": "cam.CMAHead", "train_cfg.max_epochs": 0})
    assert "2 problems" in text


@pytest.mark.parametrize("value", [0, -1, 2.5, "ten", True])
def test_counts_must_be_whole_and_positive(value):
    assert "train_cfg.max_epochs" in problems({"train_cfg.max_epochs": value})


@pytest.mark.parametrize("key", ["model", "train_dataloader", "train_cfg", "optim_wrapper"])
def test_missing_parts_are_named(key):
    def remove(config):
        config.pop(key)

    assert f"the config has no {key}" in problems(change=remove)


@pytest.mark.parametrize("key", ["model", "train_dataloader", "train_cfg", "optim_wrapper"])
def test_parts_must_be_dicts(key):
    assert f"{key} is 3" in problems(change=lambda config: config.update({key: 3}))


def test_missing_dataset_and_head_are_named():
    def remove(config):
        config.train_dataloader.pop("dataset")
        config.model.pop("head")

    text = problems(change=remove)
    assert "train_dataloader has no dataset" in text
    assert "model has no head" in text


def test_inserts_are_checked():
    def insert(config):
        config.model["inserts"] = [{"at": "stage1", "modul": {"type": "BatchNorm"}}]

    text = problems(change=insert)
    assert "did you mean 'module'?" in text


def test_components_inside_inserts_are_checked():
    def insert(config):
        config.model["inserts"] = [{"at": "stage1", "module": {"type": "BatchNrom"}}]

    assert "did you mean 'BatchNorm'?" in problems(change=insert)


@pytest.mark.parametrize("group", ["sa", "head", "module_of_mine"])
def test_groups_of_inserts_are_checked(group):
    good = {"at": "stage1", "module": {"type": "BatchNorm"}}
    wrong = {"at": "stage1", "module": {"type": "BatchNrom"}}

    def insert(config):
        config.model["inserts"] = {"bn": good, group: [good, wrong], "extra": None}

    text = problems(change=insert)
    assert "1 problem in" in text
    assert f"at: model.inserts.{group}[1].module.type" in text
    assert "did you mean 'BatchNorm'?" in text


def test_sound_groups_of_inserts_pass():
    config = load_config(BASE)
    good = {"at": "stage1", "module": {"type": "BatchNorm"}}
    config.model["inserts"] = {"head": good, "loss": [good], "extra": None}
    check(config, "train")


def test_the_shape_of_groups_is_checked():
    def insert(config):
        config.model["inserts"] = {"bn": [], "sa": 3}

    text = problems(change=insert)
    assert "at: model.inserts.bn" in text
    assert "at: model.inserts.sa" in text


def test_broken_plugin_is_reported_where_it_is_named():
    assert "no plugin 'cma'" in problems({"model.head.type": "cma.CAMHead"})


def test_save_best_must_be_a_figure_of_the_table():
    text = problems({"checkpoint.save_best": "MaxBoxAcV2"})
    assert "did you mean 'MaxBoxAccV2'?" in text


def test_save_best_may_be_a_figure_of_a_further_metric():
    options = {"checkpoint.save_best": "mAP@0.5", "metrics": [{"type": "DetectionMetric"}]}
    check(load_config(BASE, options), "train")
    text = problems({**options, "checkpoint.save_best": "mAP@0.75"})
    assert "did you mean 'mAP@0.5'?" in text
    without_table = {**options, "evaluation": None}
    check(load_config(BASE, without_table), "train")
    assert "known: mAP@0.5" in problems({**without_table, "checkpoint.save_best": "MaxBoxAccV2"})
    # What a metric of another library answers cannot be known.
    foreign = [{"type": "mmengine.DumpResults", "out_file_path": "x.pkl"}]
    check(load_config(BASE, {"metrics": foreign, "checkpoint.save_best": "loss"}), "train")


def test_values_of_further_metrics_are_checked():
    wrong = [{"type": "DetectionMetric", "ap": "12point"}, {"type": "SegmentationMetric"}]
    text = problems({"metrics": wrong})
    assert "unknown form of average precision '12point'" in text
    assert "at: metrics[0]" in text
    assert "1 problem" in text


def test_the_localization_table_is_switched_off_only_for_something_else():
    assert "evaluation is None, and there are no metrics" in problems({"evaluation": None})
    check(load_config(BASE, {"evaluation": None, "metrics": [{"type": "DetectionMetric"}]}))


def test_plugins_own_checks_are_heard():
    text = problems(
        {"train_dataloader.dataset.image_size": 64},
        change=lambda c: c.model.update(
            batch_augmentations=[{"type": "has.HideAndSeek", "grid_size": 64}]
        ),
    )
    assert "model.batch_augmentations[0].grid_size" in text


def test_the_manual_names_every_key(readme):
    assert [key for key in TOP_LEVEL if f"`{key}`" not in readme] == []


@pytest.fixture
def failing_checker(tmp_path, monkeypatch):
    """A catalogue with a plugin whose own check of the config fails."""
    (tmp_path / "failing_checker.py").write_text(
        """
from wsoltool.plugin import hookimpl

@hookimpl
def wsoltool_fusions():
    from wsoltool.models.fusion import SingleView
    return [type("Mine", (SingleView,), {})]

@hookimpl
def wsoltool_check_config(config):
    return [1 / 0]
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    origin = Origin("failing", "failing_checker", "a test's plugin")
    return Catalogue({**discover(), "failing": [origin]})


def test_a_plugin_that_fails_to_check_is_named(failing_checker):
    config = load_config(BASE, {"model.fusion.type": "failing.Mine"})
    with pytest.raises(ConfigProblems, match="plugin 'failing' fails to check") as caught:
        check(config, "train", failing_checker)
    assert "ZeroDivisionError" in str(caught.value)
    assert "a test's plugin" in str(caught.value)


def test_a_plugin_that_fails_to_check_an_unsound_config_is_asked_again_later(failing_checker):
    config = load_config(BASE, {"model.fusion.type": "failing.Mine", "log_interval": 0})
    with pytest.raises(ConfigProblems, match="1 problem") as caught:
        check(config, "train", failing_checker)
    assert "log_interval is 0" in str(caught.value)


def members(*names, **more):
    head = {"type": "cam.CAMHead", "num_classes": 10}
    model = {"backbone": {"type": "SmallNet"}, "head": head, **more}
    return {"type": "Ensemble", "members": dict.fromkeys(names, model)}


def ensemble_problems(model, purpose="test"):
    return problems(purpose=purpose, change=lambda config: config.update(model=model))


def test_an_ensemble_may_be_tested_and_not_trained():
    config = load_config(BASE)
    # Names of members may be those of components' slots.
    config.model = members("source", "head", "loss")
    check(config, "test")
    with pytest.raises(ConfigProblems, match="an Ensemble is not trained") as caught:
        check(config, "train")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].at == "model.type"


@pytest.mark.parametrize(
    ("more", "at", "told"),
    [
        ({"fusion": {"type": "Flip"}}, "fusion", "nothing reads fusion"),
        ({"batch_augmentations": [{"type": "has.HideAndSeek"}]}, "batch_augmentations", "training"),
        ({"insert": ()}, "insert", "did you mean 'inserts'?"),
        ({"backbone": {"type": "SmalNet"}}, "backbone.type", "did you mean 'SmallNet'?"),
        ({"backbone": {"type": "SmallNet", "chanels": 3}}, "backbone.chanels", "channels"),
        ({"inserts": {"at": {}}}, "inserts.at", "cannot be named 'at'"),
        ({"inserts": {"head": {"at": "last"}}}, "inserts.head", "has no module"),
        ({"preprocessor": {"men": 3}}, "preprocessor.men", "did you mean 'mean'?"),
        ({"head": None}, "head", "has no head"),
        ({"compile": {"mod": 1}}, "compile.mod", "torch.compile takes no"),
        ({"type": "Ensemble"}, "type", "expected: a Localizer"),
        ({"classes": 3}, "classes", "classes is 3"),
    ],
)
def test_mistakes_in_a_member_have_its_path(more, at, told):
    text = ensemble_problems(members("a", **more))
    assert f"at: model.members.a.{at}" in text
    assert told in text


def test_all_mistakes_of_an_ensemble_are_reported_at_once():
    model = members("a", "b", "items", insert=())
    text = ensemble_problems({**model, "head": {}, "fusoin": 1})
    for path in ("head", "fusoin", "members.a.insert", "members.b.insert", "members.items"):
        assert f"at: model.{path}\n" in text
    assert "did you mean 'fusion'?" in text
    assert "model.type" in ensemble_problems({**members("a"), "type": "Ensembel"})
    assert "did you mean 'Ensemble'?" in ensemble_problems({**members("a"), "type": "Ensembel"})
    assert "at: model.members" in ensemble_problems({"type": "Ensemble"})


def test_plugins_are_asked_about_each_member_as_if_it_were_alone(tmp_path, monkeypatch):
    (tmp_path / "counting_checker.py").write_text(
        """
from wsoltool.errors import ConfigError
from wsoltool.plugin import hookimpl

@hookimpl
def wsoltool_check_config(config):
    count, fusion = config.model.head.num_classes, config.model.fusion.type
    text = f"{config.model.type} of {count} with {fusion}"
    return [ConfigError(text, at="model.head.num_classes")] if count % 2 else []

@hookimpl
def wsoltool_poolings():
    from wsoltool.models.pooling import GlobalAveragePool

    return [type("Mine", (GlobalAveragePool,), {})]
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    origin = Origin("counting", "counting_checker", "a test's plugin")
    config = load_config(BASE)
    model = members("a", "b", "c")
    heads = {"a": 10, "b": 9}
    for name, count in heads.items():
        pooling = {"type": "counting.Mine"}
        head = {"type": "cam.CAMHead", "num_classes": count, "pooling": pooling}
        model["members"][name] = {**model["members"][name], "head": head}
    model["fusion"] = {"type": "Flip"}
    config.model = model
    with pytest.raises(ConfigProblems, match="Localizer of 9 with Flip") as caught:
        check(config, "test", Catalogue({**discover(), "counting": [origin]}))
    assert [problem.at for problem in caught.value.problems] == ["model.members.b.head.num_classes"]
