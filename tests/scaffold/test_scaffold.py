"""A new plugin works as it is written: its tests pass, its config trains, ruff is content."""

import re
from importlib.util import find_spec

import pytest

from wsoltool.errors import ConfigError, WorkDirError
from wsoltool.scaffold import FILES, LONGEST, create_plugin


def install(folder, name):
    """Make a package discoverable as pip would, without pip; the path that it lies on."""
    source = folder / "src"
    info = source / f"{name}-0.1.0.dist-info"
    info.mkdir()
    dashed = name.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dashed}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[wsoltool.plugins]\n{name} = {name}\n")
    return str(source)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A plugin in the folder of its own name, as the command writes it by default."""
    folder = tmp_path_factory.mktemp("plugins") / "my_cam"
    create_plugin("my_cam", folder)
    return folder, install(folder, "my_cam")


def test_the_files_are_listed_and_filled(tmp_path):
    written = create_plugin("my_cam", tmp_path / "new")
    files = {path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert set(written) == files
    assert len(files) == len(FILES)
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "@" not in text.replace("@hookimpl", "").replace("@pytest", ""), path
    assert "class MyCamHead(CAMHead)" in (tmp_path / "new/src/my_cam/my_cam.py").read_text()
    assert 'name = "my-cam"' in (tmp_path / "new/pyproject.toml").read_text()


def test_its_own_tests_pass_before_it_is_installed(plugin, run_python):
    out = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", cwd=plugin[0])
    assert "5 passed" in out


def test_its_tests_can_fail(tmp_path, run_python):
    create_plugin("my_cam", tmp_path)
    method = tmp_path / "src" / "my_cam" / "my_cam.py"
    method.write_text(method.read_text().replace("flat / temperature", "flat"))
    method.write_text(method.read_text().replace(".sum(dim=2)", ".amax(dim=2)"))
    with pytest.raises(AssertionError, match=r"2 failed|1 failed"):
        run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)


def test_it_is_listed_and_checked(plugin, tmp_path, run_python):
    folder, path = plugin
    here = {"cwd": tmp_path, "PYTHONPATH": path}
    listed = run_python("-m", "wsoltool", "plugins", **here)
    assert re.search(r"^my_cam +MyCam: one line", listed, re.MULTILINE)
    config = folder / "configs" / "my_cam_small_creatures.py"
    assert "no problems" in run_python("-m", "wsoltool", "check", config, **here)


def test_it_is_found_beside_a_folder_of_its_own_name(plugin, run_python):
    folder, path = plugin
    command = ("-m", "wsoltool", "plugins", "my_cam")
    shown = run_python(*command, cwd=folder.parent, PYTHONPATH=path)
    assert "CAM head: my_cam.MyCamHead(channels: Mapping[str, int], num_classes: int" in shown
    assert "[my_cam of package my-cam]" in shown


def test_its_config_trains(plugin, tmp_path, tiny_options, run_python):
    folder, path = plugin
    config = folder / "configs" / "my_cam_small_creatures.py"
    command = ("-m", "wsoltool", "train", config, "--work-dir", "run", *tiny_options)
    out = run_python(*command, "train_cfg.max_epochs=1", cwd=tmp_path, PYTHONPATH=path)
    assert "checkpoint: run/last.pth" in out


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed as a module")
@pytest.mark.parametrize("name", ["my_cam", "a", "zoom_cam", "n" * LONGEST, "x_" * 12 + "y"])
def test_ruff_is_content(repository, tmp_path, name, run_python):
    create_plugin(name, tmp_path)
    settings = ("--no-cache", "--config", repository / "pyproject.toml", ".")
    run_python("-m", "ruff", "check", *settings, cwd=tmp_path)
    run_python("-m", "ruff", "format", "--check", *settings, cwd=tmp_path)


@pytest.mark.parametrize(
    "name",
    ["Bad-Name", "bad-name", "BadName", "class", "1cam", "", "_cam", "cam_", "my__cam", "café"],
)
def test_names_that_python_or_packages_do_not_allow_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be a plugin's name"):
        create_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "torch", "wsoltool", "cv2"])
def test_names_of_other_modules_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="the name of a Python module") as caught:
        create_plugin(name, tmp_path)
    assert caught.value.at


def test_long_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="too long"):
        create_plugin("n" * (LONGEST + 1), tmp_path)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(WorkDirError, match="not empty"):
        create_plugin("my_cam", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(WorkDirError, match="not empty"):
        create_plugin("my_cam", tmp_path / "mine.txt")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkDirError, match="cannot be written"):
        create_plugin("my_cam", tmp_path / "file" / "below")
