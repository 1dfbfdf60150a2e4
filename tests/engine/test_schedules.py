"""Rates that fall when the training loss stops falling: by hand, against torch, after a resume."""

import json
import logging
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.optim.scheduler import LinearLR, ReduceOnPlateauLR, ReduceOnPlateauMomentum
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.schedules import ScheduleHook
from wsoltool.engine.training import train, training_runner
from wsoltool.errors import ConfigError


class Run:
    """What the hook sees of a runner."""

    def __init__(self, *schedulers):
        self.param_schedulers = list(schedulers)
        self.epoch = 0
        self.hooks = ()
        self.told = []
        self.logger = logging.getLogger("tests.schedules")
        self.logger.setLevel(logging.INFO)
        self.logger.handlers = [logging.Handler()]
        self.logger.handlers[0].emit = lambda record: self.told.append(record.getMessage())
        self.logger.propagate = False
        self.hook = ScheduleHook()

    def train_epoch(self, *steps):
        """Steps are losses, or (images, losses by name)."""
        for scheduler in self.param_schedulers or ():
            scheduler.optimizer.step()  # mmengine warns where it would come too late
        self.hook.before_train_epoch(self)
        for index, step in enumerate(steps):
            images, losses = step if isinstance(step, tuple) else (1, {"loss": step})
            outputs = {name: torch.tensor(loss) for name, loss in losses.items()}
            batch = {"samples": [None] * images}
            self.hook.after_train_iter(self, index, batch, outputs)
        self.hook.after_train_epoch(self)
        self.epoch += 1


def optimizer(lr=1.0, **options):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.5, **options)


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def rates(epochs, lr=1.0, **options):
    """The rate behind each epoch, and the run."""
    ours = optimizer(lr)
    run = Run(ReduceOnPlateauLR(ours, monitor="train/loss", **options))
    found = []
    for epoch in epochs:
        run.train_epoch(*(epoch if isinstance(epoch, list) else [epoch]))
        found.append(rate(ours))
    return found, run


def test_three_epochs_without_improvement_are_borne_and_the_fourth_lowers_the_rate():
    losses = [1.0, 0.8, 0.9, 0.8, 0.85, 0.81, 0.7, 0.7, 0.7, 0.7, 0.7]
    found, _ = rates(losses, lr=0.03, factor=0.1, patience=3)
    assert found == pytest.approx([0.03] * 5 + [0.003] * 4 + [0.003] + [0.0003])


def test_an_improvement_below_the_threshold_is_none():
    losses = [1.0, 0.95, 0.8, 0.73]
    assert rates(losses, patience=0, threshold=0.1)[0] == pytest.approx([1, 0.1, 0.1, 0.01])
    absolute = {"threshold": 0.1, "threshold_rule": "abs"}
    assert rates(losses, patience=0, **absolute)[0] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_the_mean_is_over_the_images_of_the_epoch():
    # Means 1.0, 0.75 (not 0.5: the second batch is a third of the first), 0.8.
    epochs = [[(2, {"loss": 1.0})], [(3, {"loss": 1.0}), (1, {"loss": 0.0})], [0.8]]
    found, run = rates(epochs, patience=0)
    assert found == pytest.approx([1.0, 1.0, 0.1])
    assert run.param_schedulers[0].best == 0.75
    assert run.told[1] == "epoch 2: mean train/loss 0.75"


@settings(deadline=None, max_examples=60)
@given(
    epochs=st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(0, 24)), min_size=1, max_size=3),
        min_size=1,
        max_size=25,
    ),
    rule=st.sampled_from(["less", "greater"]),
    options=st.fixed_dictionaries(
        {
            "factor": st.sampled_from([0.1, 0.5]),
            "patience": st.integers(0, 4),
            "threshold": st.sampled_from([0.0, 1e-4, 0.25]),
            "cooldown": st.integers(0, 3),
        }
    ),
    threshold_rule=st.sampled_from(["rel", "abs"]),
    lowest=st.sampled_from([0.0, 0.02]),
)
def test_the_rates_are_those_of_torch(epochs, rule, options, threshold_rule, lowest):
    theirs = optimizer()
    mode = {"less": "min", "greater": "max"}[rule]
    reference = ReduceLROnPlateau(
        theirs, mode=mode, threshold_mode=threshold_rule, min_lr=lowest, **options
    )
    expected = []
    for epoch in epochs:
        images = sum(count for count, _ in epoch)
        # Eighths: the sums are exact in either arithmetic.
        mean = sum(count * Fraction(eighths, 8) for count, eighths in epoch) / images
        reference.step(float(mean))
        expected.append(rate(theirs))
    steps = [[(count, {"loss": eighths / 8}) for count, eighths in epoch] for epoch in epochs]
    found, _ = rates(steps, rule=rule, threshold_rule=threshold_rule, min_value=lowest, **options)
    assert found == expected


