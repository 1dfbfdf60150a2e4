"""``wsoltool complexity``: what it prints, writes and refuses."""

from __future__ import annotations

import json

import pytest

from wsoltool.config import bundled_configs

CONFIG = "cam/cam_small_creatures.py"
MODEL = """
model = dict(
    type="Localizer",
    backbone=dict(type="SmallNet", channels=(4, 6, 8)),
    inserts=[dict(at="{point}", module=dict(type="BatchNorm"))],
    head=dict(type="cam.CAMHead", num_classes=3),
)
"""
LOADER = """
{name} = dict(
    dataset=dict(
        type="Images",
        reader=dict(type="ImageFolders"),
        split="{split}",
        pipeline=[dict(type="Resize", size={size})],
    )
)
"""


@pytest.fixture
def config(tmp_path):
    """A function that writes a config with one insert and the loaders asked for."""

    def write(point="stage2", **sizes):
        names = {"train": "train-weaksup", "test": "test"}
        loaders = [
            LOADER.format(name=f"{name}_dataloader", split=names[name], size=size)
            for name, size in sizes.items()
        ]
        path = tmp_path / "config.py"
        path.write_text(MODEL.format(point=point) + "".join(loaders))
        return path

    return write


@pytest.fixture
def figures(wsoltool, tmp_path):
    """What a command that must succeed writes with ``--json``."""

    def run(*arguments):
        file = tmp_path / "out" / "figures.json"
        outcome = wsoltool("complexity", *arguments, "--json", file)
        assert outcome.code == 0, outcome
        assert f"figures: {file}" in outcome.out
        return json.loads(file.read_text())

    return run


LARGE = ("vgg16", "resnet50", "inceptionv3", "densenet161")  # seconds each, to be made


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if any(n in name for n in LARGE) else [])
        for name in bundled_configs()
    ],
)
def test_every_bundled_config_has_its_costs(figures, name):
    side = 160 if name.startswith("mldfr/") else 64  # their smallest view is a fifth of the input
    found = figures(name, "--size", side)
    assert found["input"] == [side, side]
    assert 0 < found["params"] == found["trainable_params"]
    assert 0 < found["flops"] <= found["test_flops"]
    assert found["activation_bytes"] > side * side * 3 * 4
    # Of an ensemble, a member's.
    assert "last" in {point.rpartition("/")[2] for point in found["points"]}


def test_keys_and_sums(figures):
    found = figures(CONFIG, "--cfg-options", "model.fusion.type=Flip")
    assert set(found) == {
        *("params", "trainable_params", "flops", "activation_bytes", "input", "modules"),
        *("views", "test_flops", "points", "config", "cfg_options"),
    }
    # Convolutions of 3 x 3: 48 x 48 places, then 24 x 24; the classifier of ten classes.
    flops = 48**2 * 9 * 3 * 16 + 24**2 * 9 * (16 * 32 + 32 * 48 + 48 * 48) + 48 * 10
    assert found["flops"] == flops
    assert found["input"] == [96, 96]
    views = [(view["flip"], view["size"], view["flops"]) for view in found["views"]]
    assert views == [(False, [96, 96], flops), (True, [96, 96], flops)]
    assert found["test_flops"] == 2 * flops
    for key in ("params", "flops", "activation_bytes"):
        assert sum(module[key] for module in found["modules"]) == found[key]
    assert found["points"]["stage1"] == {"channels": 16, "stride": 2, "shape": [16, 48, 48]}
    assert found["config"].endswith("cam_small_creatures.py")
    assert found["cfg_options"] == ["model.fusion.type=Flip"]


def test_depth_changes_what_is_printed_alone(wsoltool, figures):
    assert figures(CONFIG) == figures(CONFIG, "--depth", 2)
    stages, steps = (
        wsoltool("complexity", CONFIG).out,
        wsoltool("complexity", CONFIG, "--depth", 2).out,
    )
    assert "  stage1  conv1 .. relu1" in stages
    assert "backbone.conv1" in steps
    assert "stage1" not in steps


def test_points_are_listed_when_asked_for(wsoltool):
    assert "insert point" not in wsoltool("complexity", CONFIG).out
    lines = wsoltool("complexity", CONFIG, "--points").out.splitlines()
    (relu1,) = (line.split() for line in lines if line.startswith(" relu1"))
    assert relu1 == ["relu1", "stage1", "16", "2", "16", "x", "48", "x", "48"]
    assert any(line.split()[:3] == ["relu4", "stage4,", "last"] for line in lines)


