"""``--download``: from a server to an index, with every interruption."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from wsoltool.datasets.readers.base import Download
from wsoltool.datasets.readers.cub import CUB200
from wsoltool.preparation import downloads, fetching


@pytest.fixture
def offered(birds, web_site, monkeypatch):
    """The birds as an archive on a server, and a text file that belongs into a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(birds.home, "CUB_200_2011")
    web_site.files = {"/birds.tgz": buffer.getvalue(), "/notes.txt": b"words"}
    offer = [
        Download(f"{web_site.url}{path}?download=1", hashlib.md5(content).hexdigest(), folder)
        for (path, content), folder in zip(web_site.files.items(), ("", "extra"), strict=True)
    ]
    monkeypatch.setattr(CUB200, "downloads", tuple(offer))
    fetch = fetching.fetch
    monkeypatch.setattr(downloads, "fetch", lambda *args: fetch(*args, pause=0))
    return web_site


@pytest.fixture
def source(tmp_path):
    return tmp_path / "fetched"


def test_from_server_to_index(offered, prepare, source):
    run = prepare("CUB200", source, "--download")
    assert run.code == 0, run.err
    assert (run.folder / "index.json").is_file()
    assert (source / "extra/notes.txt").read_bytes() == b"words"
    names = sorted(path.name for path in (source / ".downloads").iterdir())
    assert names == ["birds.tgz.done", "notes.txt.done"]
    assert len(offered.asked) == 2
    again = prepare("CUB200", source, "--download")
    assert again.code == 0
    assert "there already" in again.err
    assert len(offered.asked) == 2


def test_nothing_is_fetched_without_the_flag(offered, prepare, source):
    run = prepare("CUB200", source)
    assert run.code == 1
    assert "--download fetches it" in run.err
    assert offered.asked == []


def test_a_cut_download_goes_on(offered, prepare, source):
    offered.cuts = [1000] + [0] * 5
    run = prepare("CUB200", source, "--download")
    assert run.code == 1
    assert "same command" in run.err
    unfinished = prepare("CUB200", source)
    assert unfinished.code == 1
    assert "the download is not finished: birds.tgz" in unfinished.err
    offered.cuts.clear()
    assert prepare("CUB200", source, "--download").code == 0
    assert offered.sent == sum(map(len, offered.files.values()))


def test_an_interrupted_unpacking_begins_anew(offered, prepare, source, monkeypatch):
    def interrupted(archive, folder):
        (folder / "CUB_200_2011").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads, "unpack", interrupted)
        run = prepare("CUB200", source, "--download")
    assert run.code == 130
    assert "run the same command" in run.err
    assert "not finished: birds.tgz" in prepare("CUB200", source).err
    assert prepare("CUB200", source, "--download").code == 0
    assert len(offered.asked) == 2


def test_a_wrong_checksum(offered, prepare, source, monkeypatch):
    wrong = Download(f"{offered.url}/birds.tgz", "0" * 32)
    monkeypatch.setattr(CUB200, "downloads", (wrong,))
    run = prepare("CUB200", source, "--download")
    assert run.code == 1
    assert "0" * 32 in run.err
    assert [path.name for path in source.rglob("*")] == [".downloads"]


def test_a_folder_that_holds_other_files_is_refused(offered, prepare, source):
    source.mkdir()
    (source / "photo.jpg").write_bytes(b"mine")
    run = prepare("CUB200", source, "--download")
    assert run.code == 1
    assert "already holds files: photo.jpg" in run.err
    assert offered.asked == []


def test_an_archive_fetched_by_hand_is_used_and_stays(offered, prepare, source):
    source.mkdir()
    (source / "birds.tgz").write_bytes(offered.files["/birds.tgz"])
    assert prepare("CUB200", source, "--download").code == 0
    assert (source / "birds.tgz").is_file()
    assert len(offered.asked) == 1
    (source / ".downloads/birds.tgz.done").unlink()
    (source / "birds.tgz").write_bytes(b"half")
    run = prepare("CUB200", source, "--download")
    assert run.code == 1
    assert "not the one that its authors publish" in run.err


def test_a_file_that_is_no_archive_may_lie_where_it_belongs(web_site, monkeypatch, source):
    offer = Download(f"{web_site.url}/list.txt", hashlib.md5(b"words").hexdigest())
    monkeypatch.setattr(CUB200, "downloads", (offer,))
    web_site.files["/list.txt"] = b"words"
    for _ in range(2):
        downloads.download(CUB200(), source, lambda *_: None, lambda text: None)
        assert (source / "list.txt").read_bytes() == b"words"
        (source / ".downloads/list.txt.done").unlink()
    assert len(web_site.asked) == 1


def test_readers_without_addresses(prepare, source):
    run = prepare("ImageFolders", source, "--download")
    assert run.code == 1
    assert "cannot be fetched by wsoltool" in run.err
    assert not source.exists()


def test_progress_on_a_terminal(offered, prepare, source, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    run = prepare("CUB200", source, "--download")
    assert run.code == 0, run.err
    assert "fetching" in run.err
    assert "checking" in run.err
