"""Finding, reading and overriding config files."""

import pytest

from wsoltool.config import bundled_configs, find_config, load_config, plain, walk_types
from wsoltool.errors import ConfigError


def write(folder, text, name="c.py"):
    path = folder / name
    path.write_text(text)
    return path


def test_private_variables_are_dropped(tmp_path):
    path = write(tmp_path, "_size = 96\ntrain_cfg = dict(max_epochs=_size)\n")
    config = load_config(path)
    assert list(config) == ["train_cfg"]
    assert config.train_cfg.max_epochs == 96


def test_bundled_configs_are_found_by_name():
    assert find_config("cam/cam_small_creatures.py").is_file()
    assert "cam/cam_small_creatures.py" in bundled_configs()
    assert not any("_base_" in name for name in bundled_configs())


def test_missing_config_hints_the_near_one():
    with pytest.raises(ConfigError, match=r"did you mean 'cam/cam_small_creatures\.py'"):
        find_config("configs/cam/cam_smal_creatures.py")


def test_syntax_error_names_file_and_line(tmp_path):
    path = write(tmp_path, "a = 1\nb = = 2\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.at == f"{path}:2"


def test_runtime_error_names_file_and_line(tmp_path):
    path = write(tmp_path, "a = 1\nb = undefined_name\n")
    with pytest.raises(ConfigError, match="undefined_name") as caught:
        load_config(path)
    assert caught.value.at == f"{path}:2"


def test_missing_base_is_named(tmp_path):
    path = write(tmp_path, "_base_ = ['nowhere.py']\n")
    with pytest.raises(ConfigError, match=r"nowhere\.py"):
        load_config(path)


def test_options_override_nested_values_and_list_items(tmp_path):
    path = write(tmp_path, "model = dict(fusion=dict(scales=(1.0,)), inserts=[dict(at='a')])\n")
    options = {"model.fusion.scales": (1.0, 1.5), "model.inserts.0.at": "pool4"}
    config = load_config(path, options)
    assert config.model.fusion.scales == (1.0, 1.5)
    assert config.model.inserts[0]["at"] == "pool4"


GROUPS = """
model = dict(
    inserts=dict(
        sa=[dict(at='a', module=dict(type='A', size=7)), dict(at='b', module=dict(type='A'))],
        bn=dict(at='c', module=dict(type='B')),
        extra=None,
    ),
)
"""


def test_groups_of_inserts_keep_their_order_and_take_options(tmp_path):
    options = {
        "model.inserts.sa.0.module.size": 3,
        "model.inserts.bn.module.momentum": 0.05,
    }
    inserts = load_config(write(tmp_path, GROUPS), options).model.inserts
    assert list(inserts) == ["sa", "bn", "extra"]
    assert inserts["sa"][0]["module"] == {"type": "A", "size": 3}
    assert inserts["sa"][1]["module"] == {"type": "A"}
    assert inserts["bn"]["module"] == {"type": "B", "momentum": 0.05}


@pytest.mark.parametrize("group", ["sa", "bn", "extra"])
def test_a_group_of_inserts_is_left_out_by_none(tmp_path, group):
    config = load_config(write(tmp_path, GROUPS), {f"model.inserts.{group}": None})
    left = {name for name, entries in config.model.inserts.items() if entries is not None}
    assert left == {"sa", "bn"} - {group}


def test_all_inserts_are_left_out_by_none(tmp_path):
    assert load_config(write(tmp_path, GROUPS), {"model.inserts": None}).model.inserts is None


def test_groups_that_are_not_there_cannot_be_left_out(tmp_path):
    with pytest.raises(ConfigError, match="no group 'bnn' of inserts") as caught:
        load_config(write(tmp_path, GROUPS), {"model.inserts.bnn": None})
    assert "did you mean 'bn'?" in str(caught.value)
    path = write(tmp_path, "model = dict(inserts=[dict(at='a')])\n")
    with pytest.raises(ConfigError, match="no group 'bn' of inserts"):
        load_config(path, {"model.inserts.bn": None})


@pytest.mark.parametrize(
    ("part", "what"), [("members", "member"), ("members.a.backbone.networks", "network")]
)
def test_members_and_networks_are_left_out_by_none(tmp_path, part, what):
    networks = "dict(first=dict(type='A'), second=dict(type='B'))"
    member = f"dict(backbone=dict(networks={networks}))"
    path = write(tmp_path, f"model = dict(members=dict(a={member}, second={member}))\n")
    config = load_config(path, {f"model.{part}.second": None}).to_dict()
    node = config
    for key in ("model", *part.split(".")):
        node = node[key]
    assert [name for name, entry in node.items() if entry is None] == ["second"]
    with pytest.raises(ConfigError, match=f"no {what} 'secnd' to leave out") as caught:
        load_config(path, {f"model.{part}.secnd": None})
    assert "did you mean 'second'?" in str(caught.value)
    assert load_config(path, {"model": None}).model is None


def test_a_child_config_leaves_groups_out_and_adds_some(tmp_path):
    write(tmp_path, GROUPS).rename(tmp_path / "base.py")
    text = "_base_ = ['base.py']\nmodel = dict(inserts=dict(sa=None, dr=dict(at='d')))\n"
    inserts = load_config(write(tmp_path, text)).model.inserts
    assert list(inserts) == ["sa", "bn", "extra", "dr"]
    assert inserts["sa"] is None
    assert inserts["bn"]["at"] == "c"


def test_option_below_a_missing_part_is_refused(tmp_path):
    path = write(tmp_path, "model = dict(fusion=dict(scales=(1.0,)))\n")
    with pytest.raises(ConfigError, match="did you mean 'fusion'"):
        load_config(path, {"model.fusoin.scales": 1})


def test_plugin_configs_inherit_bundled_bases(tmp_path):
    text = "_base_ = ['{{$WSOLTOOL_CONFIGS:}}/_base_/runtime.py']\nlog_interval = 7\n"
    config = load_config(write(tmp_path, text))
    assert config.randomness.seed == 0
    assert config.log_interval == 7


def test_plain_is_a_deep_copy_of_ordinary_containers(tmp_path):
    config = load_config(write(tmp_path, "model = dict(a=[dict(b=(1, 2))])\n"))
    tree = plain(config.model)
    tree["a"][0]["b"] = None
    assert config.model.a[0].b == (1, 2)
    assert type(tree) is dict


def test_walk_types_finds_nested_ones():
    tree = {"type": "A", "x": [{"type": "b.C", "y": {"type": "D"}}]}
    assert list(walk_types(tree)) == ["A", "b.C", "D"]


def test_reading_a_config_says_nothing_and_leaves_the_log_as_it_was(tmp_path, capsys):
    import logging

    from mmengine.logging import MMLogger

    base = "{{$WSOLTOOL_CONFIGS:}}/_base_/runtime.py"
    (tmp_path / "c.py").write_text(f"_base_ = [{base!r}]\n")
    assert load_config(tmp_path / "c.py").log_interval == 50
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "")
    logger = MMLogger.get_current_instance()
    assert not logger.filters
    assert logger.isEnabledFor(logging.INFO)
