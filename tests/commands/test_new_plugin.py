"""``wsoltool new-plugin``: where it writes, what it refuses, what it says next."""

import pytest


def test_the_default_folder_has_the_plugins_name(wsoltool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = wsoltool("new-plugin", "my_cam")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[-1] == "next: pip install -e my_cam && wsoltool plugins my_cam"
    assert all((tmp_path / line).is_file() for line in lines[:-1])
    assert (tmp_path / "my_cam" / "src" / "my_cam" / "my_cam.py").is_file()


def test_another_folder_is_quoted_for_the_shell(wsoltool, tmp_path):
    outcome = wsoltool("new-plugin", "my_cam", tmp_path / "a folder")
    assert f"next: pip install -e '{tmp_path / 'a folder'}' && " in outcome.out
    assert (tmp_path / "a folder" / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cam", "a plugin named 'cam' is installed"),
        ("mmcv", "'mmcv' is reserved"),
        ("core", "'core' is reserved"),
        ("Bad-Name", "expected: lower-case letters"),
        ("class", "expected: lower-case letters"),
        ("json", "is the name of a Python module"),
    ],
)
def test_names_that_cannot_be_had_are_refused(refused, tmp_path, name, message):
    assert message in refused("new-plugin", name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_empty_is_refused(refused, tmp_path):
    (tmp_path / "mine.txt").write_text("")
    assert "not empty" in refused("new-plugin", "my_cam", tmp_path)
