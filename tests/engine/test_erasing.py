"""What the log and people are told of mask erasers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from wsoltool.engine.erasing import ErasingHook
from wsoltool.engine.hooks import ProgressHook
from wsoltool.engine.training import train
from wsoltool.errors import ConfigError
from wsoltool.models.contracts import MaskEraser


class Eraser(MaskEraser):
    cases = ("passed", "hidden")


class Plain(MaskEraser):
    """Knows one case alone."""


class Run:
    """A runner that trains on nothing: batches are (images, figures)."""

    def __init__(self, max_epochs=2, **inserts):
        self.hook, self.progress = ErasingHook(), ProgressHook()
        self.told, self.shown = [], []
        self.progress.tell = lambda runner, line: self.shown.append(line)
        self.model = SimpleNamespace(inserts=nn.ModuleDict(inserts) if inserts else None)
        self.logger = SimpleNamespace(info=self.told.append)
        self.hooks, self.epoch, self.max_epochs = [self.progress, self.hook], 0, max_epochs

    def train_epoch(self, *batches):
        self.hook.before_train_epoch(self)
        for index, (images, figures) in enumerate(batches):
            outputs = {name: torch.tensor(value) for name, value in figures.items()}
            batch = {"samples": [None] * images}
            self.hook.after_train_iter(self, index, batch, {"loss": torch.tensor(1.0), **outputs})
        self.hook.after_train_epoch(self)
        self.epoch += 1


def figures(passed, area, name="late"):
    return {f"{name}/passed": passed, f"{name}/hidden": 1 - passed, f"{name}/hidden area": area}


def test_a_line_after_every_epoch_of_means_over_its_images():
    run = Run(late=Eraser())
    # Of ten images: 0.5 * 8 + 1 * 2 are passed, 0.1 * 8 hidden.
    run.train_epoch((8, figures(0.5, 0.1)), (2, figures(1.0, 0.0)))
    line = "Eraser at late: passed 60.0 %, hidden 40.0 % of the images; 8.0 % of the area hidden"
    assert run.told == [f"epoch 1, {line}"]
    assert run.shown == []


def test_people_are_told_after_the_last_epoch_of_it_alone():
    run = Run(late=Eraser())
    run.train_epoch((8, figures(0.5, 0.1)))
    run.train_epoch((8, figures(0.25, 0.3)))
    line = "Eraser at late: passed 25.0 %, hidden 75.0 % of the images; 30.0 % of the area hidden"
    assert run.shown == [f"epoch 2, {line}"]
    assert len(run.told) == 1


def test_an_eraser_that_hides_nothing_is_told_with_what_to_do():
    run = Run(max_epochs=1, early=Eraser(), late=Eraser())
    run.train_epoch((4, {**figures(1.0, 0.0, "early"), **figures(0.5, 0.1)}))
    assert run.shown == [
        "epoch 1, Eraser at early: passed 100.0 %, hidden 0.0 % of the images;"
        " 0.0 % of the area hidden",
        "Eraser at early hides nothing: the last epoch trained as without it. Its thresholds may"
        " not suit maps of this size: change them or its place in model.inserts",
        "epoch 1, Eraser at late: passed 50.0 %, hidden 50.0 % of the images;"
        " 10.0 % of the area hidden",
    ]


def test_an_eraser_of_one_case_tells_its_area():
    run = Run(max_epochs=1, late=Plain())
    run.train_epoch((4, {"late/hidden area": 0.125}))
    assert run.shown == ["epoch 1, Plain at late: 12.5 % of the area hidden"]


@pytest.mark.parametrize("inserts", [{}, {"norm": nn.BatchNorm2d(2)}, {"late": Eraser()}])
def test_where_nothing_is_hidden_nothing_is_told(inserts):
    run = Run(max_epochs=1, **inserts)
    run.train_epoch((4, {"loss_cls": 1.0, "other/hidden area": 0.5}))
    assert run.told == run.shown == []


def test_epochs_are_counted_apart():
    run = Run(max_epochs=3, late=Eraser())
    for area in (0.5, 0.25, 0.0):
        run.train_epoch((4, figures(0.0, area)))
    assert [line.rpartition("; ")[2] for line in run.told] == [
        "50.0 % of the area hidden",
        "25.0 % of the area hidden",
    ]
    assert "hides nothing" in run.shown[-1]


def test_a_training_writes_it_into_its_log(tiny_config, tmp_path, capsys):
    # The one passes whatever has a peak, the other asks nothing.
    idle = {"type": "ass.SelectionStrategy", "large_peak": 0.0, "dispersion": 1000.0}
    busy = {"type": "ass.SelectionStrategy", "always_hide": True}
    inserts = [{"at": "stage2", "module": idle}, {"at": "stage3", "module": busy}]
    options = {"model__inserts": inserts, "train_cfg__val_interval": 0}
    last = train(tiny_config(**options), tmp_path)
    (log,) = tmp_path.glob("*/*.log")
    lines = log.read_text().splitlines()
    assert sum("epoch 1, SelectionStrategy at stage" in line for line in lines) == 2
    assert sum("epoch 2, SelectionStrategy at stage" in line for line in lines) == 2
    shown = capsys.readouterr().out
    assert "epoch 1, SelectionStrategy" not in shown
    assert "epoch 2, SelectionStrategy at stage2: scattered 0.0 %, passed 100.0 %" in shown
    assert "SelectionStrategy at stage2 hides nothing" in shown
    assert "epoch 2, SelectionStrategy at stage3: scattered 0.0 %, passed 0.0 %, hidden 1" in shown
    assert "SelectionStrategy at stage3 hides nothing" not in shown
    content = torch.load(last)
    assert not [name for name in content["state_dict"] if name.startswith("inserts.")]


def test_an_eraser_before_a_relu_stops_the_training_at_once(tiny_config, tmp_path):
    inserts = [{"at": "conv2", "module": {"type": "ass.SelectionStrategy"}}]
    options = {"model__inserts": inserts, "train_cfg__val_interval": 0}
    with pytest.raises(ConfigError, match="SelectionStrategy at conv2 looks at negative") as caught:
        train(tiny_config(**options), tmp_path)
    assert caught.value.at == "model.inserts"
    assert "behind a ReLU" in caught.value.expected
    assert not list(tmp_path.glob("*.pth"))
