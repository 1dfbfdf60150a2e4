"""The list of plugins and what each offers, broken ones included."""

import json
import re
from importlib import metadata

import pytest

from wsoltool.plugin import manager
from wsoltool.plugin.manager import discover

BUILTINS = [
    "abn",
    "adh",
    "ass",
    "cam",
    "class_grouping",
    "fam",
    "gradcam",
    "has",
    "mldfr",
    "revisited_cam",
    "two_path",
]


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Installs modules as plugins, by fake entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    points = []
    monkeypatch.setattr(manager.metadata, "entry_points", lambda group: points)

    def run(name, source):
        module = f"{name}_of_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        points.append(metadata.EntryPoint(name, module, manager.ENTRY_POINT_GROUP))

    return run


def test_the_overview_has_every_plugin_with_title_and_origin(wsoltool):
    outcome = wsoltool("plugins")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    for name in BUILTINS:
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.endswith(f"[built-in wsoltool_plugins.{name}]")
    assert re.search(r"^cam +Class activation mapping\.", outcome.out, re.MULTILINE)


def test_the_overview_as_json(wsoltool):
    rows = json.loads(wsoltool("plugins", "--json").out)
    assert [row["name"] for row in rows] == list(discover())
    assert all(row.keys() == {"name", "title", "origin", "error"} for row in rows)
    assert all(row["title"] and row["error"] is None for row in rows)


def test_one_plugin_shows_its_components(wsoltool):
    text = wsoltool("plugins", "cam").out
    assert "Learning Deep Features for Discriminative Localization" in text
    assert "CAM head: cam.CAMHead(channels: Mapping[str, int], num_classes: int," in text
    assert "    Pool the features, classify linearly, map by the classifier's rows." in text


def test_the_core_is_shown_like_a_plugin(wsoltool):
    content = json.loads(wsoltool("plugins", "core", "--json").out)
    assert content["name"] == "core"
    found = {component["type"]: component for component in content["components"]}
    assert found["SmallNet"]["kind"] == "backbone"
    assert "output_stride" in found["SmallNet"]["arguments"]
    assert {"Creatures", "ThresholdBoxes", "SingleView", "RandomFlip"} <= found.keys()


def test_an_unknown_plugin_has_a_near_name(refused):
    message = refused("plugins", "cma")
    assert "no plugin named 'cma'" in message
    assert "did you mean 'cam'?" in message


def test_a_broken_plugin_is_listed_with_its_error_beside_the_others(wsoltool, install):
    install("zbroken", "import a_module_that_is_not_there")
    outcome = wsoltool("plugins")
    assert outcome.code == 0
    assert re.search(r"^zbroken +does not load:", outcome.out, re.MULTILINE)
    assert "No module named 'a_module_that_is_not_there'" in outcome.out
    assert "Class activation mapping." in outcome.out
    rows = {row["name"]: row for row in json.loads(wsoltool("plugins", "--json").out)}
    assert "a_module_that_is_not_there" in rows["zbroken"]["error"]
    assert rows["cam"]["error"] is None


def test_a_broken_plugin_fails_when_it_is_asked_for(refused, install, wsoltool):
    install("zbroken", "1 / 0")
    assert "ZeroDivisionError" in refused("plugins", "zbroken")
    with pytest.raises(manager.PluginError) as caught:
        wsoltool("plugins", "zbroken", "--debug")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_plugin_that_takes_a_builtins_name_is_listed_as_a_collision(wsoltool, install):
    install("cam", "'''Theirs.'''")
    text = wsoltool("plugins").out
    assert "plugin name 'cam' is taken twice" in text
    assert "built-in wsoltool_plugins.cam" in text


def test_a_plugin_without_a_hook_is_refused(refused, install):
    install("zempty", "'''Nothing.'''")
    assert "plugin 'zempty' implements no hook" in refused("plugins", "zempty")


def test_a_folder_that_hides_a_plugin_is_named(refused, install, tmp_path):
    install("zhidden", "")
    (file,) = tmp_path.glob("zhidden*.py")
    file.unlink()
    file.with_suffix("").mkdir()
    message = refused("plugins", "zhidden")
    assert "is hidden by a folder without __init__.py" in message
    assert str(file.with_suffix("")) in message
