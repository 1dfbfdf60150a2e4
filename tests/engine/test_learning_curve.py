"""What a run keeps of its epochs: the table by hand, resumed, diverged; the plot opened."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
import torch

from wsoltool.engine.hooks import ProgressHook
from wsoltool.engine.learning_curve import (
    LearningCurveHook,
    Point,
    draw,
    read_points,
    write_points,
)
from wsoltool.engine.scoring import score_checkpoint
from wsoltool.engine.training import train, training_runner
from wsoltool.errors import DataError, WorkDirError

CSV, PNG = "learning_curve.csv", "learning_curve.png"


class Run:
    """A runner that trains on nothing: batches are (images, losses)."""

    def __init__(self, folder, epoch=0):
        self.work_dir, self.epoch, self.told = str(folder), epoch, []
        self.folder, self.hook, progress = folder, LearningCurveHook(), ProgressHook()
        progress.tell = lambda runner, line: self.told.append(line)
        self.hooks = [progress, self.hook]
        self.hook.before_train(self)

    def train_epoch(self, *batches):
        self.hook.before_train_epoch(self)
        for index, (images, losses) in enumerate(batches):
            outputs = {name: torch.tensor(value) for name, value in losses.items()}
            self.hook.after_train_iter(self, index, {"samples": [None] * images}, outputs)
        self.hook.after_train_epoch(self)
        self.epoch += 1

    def validate(self, **figures):
        self.hook.after_val_epoch(self, figures)

    def finish(self):
        self.hook.after_train(self)

    @property
    def rows(self):
        return (self.folder / CSV).read_text().splitlines()[1:]


def picture(folder):
    image = cv2.imread(str(folder / PNG))
    assert image is not None
    return image


def test_the_table_has_means_over_images_and_validations_by_hand(tmp_path):
    run = Run(tmp_path)
    # 8 images of 1 and 2 of 6: (8 + 12) / 10.
    run.train_epoch((8, {"loss": 1.0, "loss_a": 0.5}), (2, {"loss": 6.0, "loss_a": 0.5}))
    run.validate(**{"Top-1 Cls": 25.0, "GT-known Loc (test-oracle, small)": 0.1})
    run.train_epoch((3, {"loss": 0.25, "loss_a": -1.0, "foreground": 0.5}))
    assert (tmp_path / CSV).read_bytes() == (
        b"epoch,name,value\n"
        b"1,train/loss,2.0\n"
        b"1,train/loss_a,0.5\n"
        b"1,val/Top-1 Cls,25.0\n"
        b'1,"val/GT-known Loc (test-oracle, small)",0.1\n'
        b"2,train/loss,0.25\n"
        b"2,train/loss_a,-1.0\n"
    )


def test_a_loss_of_some_batches_is_the_mean_over_their_images(tmp_path):
    run = Run(tmp_path)
    run.train_epoch((4, {"loss": 1.0}), (2, {"loss": 1.0, "loss_rare": 3.0}))
    assert run.rows == ["1,train/loss,1.0", "1,train/loss_rare,3.0"]


def test_half_precision_is_summed_exactly(tmp_path):
    run = Run(tmp_path)
    run.hook.before_train_epoch(run)
    for index in range(300):
        outputs = {"loss": torch.tensor(300.0 + 2 * (index % 2), dtype=torch.float16)}
        run.hook.after_train_iter(run, index, {"samples": [None] * 128}, outputs)
    run.hook.after_train_epoch(run)
    assert run.rows == ["1,train/loss,301.0"]


def test_steps_keep_losses_where_they_are_and_no_graph(tmp_path):
    run = Run(tmp_path)
    run.hook.before_train_epoch(run)
    weight = torch.ones((), requires_grad=True)
    run.hook.after_train_iter(run, 0, {"samples": [None]}, {"loss": 2 * weight})
    (total,) = run.hook._sums.values()
    assert isinstance(total, torch.Tensor)
    assert not total.requires_grad


def test_the_plot_comes_with_validations_and_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "wsoltool.engine.learning_curve.draw", lambda path, points: drawn.append(len([*points]))
    )
    run = Run(tmp_path)
    run.train_epoch((1, {"loss": 1.0}))
    assert drawn == []
    run.validate(accuracy=1.0)
    assert drawn == [2]
    run.train_epoch((1, {"loss": 1.0}))
    run.finish()
    assert drawn == [2, 3]
    assert run.told == [f"learning curve: {tmp_path / PNG}"]


def test_a_last_validation_leaves_nothing_to_draw(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("wsoltool.engine.learning_curve.draw", lambda *_: drawn.append(1))
    run = Run(tmp_path)
    run.train_epoch((1, {"loss": 1.0}))
    run.validate(accuracy=1.0)
    run.finish()
    assert drawn == [1]
    assert len(run.told) == 1


def test_a_run_of_no_epoch_tells_nothing(tmp_path):
    run = Run(tmp_path)
    run.finish()
    assert run.told == []
    assert not list(tmp_path.iterdir())


def test_a_diverged_loss_is_shown_and_not_fatal(tmp_path):
    run = Run(tmp_path)
    for value in (1.0, math.nan, math.inf, 2.0):
        run.train_epoch((2, {"loss": value}), (2, {"loss": 1.0}))
    run.validate(accuracy=math.nan)
    run.finish()
    assert run.rows == [
        "1,train/loss,1.0",
        "2,train/loss,nan",
        "3,train/loss,inf",
        "4,train/loss,1.5",
        "4,val/accuracy,nan",
    ]
    assert [p.epoch for p in read_points(tmp_path / CSV) if not math.isfinite(p.value)] == [2, 3, 4]
    assert picture(tmp_path).std() > 1


def test_a_resumed_run_replaces_the_epochs_that_it_repeats(tmp_path):
    first = Run(tmp_path)
    for value in (4.0, 3.0, 2.0):
        first.train_epoch((1, {"loss": value}))
        first.validate(accuracy=10 * value)
    second = Run(tmp_path, epoch=2)
    second.train_epoch((1, {"loss": 1.0}))
    assert second.rows == [
        "1,train/loss,4.0",
        "1,val/accuracy,40.0",
        "2,train/loss,3.0",
        "2,val/accuracy,30.0",
        "3,train/loss,1.0",
    ]


def test_a_new_run_begins_a_new_table(tmp_path):
    Run(tmp_path).train_epoch((1, {"loss": 4.0}))
    run = Run(tmp_path)
    run.train_epoch((1, {"loss": 1.0}))
    assert run.rows == ["1,train/loss,1.0"]


def test_a_resumed_run_without_a_table_begins_one(tmp_path):
    run = Run(tmp_path, epoch=5)
    run.train_epoch((1, {"loss": 1.0}))
    assert run.rows == ["6,train/loss,1.0"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no learning curve"),
        ("a,b,c\n1,2,3\n", 1, "no learning curve"),
        ("epoch,name,value\n1,train/loss,1.0\n2,train/lo", 3, "'2,train/lo'"),
        ("epoch,name,value\none,train/loss,1.0\n", 2, "'one,train/loss,1.0'"),
        ("epoch,name,value\n1,train/loss,x\n", 2, "'1,train/loss,x'"),
    ],
)
def test_a_damaged_table_stops_a_resumed_run_before_it_trains(tmp_path, text, line, words):
    (tmp_path / CSV).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        Run(tmp_path, epoch=1)
    assert caught.value.at == f"{tmp_path / CSV}:{line}"
    assert "move it away" in caught.value.hint


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / CSV).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="unreadable learning curve"):
        Run(tmp_path, epoch=1)


def test_a_table_reads_as_it_was_written(tmp_path):
    points = [
        Point(1, "train/loss", 0.1 + 0.2),
        Point(2, 'val/a, "b"\nc', -1e-300),
        Point(30, "val/é", math.inf),
    ]
    write_points(tmp_path / CSV, points)
    assert read_points(tmp_path / CSV) == points


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write_points(tmp_path / CSV, [Point(1, "train/loss", 1.0)])
    before = (tmp_path / CSV).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorkDirError, match="No space left"):
        write_points(tmp_path / CSV, [])
    assert (tmp_path / CSV).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CSV]


def test_drawing_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    draw(tmp_path / PNG, [Point(1, "train/loss", 1.0)])
    assert dict(matplotlib.rcParams) == before


def test_plots_of_one_epoch_and_of_two_kinds_of_figures(tmp_path):
    losses = [Point(1, "train/loss", 2.0), Point(1, "train/loss_cls", 2.0)]
    draw(tmp_path / PNG, losses)
    alone = picture(tmp_path)
    draw(tmp_path / PNG, [*losses, Point(1, "val/Top-1 Cls", 30.0)])
    both = picture(tmp_path)
    assert both.shape == (2 * alone.shape[0], *alone.shape[1:])
    for image in (alone, both):
        colors = np.unique(image.reshape(-1, 3), axis=0)
        # BGR of the first two lines' colours, neither hidden by the other.
        for color in ([0xB2, 0x72, 0x00], [0x00, 0x5E, 0xD5]):
            assert (colors == color).all(axis=1).any()


def test_a_training_leaves_its_curve_and_says_where(tiny_config, tmp_path, capsys):
    train(tiny_config(), tmp_path)
    points = read_points(tmp_path / CSV)
    names = {(p.epoch, p.name) for p in points}
    assert names >= {(e, f"train/{n}") for e in (1, 2) for n in ("loss", "loss_cls")}
    assert (2, "val/GT-known Loc") in names
    assert not [p for p in points if p.epoch == 1 and p.name.startswith("val/")]
    assert picture(tmp_path).std() > 1
    assert capsys.readouterr().out.count(f"learning curve: {tmp_path / PNG}\n") == 1


def test_a_test_in_the_trainings_folder_leaves_the_curve(tiny_config, tmp_path):
    last = train(tiny_config(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (CSV, PNG)}
    score_checkpoint(tiny_config(), last, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in (CSV, PNG)} == before


def test_a_curve_is_the_mean_of_the_steps_losses(tiny_config, tmp_path):
    runner = training_runner(tiny_config(train_cfg__val_interval=0), tmp_path)
    runner.train()
    steps, _ = runner.message_hub.get_scalar("train/loss_cls").data
    points = {(p.epoch, p.name): p.value for p in read_points(tmp_path / CSV)}
    for epoch in (1, 2):
        # Three batches of eight images each.
        mean = steps[3 * epoch - 3 : 3 * epoch].mean()
        assert points[epoch, "train/loss_cls"] == pytest.approx(mean, rel=1e-6)


def test_a_resumed_training_has_the_curve_of_an_uninterrupted_one(tiny_config, tmp_path):
    options = {"train_cfg__max_epochs": 3, "train_cfg__val_interval": 1}
    train(tiny_config(**options), tmp_path / "whole")
    runner = training_runner(tiny_config(**options), tmp_path / "cut")

    class Killed(Exception):
        pass

    def kill(*_, **__):
        if runner.epoch == 2:
            raise Killed

    # Behind the curve's hook: the third epoch is in the table, but in no checkpoint.
    curve = next(hook for hook in runner.hooks if isinstance(hook, LearningCurveHook))
    after = curve.after_train_epoch
    curve.after_train_epoch = lambda runner: (after(runner), kill())
    with pytest.raises(Killed):
        runner.train()
    rows = (tmp_path / "cut" / CSV).read_text()
    assert "\n3,train/loss," in rows
    altered = rows.replace("\n3,train/loss,", "\n3,train/loss,1")
    (tmp_path / "cut" / CSV).write_text(altered)
    train(tiny_config(**options), tmp_path / "cut", resume=True)
    whole = (tmp_path / "whole" / CSV).read_text()
    assert (tmp_path / "cut" / CSV).read_text() == whole


def test_nothing_is_waited_for_in_a_step(tmp_path):
    """Meta tensors have no value: whatever asked one for it would raise."""
    hook = LearningCurveHook()
    hook.before_train_epoch(SimpleNamespace())
    loss = torch.zeros((), device="meta")
    for index in range(2):
        hook.after_train_iter(SimpleNamespace(), index, {"samples": [None]}, {"loss": loss})
