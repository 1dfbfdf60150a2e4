"""``wsoltool check``: every bundled config, and configs of every wrong shape."""

import copy

import pytest
from mmengine.config import Config

from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.errors import ConfigProblems
from wsoltool.preflight import check

CONFIG = "cam/cam_small_creatures.py"
WRONG = (None, 3, -1, 1.5, "x", "", [], {}, [3], True, float("nan"))


@pytest.mark.parametrize("name", bundled_configs())
def test_bundled_configs_have_no_problems(wsoltool, name):
    outcome = wsoltool("check", name)
    assert outcome.code == 0, outcome
    assert "no problems" in outcome.out
    assert outcome.err == ""


def test_all_mistakes_are_told_at_once(refused):
    wrong = ("model.fusoin.type=Flip", "train_cfg.max_epochs=0", "model.head.type=cam.CAMHaed")
    message = refused("check", CONFIG, "--cfg-options", *wrong[1:])
    assert "2 problems in the configuration" in message
    assert "did you mean 'cam.CAMHead'?" in message
    assert "max_epochs is 0" in message
    assert "did you mean 'fusion'?" in refused("check", CONFIG, "--cfg-options", wrong[0])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("evaluation.protocols=[wsolevalution]", "did you mean 'wsolevaluation'?"),
        ("randomness.seed=one", "seed is 'one'"),
        ("data_root=3", "data_root is 3"),
        ("log_interval=0", "log_interval is 0"),
        ("model.inserts=3", "inserts is 3"),
        ("custom_hooks=3", "custom_hooks is 3"),
        ("model.preprocessor=3", "preprocessor is 3"),
        ("param_scheduler=[3]", "3 is no param_scheduler"),
        ("param_scheduler.0.type=[]", "param_scheduler [] not found"),
        ("param_scheduler.0.start_factor=0", "start_factor is 0"),
        ("train_cfg=None", "train_cfg is None"),
        ("train_cfg.end=3", "unknown key 'end'"),
    ],
)
def test_values_of_a_wrong_kind_are_named(refused, option, message):
    assert message in refused("check", CONFIG, "--cfg-options", option)


def paths(node, prefix=()):
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*prefix, key))


def complete():
    """A config that uses every slot."""
    config = load_config(CONFIG)
    tree = {key: plain(config[key]) for key in config}
    tree["model"] |= {
        "inserts": [{"at": "stage1", "module": {"type": "BatchNorm"}}],
        "batch_augmentations": [{"type": "has.HideAndSeek", "grid_size": 4}],
        "preprocessor": {"channels_last": True},
    }
    tree |= {"custom_hooks": [{"type": "mmengine.EMAHook"}]}
    tree["metrics"] = [{"type": "DetectionMetric", "ious": (0.5,), "ap": "11point"}]
    tree |= {"checkpoint": {"save_best": "MaxBoxAccV2"}, "load_from": "x.pth", "data_root": "x"}
    return Config(tree, filename=config.filename)


def test_the_complete_config_is_sound():
    check(complete(), "train")


def test_whatever_stands_anywhere_the_preflight_answers_or_passes():
    sound = complete()
    tree = {key: plain(sound[key]) for key in sound}
    refused = []
    for path in paths(tree):
        for value in WRONG:
            changed = copy.deepcopy(tree)
            node = changed
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = value
            try:
                check(Config(changed, filename=sound.filename), "train")
            except ConfigProblems as error:
                refused.append(error)
    assert len(refused) > 500
    assert all(problem.at for error in refused for problem in error.problems)
