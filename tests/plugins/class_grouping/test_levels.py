"""The plan: its stages, what is tested, what it refuses."""

from pathlib import Path

import pytest
import torch

from wsoltool.commands.options import parse_options
from wsoltool.config import load_config, plain
from wsoltool.engine.stage_list import final_config, stages_of
from wsoltool.errors import ConfigError, ConfigProblems
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.ensemble import Ensemble
from wsoltool.models.localizer import HeadMaps, Localizer
from wsoltool.preflight import check
from wsoltool_plugins import class_grouping
from wsoltool_plugins.class_grouping.levels import Levels
from wsoltool_plugins.class_grouping.rest import WithRest
from wsoltool_plugins.class_grouping.stages import ClusterClasses, FuseLevels, TrainLevel

SMALL = "class_grouping/class_grouping_small_creatures.py"


def loaded(*options):
    return load_config(SMALL, parse_options(options))


def built(*options):
    config = final_config(loaded(*options))
    check(config, "test")
    return build_localizer(without_pretrained(plain(config.model)))


def test_face_offers_stages_and_plan():
    assert class_grouping.wsoltool_stages() == [ClusterClasses, FuseLevels, TrainLevel]
    assert class_grouping.wsoltool_stage_plans() == [Levels]


def test_stages_in_running_order():
    stages = stages_of(loaded())
    assert {stage.name: list(stage.needs) for stage in stages} == {
        "level_20": [],
        "groups_12": ["level_20"],
        "level_12": ["groups_12"],
        "groups_8": ["level_12", "groups_12"],
        "level_8": ["groups_8"],
        "groups_5": ["level_8", "groups_8"],
        "level_5": ["groups_5"],
        "fused_20_12_8_5": ["level_20", "level_12", "level_8", "level_5", "groups_5"],
    }


@pytest.mark.parametrize("levels", ["20", "20,12", "20,12,8"])
def test_fewer_levels_are_the_first_stages_of_more(levels):
    """Same names and same settings: nothing is trained anew."""
    more, fewer = loaded(), loaded(f"stages.levels={levels}")
    every = {stage.name: stage.settings(more) for stage in stages_of(more)}
    shared = [s for s in stages_of(fewer) if not isinstance(s, FuseLevels)]
    assert len(shared) == 2 * levels.count(",") + 1
    for stage in shared:
        assert stage.settings(fewer) == every[stage.name]


def test_test_time_options_are_no_settings_of_a_stage():
    options = ["model.map_source=None", "stages.rest=mean", "stages.min_score=0.3"]
    options += ["model.boxes.threshold=0.3", "model.fusion.rest_weight=0.5"]
    plain_run, other = loaded(), loaded(*options)
    for before, after in zip(stages_of(plain_run), stages_of(other), strict=True):
        assert before.settings(plain_run) == after.settings(other)


@pytest.mark.parametrize(
    "option",
    ["model.head.orthogonal=0", "model.backbone.networks.b=None", "randomness.seed=7"],
)
def test_what_weights_follow_from_is(option):
    config, other = loaded(), loaded(option)
    assert stages_of(config)[0].settings(config) != stages_of(other)[0].settings(other)


def test_the_seed_of_k_means_is_the_runs_or_its_own():
    config = loaded("randomness.seed=7")
    assert stages_of(config)[1].settings(config) == {"of": "level_20", "clusters": 12, "seed": 7}
    config = loaded("stages.seed=3")
    groups = stages_of(config)[3]
    assert groups.settings(config) == {
        "of": "level_12",
        "clusters": 8,
        "seed": 3,
        "previous": "groups_12",
    }


def test_a_level_is_trained_on_groups_by_the_file_of_their_stage(tmp_path):
    config = loaded()
    stage = stages_of(config)[4]
    trained = stage.training_config(config, {"groups_8": tmp_path / "groups_8"})
    assert "stages" not in trained
    assert trained.model.head.num_classes == 8
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert plain(trained[loader].dataset) == {
            "type": "class_grouping.GroupedClasses",
            "dataset": plain(config[loader].dataset),
            "groups": str(tmp_path / "groups_8" / "groups.json"),
            "level": 2,
        }
    assert config.model.head.num_classes == 20


def test_the_tested_model_is_the_ensemble():
    model = built()
    assert isinstance(model, Ensemble)
    assert list(model.members) == ["level_20", "level_12", "level_8", "level_5"]
    assert [m.head.num_classes for m in model.members.values()] == [20, 12, 8, 5]
    first, *others = model.members.values()
    assert isinstance(first.map_source, WithRest)
    assert (first.map_source.reduce, first.map_source.min_score) == ("max", 0.5)
    own = type(first.map_source.source)
    assert own.__name__ == "GradCAM"
    assert all(type(member.map_source) is own for member in others)
    assert type(model.fusion).__name__ == "LevelFusion"
    assert model.boxes.threshold == 0.15


