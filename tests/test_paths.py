from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from wsoltool.errors import WorkDirError
from wsoltool.paths import (
    data_home,
    data_path,
    file_sha256,
    whole_file,
    writable_file,
    writable_folder,
)


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


def test_folders_for_results_are_made_and_left_empty(tmp_path: Path) -> None:
    assert writable_folder(tmp_path / "a" / "b", "--out") == tmp_path / "a" / "b"
    assert writable_file(tmp_path / "c" / "f.json", "--json") == tmp_path / "c" / "f.json"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert list((tmp_path / "c").iterdir()) == []


def test_folders_that_cannot_be_made_name_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WorkDirError, match="cannot be written") as caught:
            writable_folder(path, "--out")
        assert caught.value.at == str(path)
        assert "--out" in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WorkDirError, match="a folder stands where") as caught:
        writable_file(tmp_path, "--json")
    assert "--json" in str(caught.value)


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    with whole_file(path) as file:
        file.write(b"1 2")
        assert not path.exists()
    assert path.read_bytes() == b"1 2"
    with pytest.raises(TypeError), whole_file(path) as file:
        file.write("text")
    assert path.read_bytes() == b"1 2"
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as file:
        file.write(b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_killed_write_leaves_nothing_under_the_files_name(tmp_path: Path) -> None:
    code = "import os, sys; from wsoltool.paths import whole_file\n"
    code += "with whole_file(sys.argv[1]) as file:\n    file.write(b'half'); os._exit(9)"
    path = tmp_path / "figures.npz"
    path.write_bytes(b"before")
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_bytes() == b"before"


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "large"
    content = bytes(range(256)) * 5000  # more than a block
    file.write_bytes(content)
    assert file_sha256(file) == hashlib.sha256(content).hexdigest()
    file.write_bytes(b"")
    assert file_sha256(file) == hashlib.sha256().hexdigest()
