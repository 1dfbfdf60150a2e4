"""``tools/train.py`` and ``tools/test.py`` are the commands, from any folder."""

import subprocess
import sys

import pytest


@pytest.fixture
def script(repository, tmp_path):
    def run(name, *arguments):
        command = [sys.executable, str(repository / "tools" / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


@pytest.mark.slow
def test_a_run_by_scripts(script, tmp_path, tiny_options):
    config = "cam/cam_small_creatures.py"
    train = script("train.py", config, "--work-dir", "run", *tiny_options)
    assert train.returncode == 0, train.stderr
    assert "checkpoint: run/last.pth" in train.stdout
    test = script("test.py", config, "run/last.pth", "--work-dir", "run", *tiny_options)
    assert test.returncode == 0, test.stderr
    assert "Localization of 10 images" in test.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize("name", ["train.py", "test.py"])
def test_scripts_fail_like_the_commands(script, name):
    missing = script(name, "nothing.py")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: config 'nothing.py' not found")
    assert script(name).returncode == 2


@pytest.mark.parametrize("name", ["train.py", "test.py"])
def test_scripts_only_hand_on(repository, name):
    assert len((repository / "tools" / name).read_text().splitlines()) < 80
