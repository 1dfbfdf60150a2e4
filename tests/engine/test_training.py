"""Training end to end on tiny data: files, log, resume, seeds, precision, refusals."""

import json
import os
import stat

import pytest
import torch

from wsoltool.engine.checkpoints import latest_checkpoint, read_checkpoint
from wsoltool.engine.training import train, training_runner
from wsoltool.errors import CheckpointError, ConfigError, DataError, WorkDirError

HEAD_FASTER = {"custom_keys": {"head": {"lr_mult": 2}}, "norm_decay_mult": 0}


def weights(path):
    return read_checkpoint(path)["state_dict"]


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def test_a_run_leaves_checkpoints_config_and_log(tiny_config, tmp_path):
    last = train(tiny_config(), tmp_path)
    assert last == tmp_path / "last.pth"
    assert {"epoch_1.pth", "epoch_2.pth"} <= {path.name for path in tmp_path.glob("*.pth")}
    assert (tmp_path / "cam_small_creatures.py").is_file()
    content = read_checkpoint(last)
    assert content["meta"]["classes"][0]
    assert "optimizer" not in content
    assert same(content["state_dict"], weights(tmp_path / "epoch_2.pth"))


def test_the_dumped_config_trains_alike(tiny_config, tmp_path):
    from wsoltool.config import load_config

    train(tiny_config(), tmp_path / "a")
    train(load_config(tmp_path / "a" / "cam_small_creatures.py"), tmp_path / "b")
    assert same(weights(tmp_path / "a" / "last.pth"), weights(tmp_path / "b" / "last.pth"))


def test_the_dumped_config_keeps_the_order_of_groups_of_inserts(tiny_config, tmp_path):
    from wsoltool.config import load_config

    norm = {"at": "stage2", "module": {"type": "BatchNorm"}}
    drop = {"at": "stage2", "module": {"type": "DropBlock", "block_size": 1}}
    config = tiny_config(model__inserts={"sa": drop, "bn": [norm], "a": None})
    runner = training_runner(config, tmp_path)
    again = load_config(tmp_path / "cam_small_creatures.py")
    assert list(again.model.inserts.items()) == list(config.model.inserts.items())
    assert list(again.model.inserts) == ["sa", "bn", "a"]
    # So in what checkpoints and the log's backend are given.
    text = runner.cfg.pretty_text
    assert text.index("sa=") < text.index("bn=") < text.index("a=None")


def test_the_log_has_loss_and_speed(tiny_config, tmp_path):
    train(tiny_config(log_interval=1), tmp_path)
    (log,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    training = [line for line in lines if "loss_cls" in line]
    assert len(training) == 6
    assert all(line["images_per_s"] > 0 for line in training)
    assert any("MaxBoxAccV2" in line for line in lines)


def test_the_loss_falls(tiny_config, tmp_path):
    config = tiny_config(
        train_cfg__max_epochs=12,
        train_cfg__val_interval=0,
        train_dataloader__dataset__length=8,
        param_scheduler=[],
        log_interval=1,
    )
    train(config, tmp_path)
    (log,) = tmp_path.glob("*/vis_data/scalars.json")
    losses = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]


def test_same_seed_same_weights_other_seed_other_weights(tiny_config, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_config(randomness__seed=seed), tmp_path / name)
    a, b, c = (weights(tmp_path / name / "last.pth") for name in "abc")
    assert same(a, b)
    assert not same(a, c)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny_config, tmp_path, workers):
    # Augmentation in the workers, erasing in the main process, a schedule, several groups.
    options = {
        "optim_wrapper__paramwise_cfg": HEAD_FASTER,
        "model__frozen": "stage1",
        "train_cfg__max_epochs": 3,
        "train_cfg__val_interval": 0,
        "train_dataloader__num_workers": workers,
        "model__inserts": [{"at": "stage3", "module": {"type": "DropBlock", "block_size": 1}}],
    }
    train(tiny_config(**options), tmp_path / "whole")
    runner = training_runner(tiny_config(**options), tmp_path / "cut")

    class Killed(Exception):
        pass

    def kill(*_):
        if runner.epoch == 2:
            raise Killed

    runner.hooks[-1].before_train_iter = lambda *args, **kwargs: kill()
    with pytest.raises(Killed):
        runner.train()
    # The work directory may have been moved meanwhile.
    (tmp_path / "cut").rename(tmp_path / "moved")
    train(tiny_config(**options), tmp_path / "moved", resume=True)
    assert same(weights(tmp_path / "whole" / "last.pth"), weights(tmp_path / "moved" / "last.pth"))


