"""Single files with every defect that downloads have."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from wsoltool.datasets.images import read_image
from wsoltool.errors import ImageError
from wsoltool.preparation.facts import Facts, Flaw
from wsoltool.preparation.inspection import Inspector

MODES = pytest.mark.parametrize("headers_only", [False, True])


@pytest.fixture
def look(tmp_path):
    """Look at a file of some content, or at one that is there already."""

    def run(data=None, name="a.jpg", headers_only=False, exif=False, role="image") -> Facts:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        inspector = Inspector(tmp_path, tmp_path, exif, headers_only)
        status = inspector.status(role, name)
        if isinstance(status, Flaw):
            return Facts(thorough=True, flaw=status)
        return inspector.inspect(role, name, status.st_size)

    return run


def huge_png() -> bytes:
    """A file of a few bytes whose header announces 4 billion pixels."""
    import zlib

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@MODES
def test_a_sound_jpeg(look, photo, encoded, headers_only):
    facts = look(encoded(photo()), headers_only=headers_only)
    assert (facts.flaw, facts.size, facts.notes) == (None, (32, 48), ())
    assert facts.thorough is not headers_only
    assert (facts.fingerprint is None) is headers_only


@MODES
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("exif", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sizes_are_those_of_the_reader(
    look, photo, encoded, turned, tmp_path, headers_only, kind, exif, orientation
):
    options = {} if kind == "BMP" else {"exif": turned(orientation)}
    data = encoded(photo(size=(20, 30)), kind, **options)
    facts = look(data, "a", headers_only, exif)
    assert facts.size == read_image(tmp_path / "a", exif).shape[:2]


@MODES
def test_read_well_but_unusual(look, photo, encoded, turned, headers_only):
    for name, data, notes in (
        ("cmyk.jpg", encoded(photo().convert("CMYK")), ("CMYK",)),
        ("png.jpeg", encoded(photo(), "PNG"), ("PNG named .jpeg",)),
        ("turned.jpg", encoded(photo(), exif=turned(6)), ("EXIF orientation 6",)),
        ("grey.jpg", encoded(photo().convert("L")), ()),
        ("palette.png", encoded(photo().convert("P"), "PNG"), ()),
        ("deep.png", cv2.imencode(".png", np.zeros((4, 5), np.uint16))[1].tobytes(), ("16 bits",)),
        ("bytes after the end.jpg", encoded(photo()) + b"\0" * 9, ()),
        ("größe 猫.jpg", encoded(photo()), ()),
    ):
        facts = look(data, name, headers_only)
        assert (facts.flaw, facts.notes) == (None, notes), name
        assert facts.size is not None


@MODES
def test_bad_files(look, photo, encoded, headers_only, tmp_path):
    jpeg, png = encoded(photo()), encoded(photo(), "PNG")
    for kind, data in (
        ("empty", b""),
        ("truncated", jpeg[:-10]),
        ("truncated", jpeg[:300]),
        ("truncated", png[:-10]),
        ("damaged", b"<!DOCTYPE html><title>404 Not Found</title>" + b" " * 600),
        ("damaged", b"\xff\xd8\xff\xd9"),
    ):
        facts = look(data, headers_only=headers_only)
        assert facts.flaw.kind == kind
        assert facts.flaw.reason
        assert facts.flaw.remedy
        assert facts.size is None
        with pytest.raises(ImageError):
            read_image(tmp_path / "a.jpg")


def test_damage_inside_is_seen_by_decoding_alone(look, photo, encoded):
    png = bytearray(encoded(photo(), "PNG"))
    png[60:90] = bytes(30)
    assert look(bytes(png), "a.png").flaw.kind == "damaged"
    assert look(bytes(png), "a.png", headers_only=True).flaw is None


def test_more_pixels_than_can_be_decoded(look):
    assert look(huge_png(), "a.png").flaw.kind == "damaged"


def test_files_that_are_not_there(look, tmp_path):
    assert look(name="none.jpg").flaw.kind == "missing"
    (tmp_path / "file").write_bytes(b"x")
    assert look(name="file/a.jpg").flaw.kind == "missing"
    (tmp_path / "broken.jpg").symlink_to("nowhere.jpg")
    assert look(name="broken.jpg").flaw.kind == "missing"


def test_files_that_cannot_be_read(look, photo, encoded, tmp_path):
    (tmp_path / "one.jpg").symlink_to("two.jpg")
    (tmp_path / "two.jpg").symlink_to("one.jpg")
    flaw = look(name="one.jpg").flaw
    assert flaw.kind == "unreadable"
    assert "symbolic links" in flaw.reason
    (tmp_path / "folder.jpg").mkdir()
    assert look(name="folder.jpg").flaw.kind == "unreadable"
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    assert look(name="pipe.jpg").flaw.kind == "unreadable"
    assert look(name="zero\0byte.jpg").flaw.kind == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(look, photo, encoded, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(photo()))
    (tmp_path / "a.jpg").chmod(0)
    assert look().flaw.kind == "unreadable"


def test_masks_tell_their_highest_level(look, encoded):
    mask = Image.fromarray(np.array([[0, 0, 90], [0, 127, 0]], np.uint8))
    for headers_only in (False, True):
        facts = look(encoded(mask, "PNG"), "a.png", headers_only, role="mask")
        assert facts.size == (2, 3)
        assert facts.highest == (None if headers_only else 127)
        assert facts.notes == ()


def test_segmentations_tell_their_highest_number(look, encoded):
    segments = Image.fromarray(np.array([[0, 3, 255]], np.uint8), "P")
    segments.putpalette(bytes(range(256)) * 3)
    assert look(encoded(segments, "PNG"), "a.png", role="segments").highest == 3
    colours = Image.new("RGB", (3, 3))
    assert look(encoded(colours, "PNG"), "a.png", role="segments").flaw.kind == "damaged"


def test_both_ways_of_reading_give_one_digest(look, photo, encoded):
    data = encoded(photo(size=(300, 400)), quality=95)
    assert len(data) > 5000
    thorough, quick = look(data), look(data, headers_only=True)
    assert thorough.digest == quick.digest
    assert look(data[:-300] + bytes(298) + b"\xff\xd9").digest != thorough.digest
