"""Progress passes everything on, with and without a terminal."""

import pytest
from rich.console import Console

from wsoltool.commands.progress import with_progress


@pytest.mark.parametrize("terminal", [False, True])
def test_items_are_passed_on(monkeypatch, capsys, terminal):
    monkeypatch.setattr(Console, "is_terminal", terminal)
    assert list(with_progress(iter("abc"), 3, "counting")) == ["a", "b", "c"]
    assert ("counting" in capsys.readouterr().err) == terminal
