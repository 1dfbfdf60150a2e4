"""Files of weights: what is read, what is refused unexecuted, and what a download leaves behind."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from wsoltool.errors import CheckpointError
from wsoltool.models.weight_files import fetch_state_dict, read_state_dict

# torch.hub leaves connections open that the server has cut.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STATE = {"a.weight": torch.arange(300.0).reshape(3, 100), "a.bias": torch.ones(3)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(STATE)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", ["empty", "short", "noise"])
def test_damaged_file(state: dict[str, Tensor], data: Path, suffix: str, damage: str) -> None:
    path = data / f"x{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "short": whole[: len(whole) // 2], "noise": b"\x93" * 99}[damage]
    )
    with pytest.raises(CheckpointError, match="cannot be read") as error:
        read_state_dict(path)
    assert str(path) in str(error.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".pth", ".safetensors"]))
def test_any_bytes_give_a_checkpoint_error(data: Path, content: bytes, suffix: str) -> None:
    path = data / f"noise{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_state_dict(path)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_malicious_pickle_is_refused_unexecuted(data: Path, form: str) -> None:
    path, trace = data / "x.pth", data / "executed"
    content = {"w": torch.zeros(1), "bomb": Bomb(trace)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_state_dict(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if form != "bare pickle" else pickle.loads(
        path.read_bytes()
    )
    assert trace.exists()  # it would have


def test_the_global_switch_does_not_open_the_door(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"bomb": Bomb(data / "executed")}, data / "x.pth")
    with pytest.raises(CheckpointError):
        read_state_dict(data / "x.pth")
    assert not (data / "executed").exists()


@pytest.mark.parametrize(
    "content", [{"epoch": 1, "w": torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), {}]
)
def test_files_that_are_no_state_dict(data: Path, content: object) -> None:
    torch.save(content, data / "x.pth")
    with pytest.raises(CheckpointError, match="the file holds") as error:
        read_state_dict(data / "x.pth")
    assert "tensors by name" in str(error.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's download folder, moved by the variable that people move it with."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "home" / "hub" / "checkpoints"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The folder behind the addresses."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def server(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of that folder, which sends but half of files named ``cut``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = shelf / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if path.stem == "cut" else content)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()
    gc.collect()


def put(path: Path, content: dict[str, Tensor] = STATE) -> str:
    """Write weights; their hash."""
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def kept(hub: Path) -> list[str]:
    return sorted(path.name for path in hub.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "a b.pth"])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_file_is_fetched_once(hub: Path, shelf: Path, name: str, hashed: bool) -> None:
    sha256, url = put(shelf / name), (shelf / name).as_uri()
    assert same(fetch_state_dict(url, sha256 if hashed else None), STATE)
    assert kept(hub) == [name]
    (shelf / name).unlink()
    assert same(fetch_state_dict(url, sha256.upper() if hashed else None), STATE)


def test_a_query_is_no_part_of_the_name(hub: Path, shelf: Path, server: str) -> None:
    put(shelf / "x.safetensors")
    (shelf / "x.safetensors").rename(shelf / "x.safetensors?download=1")
    assert same(fetch_state_dict(f"{server}/x.safetensors?download=1"), STATE)
    assert kept(hub) == ["x.safetensors"]


def test_files_of_one_name_are_not_mistaken_for_each_other(hub: Path, shelf: Path) -> None:
    other = {"b": torch.zeros(2)}
    for folder, content in (("one", STATE), ("two", other)):
        (shelf / folder).mkdir()
        put(shelf / folder / "x.pth", content)
    assert same(fetch_state_dict((shelf / "one" / "x.pth").as_uri()), STATE)
    assert same(fetch_state_dict((shelf / "two" / "x.pth").as_uri()), other)


def test_another_hash_names_both_and_keeps_nothing(hub: Path, shelf: Path) -> None:
    found, url = put(shelf / "x.pth"), (shelf / "x.pth").as_uri()
    with pytest.raises(CheckpointError, match=found) as error:
        fetch_state_dict(url, "0" * 64)
    assert error.value.at == url
    assert error.value.expected == "0" * 64
    assert kept(hub) == []
    fetch_state_dict(url, found)
    with pytest.raises(CheckpointError, match=found) as error:
        fetch_state_dict(url, "0" * 64)
    assert f"delete {next(hub.rglob('x.pth'))}" in error.value.hint
    assert kept(hub) == ["x.pth"]


def test_a_missing_file_says_where_to_put_it(hub: Path, shelf: Path, server: str) -> None:
    url = f"{server}/x.pth"
    with pytest.raises(CheckpointError, match="HTTPError: HTTP Error 404") as error:
        fetch_state_dict(url)
    assert error.value.at == url
    assert kept(hub) == []
    target = Path(error.value.hint.partition("put the file at ")[2].partition(" yourself")[0])
    put(target)
    assert same(fetch_state_dict(url), STATE)


def test_without_a_network(hub: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(CheckpointError, match="cannot be had: OSError: no route to host") as error:
        fetch_state_dict("https://a.b/x.pth")
    assert "pretrained=dict(file=...)" in error.value.hint
    assert str(hub) in error.value.hint


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_download_that_is_cut_short_is_not_kept(
    hub: Path, shelf: Path, server: str, name: str, hashed: bool
) -> None:
    sha256 = put(shelf / name)
    with pytest.raises(CheckpointError) as error:
        fetch_state_dict(f"{server}/{name}", sha256 if hashed else None)
    assert "cut short" in error.value.hint
    assert error.value.at == f"{server}/{name}"
    assert kept(hub) == []


def test_a_downloaded_file_that_would_run_code_is_refused(hub: Path, shelf: Path) -> None:
    trace = shelf / "executed"
    torch.save({"bomb": Bomb(trace)}, shelf / "x.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        fetch_state_dict((shelf / "x.pth").as_uri())
    assert not trace.exists()
    assert kept(hub) == []


def test_a_kept_file_that_is_damaged_later_says_what_to_delete(hub: Path, shelf: Path) -> None:
    put(shelf / "x.pth")
    url = (shelf / "x.pth").as_uri()
    fetch_state_dict(url)
    (file,) = hub.rglob("x.pth")
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read") as error:
        fetch_state_dict(url)
    assert f"delete {file}" in error.value.hint
