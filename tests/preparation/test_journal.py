"""What is remembered of files, and what is not believed."""

from __future__ import annotations

import os

import pytest

from wsoltool.errors import WorkDirError
from wsoltool.preparation.facts import Facts, Flaw
from wsoltool.preparation.journal import Journal, Known

SOURCE = {"images": "/data/images", "exif": False}
FACTS = Facts(True, (20, 30), ("CMYK",), 2**64 - 1, (2**64 - 1, 7), None)


class Status:
    st_size, st_mtime_ns = 100, 1_700_000_000_123_456_789


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path, SOURCE)
    journal.add([Known("image", "größe\udcff\n.jpg", 100, Status.st_mtime_ns, FACTS)])
    journal.add([Known("mask", "a.png", 100, Status.st_mtime_ns, Facts(False, (2, 3)))])
    yield journal
    journal.close()


def reopened(tmp_path, source=SOURCE) -> Journal:
    journal = Journal(tmp_path, source)
    journal.close()
    return journal


def test_facts_return_as_they_were(journal, tmp_path):
    again = reopened(tmp_path)
    assert len(again) == 2
    assert again.get("image", "größe\udcff\n.jpg", Status, thorough=True) == FACTS
    assert again.get("mask", "a.png", Status, thorough=False) == Facts(False, (2, 3))


def test_facts_of_headers_are_not_enough_where_pixels_are_asked_for(journal, tmp_path):
    assert reopened(tmp_path).get("mask", "a.png", Status, thorough=True) is None


def test_other_files_are_unknown(journal, tmp_path):
    again = reopened(tmp_path)
    assert again.get("image", "a.png", Status, thorough=False) is None  # that was a mask


@pytest.mark.parametrize("changed", ["st_size", "st_mtime_ns"])
def test_a_changed_file_is_unknown(journal, tmp_path, changed):
    class Other(Status):
        pass

    setattr(Other, changed, getattr(Status, changed) + 1)
    assert reopened(tmp_path).get("mask", "a.png", Other, thorough=False) is None


def test_another_source_knows_nothing(journal, tmp_path):
    assert len(reopened(tmp_path, {**SOURCE, "exif": True})) == 0
    assert len(reopened(tmp_path)) == 2


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_at_the_end_is_taken_off(journal, tmp_path, cut):
    os.truncate(journal.path, journal.path.stat().st_size - cut)
    half = Journal(tmp_path, SOURCE)
    assert half.get("mask", "a.png", Status, thorough=False) is None
    assert half.get("image", "größe\udcff\n.jpg", Status, thorough=True) == FACTS
    half.add([Known("mask", "a.png", 100, Status.st_mtime_ns, FACTS)])
    half.close()
    assert reopened(tmp_path).get("mask", "a.png", Status, thorough=True) == FACTS


def test_garbage_in_the_middle_is_passed_over(journal, tmp_path):
    with journal.path.open("ab") as file:
        file.write(b'["image", "b.jpg"]\t[1,2\n\x00\xff\n')
    journal.add([Known("mask", "c.png", 100, Status.st_mtime_ns, FACTS)])
    again = reopened(tmp_path)
    assert again.get("image", "b.jpg", Status, thorough=False) is None
    assert again.get("mask", "c.png", Status, thorough=True) == FACTS


def test_a_foreign_file_begins_anew(journal, tmp_path):
    journal.path.write_bytes(b"something else\n")
    again = reopened(tmp_path)
    assert len(again) == 0
    assert again.path.read_bytes().startswith(b'{"exif": false')


def test_a_flaw_is_never_part_of_a_line():
    assert "flaw" not in str(Facts(True, flaw=Flaw("empty", "flaw", "flaw")).plain())


def test_what_another_process_adds_stays(journal, tmp_path):
    """It may add lines between the last read and whatever is done to the file afterwards."""
    other = Journal(tmp_path, SOURCE)
    journal.add([Known("mask", "b.png", 100, Status.st_mtime_ns, FACTS)])
    other.add([Known("mask", "c.png", 100, Status.st_mtime_ns, FACTS)])
    other.close()
    again = reopened(tmp_path)
    for name in ("b.png", "c.png"):
        assert again.get("mask", name, Status, thorough=True) == FACTS


def test_sound_lines_are_not_touched(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "truncate", None)
    assert len(reopened(tmp_path)) == 2


def test_a_journal_that_cannot_be_written(tmp_path):
    (tmp_path / ".checked").write_text("a file, no folder")
    with pytest.raises(WorkDirError, match="cannot be written"):
        Journal(tmp_path, SOURCE)
