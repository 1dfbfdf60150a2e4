"""Archives: what is unpacked, and what would leave the folder."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from wsoltool.errors import DataError
from wsoltool.preparation.archives import is_archive, unpack

FILES = {"set/a.txt": b"one", "set/images/größe.jpg": b"two" * 999, "set/empty": b""}


def write_tar(path, files=FILES, mode="w:gz", special=None):
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("set")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if special is not None:
            archive.addfile(special)
    return path


def write_zip(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def written(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, folder, mode):
    archive = write_tar(tmp_path / "a", mode=mode)
    assert is_archive(archive)
    assert unpack(archive, folder) == 3
    assert written(folder) == FILES


def test_zip(tmp_path, folder):
    archive = write_zip(tmp_path / "a")
    assert is_archive(archive)
    assert unpack(archive, folder) == 3
    assert written(folder) == FILES


def test_files_of_an_interrupted_unpacking_are_replaced(tmp_path, folder):
    (folder / "set").mkdir(parents=True)
    (folder / "set/a.txt").write_bytes(b"o")
    (folder / "set/mine.txt").write_bytes(b"mine")
    unpack(write_tar(tmp_path / "a"), folder)
    assert written(folder) == {**FILES, "set/mine.txt": b"mine"}


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "set/../../out.txt"])
def test_places_outside_are_refused(tmp_path, folder, write, name):
    archive = write(tmp_path / "a", {name: b"x"})
    with pytest.raises(DataError, match="outside") as caught:
        unpack(archive, folder)
    assert caught.value.at == str(archive)
    assert written(tmp_path) == {"a": archive.read_bytes()}


def test_a_link_that_lies_there_is_not_written_through(tmp_path, folder):
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "set").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="through a link"):
        unpack(write_tar(tmp_path / "a"), folder)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(tmp_path, folder, kind):
    special = tarfile.TarInfo("set/link")
    special.type, special.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="'set/link' is a link or a device"):
        unpack(write_tar(tmp_path / "a", special=special), folder)


def test_links_in_zip(tmp_path, folder):
    link = zipfile.ZipInfo("set/link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(DataError, match="'set/link' is a link"):
        unpack(write_zip(tmp_path / "a", {link: b"/etc/passwd"}), folder)


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damaged_archives(tmp_path, folder, write):
    import random

    noise = random.Random(0).randbytes(90_000)
    archive = write(tmp_path / "a", {"set/noise": noise})
    data = bytearray(archive.read_bytes())
    data[40_000:40_100] = bytes(100)
    archive.write_bytes(bytes(data))
    with pytest.raises(DataError, match="the archive is damaged"):
        unpack(archive, folder)


def test_truncated_tar(tmp_path, folder):
    archive = write_tar(tmp_path / "a", {"set/x": bytes(range(256)) * 999})
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, folder)


def test_other_files_are_no_archives(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n")
    assert not is_archive(tmp_path / "a.csv")
