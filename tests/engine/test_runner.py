"""What the runner refuses when it builds, and what it leaves on the terminal."""

import pytest

from wsoltool.engine.hooks import ProgressHook
from wsoltool.engine.training import train, training_runner
from wsoltool.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optim_wrapper__optimizer__lr", -1, "Invalid learning rate"),
        ("optim_wrapper__optimizer__lr", "fast", "not supported between"),
        ("param_scheduler", [{"type": "LinearLR", "start_factor": 2}], "between 0 and 1"),
        ("param_scheduler", [{"type": "LinearLR", "begin": 5, "end": 1}], "end should be larger"),
    ],
)
def test_values_that_torch_refuses_are_errors_of_the_config(
    tiny_config, tmp_path, key, value, message
):
    with pytest.raises(ConfigError, match=message) as caught:
        train(tiny_config(**{key: value}), tmp_path)
    assert caught.value.at == key.partition("__")[0]


def test_too_few_images_for_a_full_batch_are_refused(tiny_config, tmp_path):
    config = tiny_config(train_dataloader__batch_size=25, train_dataloader__drop_last=True)
    with pytest.raises(ConfigError, match="24 images in split train-weaksup do not fill a batch"):
        train(config, tmp_path)


def test_a_run_that_fails_closes_the_progress_bar(tiny_config, tmp_path, monkeypatch):
    runner = training_runner(tiny_config(), tmp_path)
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, ProgressHook)]
    stopped = []

    class Bar:
        def stop(self):
            stopped.append(True)

    def fail(*args, **kwargs):
        hook._bar = Bar()
        raise RuntimeError("a bug")

    monkeypatch.setattr(hook, "before_train", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        runner.train()
    assert stopped == [True]
    assert hook._bar is None