def test_the_log_tells_why_the_rate_falls():
    _, run = rates([1.234, 1.3, 1.3], lr=0.03, patience=1, threshold=0.0)
    assert run.told[-1] == "epoch 3: mean train/loss 1.3"
    shown = []
    run.hooks = (_Progress(shown),)
    run.train_epoch(1.3)
    assert shown == []
    run.train_epoch(1.3)
    assert shown == ["lr 0.003 -> 0.0003: train/loss has not fallen below 1.234 for 2 epochs"]


def _Progress(shown):
    from wsoltool.engine.hooks import ProgressHook

    hook = ProgressHook()
    hook.tell = lambda runner, line: shown.append(line)
    return hook


def test_any_loss_of_the_model_and_several_schedules():
    ours = optimizer()
    run = Run(
        ReduceOnPlateauLR(ours, monitor="train/loss_cls", patience=0),
        ReduceOnPlateauMomentum(ours, monitor="train/loss_map", patience=1),
    )
    for _ in range(3):
        run.train_epoch((2, {"loss": 3.0, "loss_cls": 1.0, "loss_map": 2.0}))
    assert run.told[0] == "epoch 1: mean train/loss_cls 1, train/loss_map 2"
    assert rate(ours) == pytest.approx(0.01)
    assert ours.param_groups[0]["momentum"] == pytest.approx(0.05)


def test_a_loss_that_is_not_computed_is_told_at_the_first_step():
    run = Run(LinearLR(ours := optimizer()), ReduceOnPlateauLR(ours, monitor="train/loss_clss"))
    with pytest.raises(ConfigError, match="train/loss_clss") as caught:
        run.train_epoch((2, {"loss": 1.0, "loss_cls": 1.0}))
    assert caught.value.at == "param_scheduler[1].monitor"
    assert caught.value.known == ("train/loss", "train/loss_cls")
    assert "did you mean 'train/loss_cls'?" in str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_lowers_nothing_and_is_told(bad):
    found, run = rates([1.0, bad, [0.5, bad], bad, 2.0, 2.0], patience=1)
    assert found == pytest.approx([1, 1, 1, 1, 1, 0.1])
    warnings = [line for line in run.told if "passes the epoch over" in line]
    assert warnings[0] == f"train/loss of epoch 2 is {bad}: the schedule passes the epoch over"
    assert len(warnings) == 3
    assert run.param_schedulers[0].best == 1.0


def test_begin_and_end_count_epochs():
    found, run = rates([1.0] * 7, patience=0, begin=3, end=6)
    # Epoch 3 is the first that is watched, and sets the best; 4 and 5 lower the rate.
    assert found == pytest.approx([1, 1, 1, 0.1, 0.01, 0.01, 0.01])
    assert run.param_schedulers[0]._global_step == 7


def test_a_warm_up_before_it():
    ours = optimizer()
    warm_up = LinearLR(ours, start_factor=0.5, end=2)
    run = Run(warm_up, ReduceOnPlateauLR(ours, monitor="train/loss", patience=0))
    found = [rate(ours)]
    for loss in (1.0, 0.5, 0.5, 0.4):
        run.train_epoch(loss)
        found.append(rate(ours))
    assert found == pytest.approx([0.5, 1.0, 1.0, 0.1, 0.1])


