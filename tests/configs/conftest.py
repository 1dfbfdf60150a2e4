"""A base of a data set, tried by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from wsoltool.cli import main


@pytest.fixture
def train_and_score(tmp_path, capsys) -> Callable[[str, dict], dict]:
    """A function that trains and scores a config's text with options; the figures."""

    def run(text: str, options: dict) -> dict:
        config, figures = tmp_path / "config.py", tmp_path / "figures.json"
        config.write_text(text)
        arguments = ["--work-dir", str(tmp_path / "work"), "--cfg-options"]
        arguments += [f"{key}={value}" for key, value in options.items()]
        assert main(["train", str(config), *arguments]) == 0, capsys.readouterr()
        checkpoint = str(tmp_path / "work/last.pth")
        outcome = main(["test", str(config), checkpoint, "--json", str(figures), *arguments])
        assert outcome == 0, capsys.readouterr()
        return json.loads(figures.read_text())

    return run
