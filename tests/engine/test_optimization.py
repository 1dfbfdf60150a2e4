"""The optimizer that a config builds: groups, options, log, steps equal to mmengine's."""

import copy
import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper

from wsoltool.engine.optimization import GroupingConstructor, optimizer_lines, with_constructor
from wsoltool.engine.training import train, training_runner
from wsoltool.errors import ConfigError, DataError
from wsoltool.models.builder import build_localizer
from wsoltool.structures import Sample, Samples

PARAMWISE = {
    "custom_keys": {"head": {"lr_mult": 10}},
    "norm_decay_mult": 0.0,
    "bias_decay_mult": 0.0,
}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
OPTIMIZERS = [
    {"type": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"type": "AdamW", "lr": 0.01, "weight_decay": 0.1},
]


@pytest.fixture
def small():
    """A function that builds a tiny localizer, always with the same weights."""

    def make():
        torch.manual_seed(1)
        backbone = {"type": "SmallNet", "channels": (4, 6, 8)}
        head = {"type": "cam.CAMHead", "num_classes": 3}
        return build_localizer({"backbone": backbone, "head": head})

    return make


@pytest.fixture
def batch():
    torch.manual_seed(0)
    items = [Sample(str(i), i % 3, (16, 16), (0.0, 0.0, 16.0, 16.0)) for i in range(4)]
    images = torch.randint(256, (4, 16, 16, 3), dtype=torch.uint8)
    return {"inputs": images, "samples": Samples.of(items)}


@pytest.fixture
def quiet():
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("paramwise", [None, PARAMWISE])
def test_steps_are_those_of_a_group_for_every_parameter(quiet, small, batch, optimizer, paramwise):
    reference, ours = small(), small()
    groups = []
    for model, cls in ((reference, DefaultOptimWrapperConstructor), (ours, GroupingConstructor)):
        settings = {"type": "OptimWrapper", "optimizer": optimizer}
        wrapper = cls(copy.deepcopy(settings), copy.deepcopy(paramwise))(model)
        groups.append(len(wrapper.optimizer.param_groups))
        for _ in range(3):
            model.train_step(batch, wrapper)
    assert groups == ([1, 1] if paramwise is None else [11, 3])
    for name, value in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_it_is_the_default_of_the_runner(tiny_config, tmp_path):
    runner = training_runner(tiny_config(optim_wrapper__paramwise_cfg=PARAMWISE), tmp_path)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    groups = runner.optim_wrapper.optimizer.param_groups
    assert [g["lr"] for g in groups] == pytest.approx([0.01, 0.01, 0.1])
    assert [g["weight_decay"] for g in groups] == pytest.approx([0.01, 0.0, 0.01])


def test_another_constructor_may_be_named(quiet, small):
    named = {
        "constructor": "DefaultOptimWrapperConstructor",
        "optimizer": OPTIMIZERS[0],
        "paramwise_cfg": PARAMWISE,
    }
    assert with_constructor(named) == named
    assert optimizer_lines(small(), named) == []
    wrapper = build_optim_wrapper(small(), with_constructor(named))
    assert len(wrapper.optimizer.param_groups) == 11


def test_the_log_says_what_trains_how(tiny_config, tmp_path):
    config = tiny_config(
        optim_wrapper__paramwise_cfg=PARAMWISE, model__frozen="stage1", train_cfg__max_epochs=1
    )
    train(config, tmp_path)
    (log,) = tmp_path.glob("*/*.log")
    text = log.read_text()
    assert "optimizer: AdamW\ngroup   tensors  parameters    lr  weight decay\n" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["head", "2", "490", "0.1", "0.01"] in lines
    assert ["frozen", "3", "464"] in lines
    assert "paramwise_options" not in text


def test_a_wrapped_model_has_the_names_of_the_model(small):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    constructor = GroupingConstructor({"optimizer": OPTIMIZERS[0]}, PARAMWISE)
    (others, _, head) = constructor.groups(Wrapper(small()))
    assert list(head.parameters) == ["head.classifier.weight", "head.classifier.bias"]
    assert "backbone.layers.conv1.weight" in others.parameters


@pytest.mark.parametrize(
    ("options", "message", "at"),
    [
        (
            {"optim_wrapper__paramwise_cfg": {"custom_keys": {"haed": {"lr_mult": 2}}}},
            "'haed' is in no parameter's name",
            "optim_wrapper.paramwise_cfg.custom_keys.haed",
        ),
        (
            {"train_dataloader__batch_size": 1},
            "a batch of one image",
            "train_dataloader.batch_size",
        ),
        ({"optim_wrapper__optimizer__lr": -1}, "Invalid learning rate", "optim_wrapper"),
    ],
)
def test_what_does_not_fit_the_model_is_told_before_the_data_are_looked_for(
    tiny_config, tmp_path, monkeypatch, options, message, at
):
    def fail(*_):
        raise DataError("the data were looked for")

    monkeypatch.setattr("wsoltool.engine.training.build_dataset", fail)
    with pytest.raises(ConfigError, match=message) as caught:
        train(tiny_config(**options), tmp_path)
    assert caught.value.at == at


def test_a_last_batch_of_one_image_is_told_before_training(tiny_config, tmp_path):
    options = {"train_dataloader__dataset__length": 25, "train_dataloader__drop_last": False}
    with pytest.raises(ConfigError, match="a batch of one image"):
        training_runner(tiny_config(**options), tmp_path)
    training_runner(tiny_config(**options, model__norm_eval=True), tmp_path)
    options["train_dataloader__drop_last"] = True
    training_runner(tiny_config(**options), tmp_path)


def test_one_image_and_kept_norms_train(tiny_config, tmp_path):
    config = tiny_config(
        train_dataloader__batch_size=1,
        train_dataloader__dataset__length=3,
        train_cfg__max_epochs=1,
        train_cfg__val_interval=0,
        model__norm_eval=True,
    )
    assert train(config, tmp_path).is_file()


def test_frozen_stages_and_kept_norms_stay_through_training(tiny_config, tmp_path):
    config = tiny_config(model__frozen="stage2", model__norm_eval=True, train_cfg__val_interval=1)
    runner = training_runner(config, tmp_path)
    before = copy.deepcopy(runner.model.backbone.state_dict())
    runner.train()
    after = runner.model.backbone.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {name for name in before if name.split(".")[1][-1] in "12"}
    statistics = {name for name in before if name.rpartition(".")[2] in STATISTICS}
    assert same == frozen | statistics
