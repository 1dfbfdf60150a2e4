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


@pytest.fixture
def child(tmp_path):
    """A function that writes a config that changes parts of the demo's; its path."""

    def write(**parts):
        lines = [f"_base_ = [{str(bundled_configs()[CONFIG])!r}]"]
        lines += [f"{key} = {value!r}" for key, value in parts.items()]
        path = tmp_path / "child.py"
        path.write_text("\n".join(lines))
        return path

    return write


def test_the_optimizers_groups_are_shown(wsoltool, child):
    outcome = wsoltool(
        "check",
        child(model={"frozen": "stage1"}, optim_wrapper={"paramwise_cfg": {"norm_decay_mult": 0}}),
    )
    assert outcome.code == 0, outcome
    assert outcome.out.splitlines()[1:] == [
        "optimizer: AdamW",
        "group   tensors  parameters    lr  weight decay",
        "others        5      39,658  0.01          0.01",
        "norms         6         256  0.01             0",
        "frozen        3         464",
    ]


def test_the_manuals_groups_are_those_of_its_config(wsoltool, readme, tmp_path):
    section = readme.partition("## Optimise")[2].partition("\n## ")[0]
    _, config, _, table, _ = section.split("```")
    base = bundled_configs()["cam/cam_resnet50_cub.py"]
    text = config.removeprefix("python").replace("wrapper = dict(", "wrapper = dict(_delete_=True,")
    (tmp_path / "child.py").write_text(f"_base_ = [{str(base)!r}]\n{text}")
    outcome = wsoltool("check", tmp_path / "child.py")
    assert outcome.out.partition("\n")[2] == table.lstrip("\n")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train_dataloader": {"batch_size": 1}}, "a batch of one image"),
        ({"optim_wrapper": {"optimizer": {"lr": -1}}}, "Invalid learning rate"),
        ({"model": {"frozen": "stag1"}}, "did you mean 'stage1'?"),
        ({"model": {"frozen": 3}}, "frozen is 3"),
        (
            {"optim_wrapper": {"paramwise_cfg": {"norm_decay": 0}}},
            "did you mean 'norm_decay_mult'?",
        ),
        (
            {"optim_wrapper": {"paramwise_cfg": {"custom_keys": {"haed": {}}}}},
            "did you mean 'head'?",
        ),
        ({"model": {"compile": {"mode": "fast"}}}, "Unrecognized mode=fast"),
    ],
)
def test_what_does_not_fit_the_model_is_told(refused, child, parts, message):
    assert message in refused("check", child(**parts))


def test_one_image_with_kept_norms_is_sound(wsoltool):
    options = ("train_dataloader.batch_size=1", "model.norm_eval=True")
    assert wsoltool("check", CONFIG, "--cfg-options", *options).code == 0


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
    tree["model"] |= {"frozen": "stage1", "norm_eval": True, "compile": {"mode": "default"}}
    tree["optim_wrapper"]["paramwise_cfg"] = {
        "custom_keys": {"head": {"lr_mult": 10}},
        "norm_decay_mult": 0,
        "bypass_duplicate": False,
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