def test_a_fall_within_the_warm_up_stays():
    ours = optimizer()
    run = Run(
        LinearLR(ours, start_factor=0.25, end=4),
        ReduceOnPlateauLR(ours, monitor="train/loss", patience=0),
    )
    for loss in (1.0, 2.0, 0.5, 0.4, 0.3):
        run.train_epoch(loss)
    assert rate(ours) == pytest.approx(0.1)


def test_other_monitors_watch_the_validation_alone():
    ours = optimizer()
    schedule = ReduceOnPlateauLR(ours, monitor="PxAP", rule="greater", patience=0)
    run = Run(schedule)
    for figure in (50.0, 40.0):
        run.train_epoch(1.0)
        run.train_epoch(1.0)
        run.hook.after_val_epoch(run, {"PxAP": figure})
    run.hook.after_val_epoch(run, None)
    assert rate(ours) == pytest.approx(0.1)
    assert (schedule.best, schedule._global_step) == (50.0, 4)
    with pytest.raises(ConfigError, match="watches 'PxAP', which is not computed"):
        run.hook.after_val_epoch(run, {"PIoU": 1.0})


def test_a_validation_does_not_step_what_watches_training():
    found, run = rates([1.0], patience=0)
    for _ in range(3):
        run.hook.after_val_epoch(run, {"train/loss": 2.0, "PxAP": 1.0})
    assert found == [1.0]
    assert run.param_schedulers[0].num_bad_epochs == 0


def test_runs_without_schedules_count_nothing():
    run = Run()
    run.param_schedulers = None
    run.train_epoch((1, {}))
    run.hook.after_val_epoch(run, {"PxAP": 1.0})
    assert run.told == []


#: Nothing that a few epochs reach counts as better than the first: one epoch is borne.
PLATEAU = {"type": "ReduceOnPlateauLR", "monitor": "train/loss", "threshold": 0.99, "patience": 1}
SHORT = {
    "param_scheduler": [PLATEAU],
    "optim_wrapper__optimizer": {"type": "SGD", "lr": 0.03, "momentum": 0.9, "_delete_": True},
    "train_cfg__max_epochs": 4,
    "train_cfg__val_interval": 2,
    "log_interval": 1,
}


def content(folder, epoch):
    return read_checkpoint(folder / f"epoch_{epoch}.pth")


def test_a_training_lowers_its_rate_and_goes_on_alike_after_a_kill(tiny_config, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(tiny_config(**SHORT), whole)
    line = "lr 0.03 -> 0.003: train/loss has not fallen below"
    assert line in capsys.readouterr().out
    (log,) = whole.glob("*/vis_data/scalars.json")
    steps = [json.loads(text) for text in log.read_text().splitlines()]
    steps = [step for step in steps if "loss" in step]
    assert [step["lr"] for step in steps] == pytest.approx([0.03] * 9 + [0.003] * 3)
    state = content(whole, 4)["param_schedulers"][0]
    # A line of the log is the mean of the run's last ten steps: the third, that of an epoch.
    assert state["best"] == pytest.approx(steps[2]["loss"], rel=1e-5)

    runner = training_runner(tiny_config(**SHORT), cut)

    class Killed(Exception):
        pass

    def kill(*_, **__):
        if runner.iter == 7:  # within the third epoch, the one that lowers the rate
            raise Killed

    runner.hooks[-1].before_train_iter = kill
    with pytest.raises(Killed):
        runner.train()
    assert content(cut, 2)["param_schedulers"][0]["num_bad_epochs"] == 1
    train(tiny_config(**SHORT), cut, resume=True)
    first, second = content(whole, 4), content(cut, 4)
    assert first["param_schedulers"] == second["param_schedulers"]
    assert first["optimizer"]["param_groups"] == second["optimizer"]["param_groups"]
    weights = first["state_dict"]
    assert all(torch.equal(value, second["state_dict"][key]) for key, value in weights.items())


def test_an_unknown_loss_stops_the_training_at_its_first_step(tiny_config, tmp_path):
    wrong = [{**PLATEAU, "monitor": "train/los"}]
    runner = training_runner(tiny_config(**{**SHORT, "param_scheduler": wrong}), tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'train/loss'") as caught:
        runner.train()
    assert runner.iter == 0
    assert "train/loss_cls" in caught.value.known