def test_train_and_test_have_their_own_sizes(wsoltool, figures, config):
    path = config(train=32, test=(48, 64))
    found = figures(path)
    assert found["input"] == [32, 32]
    assert [view["size"] for view in found["views"]] == [[48, 64]]
    text = " ".join(wsoltool("complexity", path).out.split())
    assert "Input: 32 x 32, from the train pipeline for a photo of 375 x 500." in text
    assert "input 48 x 64, from the test pipeline for a photo of 375 x 500." in text


def test_a_size_replaces_both(wsoltool, figures, config):
    found = figures(config(train=32, test=48), "--size", 16, 24)
    assert found["input"] == found["views"][0]["size"] == [16, 24]
    assert "Input: 16 x 24, from --size." in wsoltool("complexity", config(), "--size", 16, 24).out


def test_one_loader_serves_for_both_and_is_named(wsoltool, config):
    for name in ("train", "test"):
        text = " ".join(wsoltool("complexity", config(**{name: 32})).out.split())
        assert text.count(f"32 x 32, from the {name} pipeline") == 2


def test_a_config_without_loaders_needs_a_size(refused, wsoltool, config):
    message = refused("complexity", config())
    assert "how large the network's input is" in message
    assert "--size" in message
    assert wsoltool("complexity", config(), "--size", 32).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", 1, 2, 3), "3 lengths make no size"),
        (("--size", 2), "too small for SmallNet"),
        (("--json", "."), "a folder stands where a file is to be written"),
        (("--cfg-options", "model.head.type=cam.CAMHaed"), "did you mean 'cam.CAMHead'?"),
    ],
)
def test_what_cannot_be_measured_is_refused(refused, arguments, message):
    assert message in refused("complexity", CONFIG, *arguments)


@pytest.mark.parametrize(
    "arguments", [("--size",), ("--size", "0"), ("--size", "x"), ("--depth", 0)]
)
def test_wrong_usage_exits_with_2(wsoltool, arguments):
    assert wsoltool("complexity", CONFIG, *arguments).code == 2


def test_a_wrong_insert_point_is_told_and_the_right_ones_are_listed(wsoltool, refused, config):
    path = config(point="stagee2", train=32)
    message = refused("complexity", path)
    assert "SmallNet has no insert point 'stagee2'" in message
    assert "at: model.inserts[0].at" in message
    assert "did you mean 'stage2'?" in message
    outcome = wsoltool("complexity", path, "--points")
    assert outcome.code == 1
    assert outcome.err == f"error: {message.removeprefix('error: ')}"
    assert "relu2         stage2" in outcome.out


@pytest.fixture
def grouped(config):
    """A function that writes the config with its insert in a group; its path."""

    def write(point):
        path = config(point=point, train=32)
        text = path.read_text().replace("inserts=[", "inserts=dict(bn=[")
        path.write_text(text.replace("))]", "))])"))
        return path

    return write


def test_a_wrong_point_of_a_group_lists_the_right_ones_too(wsoltool, grouped):
    outcome = wsoltool("complexity", grouped("stagee2"), "--points")
    assert "at: model.inserts.bn[0].at" in outcome.err
    assert "relu2         stage2" in outcome.out


def test_a_group_that_is_left_out_costs_nothing(figures, grouped):
    path = grouped("stage2")
    whole = figures(path)["params"]
    without = figures(path, "--cfg-options", "model.inserts.bn=None")["params"]
    assert whole - without == 2 * 6


def test_pretrained_weights_are_not_read(figures):
    options = ("--cfg-options", "model.backbone.pretrained=no-such-weights")
    assert figures("cam/cam_vgg16_cub.py", "--size", 32, *options)["params"] > 19e6


def test_maps_that_cost_more_are_told(wsoltool):
    assert "ScoreCAM" in wsoltool("complexity", "gradcam/scorecam_small_creatures.py").out
    assert "maps of" not in wsoltool("complexity", CONFIG).out


@pytest.mark.slow
def test_the_readme_shows_what_the_command_prints(wsoltool, readme):
    command, table, *_ = readme.partition("## Complexity\n")[2].split("```\n\n```\n")
    name = command.split("configs/")[1].split()[0]
    printed = [line.rstrip() for line in wsoltool("complexity", name).out.splitlines()]
    shown = table.partition("```")[0].splitlines()
    assert len(shown) > 10
    assert shown == [line for line in printed if line in shown]
