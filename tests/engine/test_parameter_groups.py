"""Parameter groups: mmengine's rules, merged; what is refused; what people read."""

import copy
import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from wsoltool.engine.parameter_groups import group_lines, parameter_groups, paramwise_problems
from wsoltool.errors import ConfigError
from wsoltool.models.builder import build_localizer

SGD = {"type": "SGD", "lr": 0.5, "momentum": 0.9, "weight_decay": 0.25}
NO_DECAY = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}


class Zoo(nn.Module):
    """Every kind of layer that a rule is for."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.InstanceNorm2d(4, True)]
        )
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(4))])
        self.head = nn.Linear(4, 2)


@pytest.fixture
def model():
    return build_localizer(
        {
            "backbone": {"type": "SmallNet", "channels": (4, 6)},
            "head": {"type": "cam.CAMHead", "num_classes": 3},
            "inserts": [{"at": "stage1", "module": {"type": "BatchNorm"}}],
        }
    )


def by_name(groups):
    return {name: group.options for group in groups for name in group.parameters}


def refused(model, paramwise, optimizer=SGD):
    with pytest.raises(ConfigError) as caught:
        parameter_groups(model, optimizer, paramwise)
    return caught.value


mult = st.sampled_from([0.0, 0.1, 1.0, 2.0])
paramwises = st.fixed_dictionaries(
    {},
    optional={
        **{f"{k}_decay_mult": mult for k in ("bias", "norm", "dwconv", "flat")},
        "bias_lr_mult": mult,
        "custom_keys": st.dictionaries(
            st.sampled_from(["conv", "head", "head.bias", "norms.1", "weight", "e", "norms"]),
            st.fixed_dictionaries({}, optional={"lr_mult": mult, "decay_mult": mult}),
        ),
    },
)


@pytest.fixture(scope="module")
def quiet():
    # mmengine's constructor has a line for every option of every parameter.
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@settings(deadline=None, max_examples=60)
@given(paramwise=paramwises)
def test_every_parameter_has_the_options_that_mmengine_gives_it(quiet, paramwise):
    zoo = Zoo()
    names = {id(parameter): name for name, parameter in zoo.named_parameters()}
    reference = DefaultOptimWrapperConstructor({"optimizer": SGD}, copy.deepcopy(paramwise))(zoo)
    expected = {
        names[id(parameter)]: {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        for group in reference.optimizer.param_groups
        for parameter in group["params"]
    }
    before = copy.deepcopy(paramwise)
    groups = parameter_groups(zoo, SGD, paramwise)
    assert paramwise == before
    assert by_name(groups) == expected
    options = [tuple(group.options.items()) for group in groups]
    assert len(options) == len(set(options)), "groups of equal options"


def test_no_paramwise_cfg_is_one_group(model):
    for paramwise in (None, {}):
        (group,) = parameter_groups(model, SGD, paramwise)
        assert list(group.parameters) == [name for name, _ in model.named_parameters()]
        assert group.options == {"lr": 0.5, "weight_decay": 0.25}
        assert group.rules == ["others"]


def test_no_decay_for_norms_and_biases_of_backbone_inserts_and_head(model):
    groups = parameter_groups(model, SGD, NO_DECAY)
    assert [group.rules for group in groups] == [["others"], ["norms", "biases"]]
    decayed, others = (set(group.parameters) for group in groups)
    assert decayed == {
        "backbone.layers.conv1.weight",
        "backbone.layers.conv2.weight",
        "head.classifier.weight",
    }
    norms = ("backbone.layers.bn1", "backbone.layers.bn2", "inserts.stage1")
    kinds = {f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias")}
    assert others == kinds | {"head.classifier.bias"}
    assert groups[0].options == {"lr": 0.5, "weight_decay": 0.25}
    assert groups[1].options == {"lr": 0.5, "weight_decay": 0.0}


def test_the_longest_pattern_decides_alone(model):
    custom = {"head": {"lr_mult": 10}, "head.classifier.bias": {"lr_mult": 10, "decay_mult": 0}}
    found = by_name(parameter_groups(model, SGD, {**NO_DECAY, "custom_keys": custom}))
    assert found["head.classifier.weight"] == {"lr": 5.0, "weight_decay": 0.25}
    assert found["head.classifier.bias"] == {"lr": 5.0, "weight_decay": 0.0}
    without = {"custom_keys": {"head": {"lr_mult": 10}}, **NO_DECAY}
    found = by_name(parameter_groups(model, SGD, without))
    assert found["head.classifier.bias"]["weight_decay"] == 0.25


def test_frozen_parameters_stand_apart(model):
    model.backbone.freeze("stage1")
    trained, frozen = parameter_groups(model, SGD, None)
    assert set(frozen.parameters) == {
        "backbone.layers.conv1.weight",
        "backbone.layers.bn1.weight",
        "backbone.layers.bn1.bias",
    }
    assert frozen.rules == ["frozen"]
    assert not set(trained.parameters) & set(frozen.parameters)


def test_a_pattern_of_frozen_parameters_is_known(model):
    model.backbone.freeze("last")
    paramwise = {"custom_keys": {"backbone": {"lr_mult": 0.1}}}
    groups = parameter_groups(model, SGD, paramwise)
    assert [group.rules for group in groups] == [["others"], ["frozen"]]


def test_nothing_left_to_train_is_an_error(model):
    model.requires_grad_(False)
    error = refused(model, None)
    assert "no parameter of the model is left to train" in str(error)
    assert error.at == "model.frozen"


@pytest.mark.parametrize(
    ("pattern", "near"),
    [("haed", "head"), ("backbone.layer.conv1", "backbone.layers.conv1"), ("insert.", "inserts")],
)
def test_patterns_that_match_nothing_list_near_prefixes(model, pattern, near):
    error = refused(model, {"custom_keys": {pattern: {"lr_mult": 2}}})
    assert error.at == f"optim_wrapper.paramwise_cfg.custom_keys.{pattern}"
    assert near in error.known
    assert error.hint == f"did you mean {near!r}?"


def test_patterns_that_are_like_nothing_list_the_models_parts(model):
    error = refused(model, {"custom_keys": {"@@@": {"lr_mult": 2}}})
    assert {"backbone", "backbone.layers", "inserts", "head"} <= set(error.known)
    assert error.hint is None


@pytest.mark.parametrize(
    ("paramwise", "at", "message"),
    [
        ({"custom_key": {}}, "custom_key", "did you mean 'custom_keys'?"),
        ({"norm_decay": 0}, "norm_decay", "did you mean 'norm_decay_mult'?"),
        ({"dcn_offset_lr_mult": 1}, "dcn_offset_lr_mult", "unknown key"),
        ({"norm_decay_mult": "no"}, "norm_decay_mult", "norm_decay_mult is 'no'"),
        ({"bias_lr_mult": -1}, "bias_lr_mult", "0 or more"),
        ({"bias_lr_mult": True}, "bias_lr_mult", "is True"),
        ({"bias_lr_mult": float("nan")}, "bias_lr_mult", "finite"),
        ({"bypass_duplicate": 1}, "bypass_duplicate", "True or False"),
        ({"custom_keys": ["head"]}, "custom_keys", "dict("),
        ({"custom_keys": {"head": 10}}, "custom_keys.head", "lr_mult="),
        ({"custom_keys": {"": {}}}, "custom_keys.", "no part of a name"),
        ({"custom_keys": {"head": {"lr": 1}}}, "custom_keys.head.lr", "unknown key 'lr'"),
        (
            {"custom_keys": {"head": {"lr_mul": 1}}},
            "custom_keys.head.lr_mul",
            "did you mean 'lr_mult'?",
        ),
        ({"custom_keys": {"head": {"decay_mult": -1}}}, "custom_keys.head.decay_mult", "0 or more"),
    ],
)
def test_wrong_values_are_named(model, paramwise, at, message):
    error = refused(model, paramwise)
    assert error.at == f"optim_wrapper.paramwise_cfg.{at}"
    assert message in str(error)


def test_all_wrong_values_are_found():
    wrong = {"norm_decay": 0, "bias_lr_mult": -1, "custom_keys": {"head": {"lrmult": 1}}}
    assert len(list(paramwise_problems(SGD, wrong, "x"))) == 3
    (problem,) = paramwise_problems(SGD, 3, "x")
    assert problem.what == "paramwise_cfg is 3"


def test_multipliers_need_what_they_multiply(model):
    error = refused(model, NO_DECAY, {"type": "SGD", "lr": 0.1})
    assert "the optimizer's weight_decay, which the config does not give" in str(error)
    error = refused(model, {"custom_keys": {"head": {"lr_mult": 2}}}, {"type": "AdamW"})
    assert error.expected == "optim_wrapper.optimizer.lr"
    (group,) = parameter_groups(model, {"type": "AdamW"}, None)
    assert group.options == {}


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight


def test_a_shared_parameter_is_there_once():
    (group,) = parameter_groups(Shared(), SGD, {"bias_lr_mult": 1.0})
    assert list(group.parameters) == ["first.weight", "first.bias", "second.bias"]


def test_names_of_a_shared_parameter_must_agree():
    paramwise = {"custom_keys": {"second": {"lr_mult": 2}}}
    error = refused(Shared(), paramwise)
    assert "first.weight and second.weight are one parameter" in str(error)
    groups = parameter_groups(Shared(), SGD, {**paramwise, "bypass_duplicate": True})
    assert by_name(groups)["first.weight"]["lr"] == 0.5
    assert set(groups[1].parameters) == {"second.bias"}


def test_the_table_is_readable(model):
    model.backbone.freeze("stage1")
    custom = {"head": {"lr_mult": 10}}
    groups = parameter_groups(model, SGD, {**NO_DECAY, "custom_keys": custom})
    assert group_lines(groups, {"lr": 9.0, "weight_decay": 9.0}) == [
        "group   tensors  parameters   lr  weight decay",
        "others        1         216  0.5          0.25",
        "norms         4          20  0.5             0",
        "head          2          21    5          0.25",
        "frozen        3         116",
    ]
    groups = parameter_groups(model, {"type": "Adam"}, None)
    assert group_lines(groups, {"lr": 0.001})[1].split() == ["others", "7", "257", "0.001"]
