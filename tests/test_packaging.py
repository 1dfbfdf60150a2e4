"""A wheel holds the whole toolbox and runs from another place."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


@pytest.fixture(scope="module")
def settings(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]


@pytest.fixture(scope="module")
def wheel(repository, settings, tmp_path_factory):
    """Built from a copy, so that nothing is left in the tree and nothing old of it is taken."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    for folder in settings["package-dir"].values():
        shutil.copytree(repository / folder, source / folder)
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source))
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed")
    python("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


def python(*arguments, **settings):
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **settings
    )
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout


def packages_of(root: Path, name: str) -> set[str]:
    """Every folder with Python files, and the folders between it and the root."""
    found = {name}
    for file in root.rglob("*.py"):
        parts = file.relative_to(root).parts[:-1]
        found |= {".".join([name, *parts[:depth]]) for depth in range(len(parts) + 1)}
    return found


def data_files(repository):
    """What Python cannot import but runs need."""
    return [
        *(repository / "wsoltool").rglob("*.template"),
        *(repository / "wsoltool").rglob("*.html"),
        *(repository / "wsoltool").rglob("py.typed"),
        *(repository / "plugins").rglob("README.md"),
        *(repository / "plugins").rglob("*.csv"),
    ]


def test_packages_are_those_of_the_tree(repository, settings):
    expected = set()
    for name, folder in settings["package-dir"].items():
        expected |= packages_of(repository / folder, name)
    assert sorted(settings["packages"]) == sorted(expected)


def test_every_file_below_the_packages_is_python_or_known_data(repository):
    known = {*data_files(repository)}
    for folder in ("wsoltool", "plugins", "configs"):
        for file in (repository / folder).rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in file.parts)
            if file.is_file() and not hidden:
                assert file.suffix == ".py" or file in known, file


@pytest.mark.slow
def test_the_wheel_holds_every_module_config_and_data_file(repository, settings, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for name, folder in settings["package-dir"].items():
        root = repository / folder
        files = [*root.rglob("*.py"), *(f for f in data_files(repository) if root in f.parents)]
        expected |= {(Path(name) / file.relative_to(root)).as_posix() for file in files}
    assert names == expected


@pytest.mark.slow
def test_the_wheel_runs_from_another_place(installed, tmp_path):
    here = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(installed)}}
    code = "import wsoltool, wsoltool_plugins, wsoltool.config as c"
    code += "; print(wsoltool.__file__, wsoltool_plugins.__file__, c.config_root(), sep='\\n')"
    for line in python("-c", code, **here).split():
        assert Path(line).is_relative_to(installed)
    assert "built-in wsoltool_plugins.cam" in python("-m", "wsoltool", "plugins", **here)
    checked = python("-m", "wsoltool", "check", "cam/cam_small_creatures.py", **here)
    assert "no problems" in checked
    assert str(installed) in checked
    python("-m", "wsoltool", "new-plugin", "my_cam", **here)
    assert (tmp_path / "my_cam" / "src" / "my_cam" / "__init__.py").is_file()
    gallery = "from wsoltool.visualization.gallery import write_gallery; from pathlib import Path"
    python("-c", f"{gallery}; write_gallery(Path('g'), [], 'empty', {{}})", **here)
    assert (tmp_path / "g" / "index.html").is_file()


@pytest.mark.slow
def test_the_console_script_is_the_command(installed, tmp_path):
    here = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(installed)}}
    assert python(str(installed / "bin" / "wsoltool"), "--version", **here).startswith("wsoltool")
