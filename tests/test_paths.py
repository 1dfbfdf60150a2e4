from __future__ import annotations

from pathlib import Path

import pytest

from wsoltool.paths import data_home, data_path


def test_data_home_is_the_variable_or_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSOLTOOL_DATA", "/some/where")
    assert data_home() == Path("/some/where")
    monkeypatch.setenv("WSOLTOOL_DATA", "")
    assert data_home() == Path("data")
    monkeypatch.delenv("WSOLTOOL_DATA")
    assert data_home() == Path("data")


def test_data_path_joins_relative_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSOLTOOL_DATA", "~/sets")
    monkeypatch.setenv("HOME", "/home/ann")
    assert data_path("cub/images") == Path("/home/ann/sets/cub/images")
    assert data_path("/abs/x.pth") == Path("/abs/x.pth")
    assert data_path(Path("~/x.pth")) == Path("/home/ann/x.pth")
