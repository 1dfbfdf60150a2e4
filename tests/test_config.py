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