def test_maps_of_the_head_instead_of_its_gradients():
    model = built("model.map_source=None")
    first, *others = model.members.values()
    assert first.map_source.source is None
    assert all(isinstance(member.map_source, HeadMaps) for member in others)


def test_the_other_classes_may_be_left_out_or_added_up():
    model = built("stages.rest=None")
    assert type(model.first.map_source).__name__ == "GradCAM"
    assert built("stages.rest=all").first.map_source.reduce == "all"
    assert built("stages.min_score=0.2").first.map_source.min_score == 0.2


def test_one_level_is_a_plain_network():
    model = built("stages.levels=20")
    assert type(model) is Localizer
    assert type(model.map_source).__name__ == "GradCAM"


def test_one_network_a_level():
    options = ["model.backbone.networks.b=None", "model.map_source.target=a.last"]
    model = built(*options)
    assert list(model.first.backbone.networks) == ["a"]
    assert model.first.head.branches == ("a",)


def test_branches_are_named_for_the_fusion():
    model = built("stages.levels=20,12").eval()
    for name, ids in (("level_20", range(20)), ("level_12", [i % 12 for i in range(20)])):
        model.members[name].classes.copy_(torch.tensor(list(ids)))
    data = torch.randn(2, 3, 32, 32)
    from wsoltool.structures import Sample, Samples

    samples = Samples.of([Sample(f"{i}", i, (32, 32), (0.0, 0.0, 32.0, 32.0)) for i in range(2)])
    prediction = model.predict(data, samples)[0]
    (view,) = prediction.raw_maps(prediction.class_ids[0])
    assert list(view.branches) == [
        "level_20/a.last",
        "level_20/b.last",
        "level_20/rest",
        "level_12/a.last",
        "level_12/b.last",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ()},
        {"levels": (20, 20)},
        {"levels": (12, 20)},
        {"levels": (20, 1)},
        {"levels": 1},
        {"levels": "20"},
        {"levels": (20.0, 12)},
        {"rest": "sum"},
        {"min_score": 2},
        {"seed": -1},
    ],
)
def test_bad_values_are_refused(options):
    with pytest.raises(ConfigError):
        Levels(**options)


def test_the_first_level_is_the_classes():
    with pytest.raises(ConfigProblems, match="the first level has 12 classes, the head has 20"):
        check(loaded("stages.levels=12,8"), "train")


def test_a_plan_adds_the_rest_itself():
    config = loaded()
    config.model.map_source = {"type": "class_grouping.WithRest"}
    with pytest.raises(ConfigProblems, match=r"put into class_grouping\.WithRest already"):
        check(config, "train")


@pytest.mark.parametrize("option", ["val_dataloader=None", "val_dataloader.dataset=None"])
def test_a_loader_without_a_data_set_is_left_as_it_is(option):
    config = loaded(option)
    trained = stages_of(config)[2].training_config(config, {"groups_12": Path("groups_12")})
    assert trained.val_dataloader == config.val_dataloader
    assert trained.train_dataloader.dataset.type == "class_grouping.GroupedClasses"


def test_no_validation_data_is_told_and_not_met():
    with pytest.raises(ConfigProblems, match="val_dataloader is None"):
        check(loaded("val_dataloader=None"), "train")


@pytest.mark.parametrize(
    ("option", "at"),
    [
        ("model=None", ["model"]),
        ("model.head=None", ["model.head"]),
        ("model.head=x", ["model.head", "model.head"]),
        ("train_dataloader=None", ["train_dataloader"]),
        ("randomness=None", ["randomness"]),
    ],
)
def test_a_config_of_another_shape_is_refused_by_all_who_read_it(option, at):
    for read in (final_config, check, lambda config: check(config, "train")):
        with pytest.raises(ConfigProblems) as caught:
            read(loaded(option))
        # First of all; overrides of stages may not fit such a config either.
        assert [problem.at for problem in caught.value.problems][: len(at)] == at


def test_another_fusion_does_not_know_levels():
    with pytest.raises(ConfigError, match="the levels are fused by 'SingleView'"):
        built("model.fusion.type=SingleView")


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (ClusterClasses, {"of": "first", "clusters": 0}),
        (ClusterClasses, {"of": "first", "clusters": 2, "seed": -1}),
        (TrainLevel, {"num_classes": 0}),
        (TrainLevel, {"num_classes": 2, "level": 0}),
        (FuseLevels, {"levels": ["one"], "groups": "groups"}),
        (FuseLevels, {"levels": "one", "groups": "groups"}),
        (FuseLevels, {"levels": ["one", "one", "two"], "groups": "groups"}),
    ],
)
def test_stages_refuse_bad_values(stage, options):
    with pytest.raises(ConfigError):
        stage("name", **options)
