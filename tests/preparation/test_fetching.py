"""Fetching against a server that cuts connections, ignores ranges and changes its files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from wsoltool.errors import DataError
from wsoltool.preparation import fetching

CONTENT = bytes(range(256)) * 2000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def site(web_site):
    web_site.files["/a.bin"] = CONTENT
    return web_site


@pytest.fixture
def fetch(site, tmp_path):
    def run(md5=MD5, name="a.bin", shown=lambda have, total: None) -> Path:
        path = tmp_path / "a.bin"
        fetching.fetch(f"{site.url}/{name}", md5, path, shown, pause=0)
        return path

    return run


def refusal(fetch, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        fetch(**options)
    return caught.value


def test_a_whole_file(fetch, site, tmp_path):
    told = []
    path = fetch(shown=lambda have, total: told.append((have, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert site.asked == [None]


def test_cut_connections_are_taken_up(fetch, site):
    site.cuts = [100_000, 0, 1, 200_000]
    assert fetch().read_bytes() == CONTENT
    assert site.asked == [None, *(f"bytes={n}-" for n in (100_000, 100_000, 100_001, 300_001))]
    assert site.sent == len(CONTENT)


def test_a_later_call_goes_on(fetch, site, monkeypatch):
    site.cuts = [100_000] + [0] * 5
    error = refusal(fetch)
    assert "ended" in error.what
    assert "same command" in error.hint
    site.cuts.clear()
    assert fetch().read_bytes() == CONTENT
    assert site.sent == len(CONTENT)


def test_a_server_without_ranges_begins_anew(fetch, site):
    site.ranges = False
    site.cuts = [100_000]
    assert fetch().read_bytes() == CONTENT
    assert site.sent == len(CONTENT) + 100_000


def test_a_server_without_tags_goes_on_all_the_same(fetch, site):
    site.tag = None
    site.cuts = [100_000]
    assert fetch().read_bytes() == CONTENT
    assert site.sent == len(CONTENT)


def test_a_file_that_changed_meanwhile_begins_anew(fetch, site):
    site.files["/a.bin"] = b"x" * 1000
    site.cuts = [600] + [0] * 5
    refusal(fetch)
    site.files["/a.bin"], site.tag, site.cuts = CONTENT, '"2"', []
    assert fetch().read_bytes() == CONTENT


def test_what_is_complete_is_only_checked(fetch, site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    (tmp_path / "a.bin.part.json").write_text(json.dumps({"validator": '"1"'}))
    assert fetch().read_bytes() == CONTENT
    assert site.sent == 0


def test_more_than_there_is_begins_anew(fetch, site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    (tmp_path / "a.bin.part.json").write_text("damaged")
    assert fetch().read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(fetch, site, tmp_path):
    error = refusal(fetch, md5="0" * 32)
    assert MD5 in error.what
    assert "0" * 32 in error.expected
    assert "removed" in error.hint
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_something_else_is_found_out(fetch, site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"y" * 1000)
    assert MD5 not in refusal(fetch).what
    assert fetch().read_bytes() == CONTENT


def test_no_such_file(fetch):
    error = refusal(fetch, name="b.bin")
    assert "404" in error.what
    assert error.at.endswith("/b.bin")


def test_a_busy_server_is_asked_again(fetch, site):
    site.statuses = [503, 429]
    assert fetch().read_bytes() == CONTENT
    site.statuses = [503] * 9
    assert "503" in refusal(fetch).what
    assert len(site.statuses) == 4


def test_no_network(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        fetching.fetch(url, MD5, tmp_path / "a.bin", lambda *_: None, pause=0)
    assert "network" in caught.value.hint


def test_other_addresses_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    with pytest.raises(DataError, match="only http"):
        fetching.fetch(f"file://{secret}", MD5, tmp_path / "a.bin", lambda *_: None)


def test_a_full_disk_is_known_beforehand(fetch, site, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: usage)
    error = refusal(fetch)
    assert "0.00 GB free" in error.what
    assert site.sent <= len(CONTENT)
    assert not os.path.exists(f"{error.at}/a.bin.part")  # noqa: PTH110