def test_epochs_draw_different_augmentations(tiny_config, tmp_path):
    runner = training_runner(
        tiny_config(train_dataloader__num_workers=2, train_dataloader__shuffle=False), tmp_path
    )
    runner.train_loop  # noqa: B018  (builds the loop, so that epochs are counted)
    first, again = [], []
    for store, epoch in ((first, 0), (again, 1)):
        runner.train_loop._epoch = epoch
        runner.call_hook("before_train_epoch")
        for batch in runner.train_dataloader:
            store += [sample.flipped for sample in batch["samples"]]
    assert sorted(set(first)) == [False, True]
    assert first != again


def test_mixed_precision_trains(tiny_config, tmp_path):
    last = train(tiny_config(), tmp_path, amp=True)
    values = weights(last).values()
    assert all(value.isfinite().all() for value in values if value.is_floating_point())
    assert all(value.dtype is not torch.bfloat16 for value in values)


def test_load_from_starts_with_those_weights(tiny_config, tmp_path):
    last = train(tiny_config(), tmp_path / "a")
    runner = training_runner(tiny_config(load_from=str(last)), tmp_path / "b")
    assert same(dict(runner.model.state_dict()), weights(last))


def test_resume_without_a_checkpoint_is_refused(tiny_config, tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        train(tiny_config(), tmp_path, resume=True)


def test_resume_with_other_parameter_groups_is_refused(tiny_config, tmp_path):
    train(tiny_config(), tmp_path)
    for change in ({"model__frozen": "stage1"}, {"optim_wrapper__paramwise_cfg": HEAD_FASTER}):
        with pytest.raises(CheckpointError, match="parameter groups are others") as caught:
            train(tiny_config(**change), tmp_path, resume=True)
        assert "load_from" in caught.value.hint


def test_latest_checkpoint_lies_in_the_folder_that_is_asked(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("/elsewhere/epoch_3.pth")
    (tmp_path / "epoch_3.pth").write_bytes(b"")
    assert latest_checkpoint(tmp_path) == tmp_path / "epoch_3.pth"


@pytest.mark.parametrize("pointer", ["", "/elsewhere/epoch_9.pth"])
def test_the_newest_readable_checkpoint_is_taken_where_a_save_was_killed(tmp_path, pointer):
    (tmp_path / "last_checkpoint").write_text(pointer)
    (tmp_path / "epoch_11.pth").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="no checkpoint is left") as caught:
        latest_checkpoint(tmp_path)
    assert caught.value.at == str(tmp_path)
    for epoch in (8, 10):
        torch.save({"state_dict": {}}, tmp_path / f"epoch_{epoch}.pth")
    assert latest_checkpoint(tmp_path) == tmp_path / "epoch_10.pth"


def test_class_count_must_fit_the_data(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="the head has 7 classes, the data set has 10") as caught:
        train(tiny_config(model__head__num_classes=7), tmp_path)
    assert "model.head.num_classes" in str(caught.value)


def test_splits_must_have_the_same_classes(tiny_config, tmp_path):
    with pytest.raises(DataError, match="train-fullsup"):
        train(tiny_config(val_dataloader__dataset__num_classes=8), tmp_path)


def test_work_directory_that_is_a_file_is_refused(tiny_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkDirError, match="cannot be written"):
        train(tiny_config(), tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_work_directory_without_permission_is_refused(tiny_config, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(WorkDirError, match="--work-dir"):
        train(tiny_config(), tmp_path / "new")
