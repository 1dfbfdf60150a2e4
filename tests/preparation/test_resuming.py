"""A check that is stopped, killed or asked for again goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from wsoltool.datasets.index import open_index
from wsoltool.preparation import checking
from wsoltool.preparation.inspection import Inspector

KILLED_AFTER = """
import os, signal, sys
from wsoltool.cli import main
from wsoltool.datasets.readers import cub
from wsoltool.preparation import checking
from wsoltool.preparation.inspection import Inspector

cub.PUBLISHED = {}
checking._CHUNK = 1
# What runs in a shell's background ignores Ctrl-C, and so does what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
inspect, left = Inspector.inspect, int(sys.argv[1])

def inspect_some(self, *file):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect(self, *file)

Inspector.inspect = inspect_some
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def many(birds):
    for number in range(40):
        birds.add(f"001.Auk/more_{number}.jpg")
    return birds


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch):
    monkeypatch.setattr(checking, "_CHUNK", 1)


def killed_after(count: int, root, folder) -> None:
    arguments = [str(count), "prepare", "CUB200", str(root), str(folder), "--workers", "1"]
    run = subprocess.run(
        [sys.executable, "-c", KILLED_AFTER, *arguments], capture_output=True, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr


def test_a_killed_check_goes_on(many, prepare, tmp_path, looked_into):
    killed_after(20, many.root, tmp_path / "prepared")
    run = prepare("CUB200", many.root)
    assert run.code == 0, run.err
    assert len(looked_into) == 28
    assert "28 images in" in run.out
    assert "20 checked before" in run.out
    whole = prepare("CUB200", many.root, folder="at once")
    assert len(looked_into) == 28 + 48
    for name in ("index.json", "problems.csv", "notes.csv"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_it_can_be_killed_again_and_again(many, prepare, tmp_path, looked_into):
    for _ in range(3):
        killed_after(15, many.root, tmp_path / "prepared")
    assert prepare("CUB200", many.root).code == 0
    assert len(looked_into) == 3


def test_ctrl_c_says_how_far_it_came(many, prepare, monkeypatch, looked_into):
    inspect = Inspector.inspect

    def interrupted(self, role, name, size):
        if len(looked_into) == 12:
            raise KeyboardInterrupt
        return inspect(self, role, name, size)

    with monkeypatch.context() as patch:
        patch.setattr(Inspector, "inspect", interrupted)
        run = prepare("CUB200", many.root, "--workers", "1")
    assert run.code == 130
    assert run.err == "stopped after 12 of 48 images; run the same command to go on\n"
    assert not (run.folder / "index.json").exists()
    looked_into.clear()
    assert prepare("CUB200", many.root).code == 0
    assert len(looked_into) == 36


def test_a_real_ctrl_c(many, tmp_path):
    code = KILLED_AFTER.replace("SIGKILL", "SIGINT")
    arguments = ["20", "prepare", "CUB200", str(many.root), str(tmp_path / "prepared")]
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "of 48 images; run the same command to go on" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == 130


def test_nothing_is_looked_into_twice(birds, prepare, looked_into):
    prepare("CUB200", birds.root)
    assert len(looked_into) == 8
    run = prepare("CUB200", birds.root)
    assert len(looked_into) == 8
    assert "0 images in" in run.out
    prepare("CUB200", birds.root, "--headers-only")
    prepare("CUB200", birds.root, "--quarantine", "--option", "fullsup_share=0.5")
    assert len(looked_into) == 8


def test_headers_are_not_enough_for_a_thorough_check(birds, prepare, looked_into):
    prepare("CUB200", birds.root, "--headers-only")
    prepare("CUB200", birds.root, "--headers-only")
    assert len(looked_into) == 8
    prepare("CUB200", birds.root)
    assert len(looked_into) == 16


def test_changed_files_are_looked_into_again(birds, prepare, looked_into, photo, encoded):
    prepare("CUB200", birds.root)
    looked_into.clear()
    birds.path("001.Auk/test_0.jpg").write_bytes(encoded(photo(77, (40, 50))))
    os.utime(birds.path("001.Auk/test_1.jpg"), ns=(1, 1))
    run = prepare("CUB200", birds.root)
    assert sorted(looked_into) == ["001.Auk/test_0.jpg", "001.Auk/test_1.jpg"]
    assert open_index(run.folder).records("test").sizes.tolist()[0] == [40, 50]


def test_bad_files_are_looked_into_again(birds, prepare, looked_into):
    path = birds.path("001.Auk/test_0.jpg")
    sound, times = path.read_bytes(), path.stat()
    path.write_bytes(sound[:-2] + b"\0\0")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert prepare("CUB200", birds.root).code == 1
    looked_into.clear()
    path.write_bytes(sound)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as unpacking does
    assert prepare("CUB200", birds.root).code == 0
    assert looked_into == ["001.Auk/test_0.jpg"]


def test_quarantine_after_a_check_decodes_bad_files_alone(many, prepare, looked_into):
    many.path("001.Auk/more_7.jpg").write_bytes(b"")
    assert prepare("CUB200", many.root).code == 1
    looked_into.clear()
    assert prepare("CUB200", many.root, "--quarantine").code == 0
    assert looked_into == ["001.Auk/more_7.jpg"]


def test_another_source_or_orientation_is_not_mixed_in(birds, prepare, looked_into, tmp_path):
    prepare("CUB200", birds.root)
    moved = tmp_path / "elsewhere"
    birds.root.rename(moved)
    prepare("CUB200", moved)
    assert len(looked_into) == 16
    prepare("CUB200", moved, "--option", "exif=True")
    assert len(looked_into) == 24


def test_a_full_disk_is_no_traceback(birds, prepare, monkeypatch):
    from wsoltool.preparation.journal import Journal

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    class FullJournal(Journal):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._file.close()
            self._file = Full()

    monkeypatch.setattr("wsoltool.preparation.preparation.Journal", FullJournal)
    run = prepare("CUB200", birds.root)
    assert run.code == 1
    assert "No space left on device" in run.err


@pytest.mark.parametrize("name", ["problems.csv", "index.json"])
def test_a_list_that_cannot_be_written_is_no_traceback(birds, prepare, tmp_path, name):
    (tmp_path / "prepared" / name).mkdir(parents=True)
    run = prepare("CUB200", birds.root)
    assert run.code == 1
    assert "the file cannot be written: Is a directory" in run.err
    assert name in run.err
