"""What is refused of schedules that wait for a figure: values, epochs, company, what they watch."""

import pytest

from wsoltool.config import load_config
from wsoltool.errors import ConfigProblems
from wsoltool.preflight import check
from wsoltool.preflight_schedules import monitors, schedule_problems

LOSS = {"type": "ReduceOnPlateauLR", "monitor": "train/loss"}
WARM_UP = {"type": "LinearLR", "start_factor": 0.1, "end": 3}


def found(*schedulers, index=0):
    return list(schedule_problems(schedulers, index))


def problems(*schedulers, **options):
    options = {key.replace("__", "."): value for key, value in options.items()}
    config = load_config("cam/cam_small_creatures.py", options)
    config["param_scheduler"] = list(schedulers)
    with pytest.raises(ConfigProblems) as caught:
        check(config, "train")
    return caught.value.problems


@pytest.mark.parametrize(
    "scheduler",
    [
        LOSS,
        {**LOSS, "rule": "greater", "factor": 0.5, "patience": 0, "cooldown": 2, "end": 9},
        {**LOSS, "threshold": 0, "threshold_rule": "abs", "min_value": 1e-5, "eps": 0.0},
        {**LOSS, "min_value": [0.1, 0.2, 0.3], "by_epoch": True, "convert_to_iter_based": False},
        {**LOSS, "type": "ReduceOnPlateauMomentum", "monitor": "train/loss_cls"},
        {**LOSS, "type": "ReduceOnPlateauParamScheduler", "param_name": "weight_decay"},
        {"type": "StepLR", "step_size": 3, "factor": 7},
        3,
        {"type": []},
    ],
)
def test_sound_ones_and_other_kinds_pass(scheduler):
    assert found(scheduler) == []


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("monitor", 3, "monitor is 3"),
        ("monitor", "train/", "another loss of training"),
        ("factor", 1.0, "above 0, below 1"),
        ("factor", 0, "above 0, below 1"),
        ("factor", "0.1", "factor is '0.1'"),
        ("patience", -1, "patience is -1"),
        ("patience", 2.5, "a whole number of epochs"),
        ("patience", True, "patience is True"),
        ("cooldown", "3", "cooldown is '3'"),
        ("threshold", -0.1, "a number, at least 0"),
        ("threshold", None, "threshold is None"),
        ("eps", "x", "eps is 'x'"),
        ("min_value", [0.1, -1], "min_value is [0.1, -1]"),
        ("rule", "les", "did you mean 'less'?"),
        ("threshold_rule", "relative", "known: rel, abs"),
        ("by_epoch", False, "cannot act between epochs"),
        ("convert_to_iter_based", True, "cannot act between epochs"),
    ],
)
def test_wrong_values_are_named_with_their_path(option, value, says):
    (problem,) = found(WARM_UP, {**LOSS, option: value}, index=1)
    assert problem.at == f"param_scheduler[1].{option}"
    assert says in str(problem)


def test_what_mmengine_refuses_is_told_before_the_data_load():
    (problem,) = found({**LOSS, "begin": 3, "end": 3})
    assert problem.at == "param_scheduler[0]"
    assert "end should be larger than begin" in str(problem)


def test_a_warm_up_may_stand_beside_it():
    assert found(WARM_UP, LOSS, index=1) == []
    assert found(LOSS, {**LOSS, "type": "ReduceOnPlateauMomentum"}) == []


@pytest.mark.parametrize(
    "other",
    [
        {"type": "OneCycleLR", "eta_max": 1.0, "total_steps": 9},
        {"type": "CosineRestartLR", "periods": [3], "eta_min": 0.0},
        {"type": "OneCycleParamScheduler", "param_name": "lr", "eta_max": 1.0, "total_steps": 9},
    ],
)
def test_schedules_that_would_undo_it_are_refused(other):
    (problem,) = found(LOSS, other)
    assert problem.at == "param_scheduler[1], param_scheduler[0]"
    assert f"{other['type']} sets the lr anew at every step" in str(problem)
    assert found({**LOSS, "type": "ReduceOnPlateauMomentum"}, other) == []
    assert found(LOSS, other, index=1) == []


def test_monitors_have_their_paths_and_mmengines_default():
    schedulers = [WARM_UP, LOSS, {"type": "ReduceOnPlateauLR"}, {**LOSS, "monitor": 3}, "x"]
    expected = [
        ("param_scheduler[1].monitor", "train/loss"),
        ("param_scheduler[2].monitor", "loss"),
    ]
    assert list(monitors(schedulers)) == expected
    assert list(monitors(None)) == []


def test_a_config_with_a_plateau_of_the_training_loss_passes():
    config = load_config("cam/cam_small_creatures.py")
    config["param_scheduler"] = [WARM_UP, LOSS]
    check(config, "train")
    config["param_scheduler"] = [{**LOSS, "monitor": "MaxBoxAccV2", "rule": "greater"}]
    check(config, "train")


def test_figures_of_no_validation_are_refused():
    (problem,) = problems({"type": "ReduceOnPlateauLR"})
    assert problem.at == "param_scheduler[0].monitor"
    assert problem.known[0] == "train/loss"
    assert "watches 'loss', which is no figure of a validation" in str(problem)
    (problem,) = problems({**LOSS, "monitor": "MaxBoxAcV2"})
    assert "did you mean 'MaxBoxAccV2'?" in str(problem)


def test_a_validation_that_never_happens_cannot_be_watched():
    (problem,) = problems({**LOSS, "monitor": "PxAP"}, train_cfg__val_interval=0)
    assert "a validation that never happens" in str(problem)
    assert problem.hint == "monitor='train/loss' watches the training loss"


@pytest.mark.parametrize(
    ("scheduler", "wrong", "near"),
    [
        ({**LOSS, "ptience": 3}, "ptience", "patience"),
        ({"type": "LinearLR", "start_facto": 0.1}, "start_facto", "start_factor"),
        ({"type": "CosineAnnealingMomentum", "T_max": 3, "etamin": 0}, "etamin", "eta_min"),
    ],
)
def test_misspelled_arguments_of_any_schedule_have_a_near_name(scheduler, wrong, near):
    (problem,) = problems(scheduler)
    assert problem.at == f"param_scheduler[0].{wrong}"
    assert f"{scheduler['type']} takes no argument {wrong!r}" in str(problem)
    assert f"did you mean {near!r}?" in str(problem)


def test_missing_arguments_of_any_schedule_are_named():
    (problem,) = problems({"type": "StepLR", "gamma": 0.1})
    assert "StepLR needs the argument 'step_size'" in str(problem)


CONFIG = """
_base_ = [
    "{{$WSOLTOOL_CONFIGS:}}/_base_/datasets/creatures.py",
    "{{$WSOLTOOL_CONFIGS:}}/_base_/schedules/plateau_50e.py",
    "{{$WSOLTOOL_CONFIGS:}}/_base_/runtime.py",
]
model = dict(backbone=dict(type="SmallNet"), head=dict(type="cam.CAMHead", num_classes=10))
"""


def test_the_base_config_is_the_papers_recipe(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CONFIG)
    config = load_config(path)
    check(config, "train")
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.03, 0.9, 1e-4)
    (schedule,) = config.param_scheduler
    assert (schedule["factor"], schedule["patience"]) == (0.1, 3)
    assert config.train_cfg.max_epochs == 50
