"""What headers say, against Pillow and against what OpenCV decodes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.preparation.headers import Header, read_header

KINDS = {"JPEG": "JPEG", "PNG": "PNG", "BMP": "BMP", "WEBP": "WebP", "TIFF": "TIFF", "PPM": "PNM"}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_and_sizes(photo, encoded, kind):
    header = read_header(encoded(photo(size=(31, 47)), kind))
    assert header.kind == KINDS[kind]
    assert header.size == ((31, 47) if kind in ("JPEG", "PNG") else None)
    assert (header.bits, header.cmyk, header.orientation) == (8, False, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_shown_size_is_that_of_the_decoded_image(photo, encoded, turned, kind, orientation):
    data = encoded(photo(size=(20, 30)), kind, exif=turned(orientation))
    header = read_header(data)
    assert header.orientation == orientation
    pixels = np.frombuffer(data, np.uint8)
    assert header.shown_size == cv2.imdecode(pixels, cv2.IMREAD_COLOR).shape[:2]
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    assert header.size == cv2.imdecode(pixels, flags).shape[:2]


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_orientations_of_other_kinds(photo, encoded, turned, kind):
    assert read_header(encoded(photo(), kind, exif=turned(6))).orientation == 6


@pytest.mark.parametrize("options", [{"progressive": True}, {"comment": b"x" * 3000}])
def test_other_jpegs(photo, encoded, options):
    assert read_header(encoded(photo(size=(31, 47)), **options)).size == (31, 47)


def test_inks_and_deep_channels(photo, encoded, tmp_path):
    assert read_header(encoded(photo().convert("CMYK"))).cmyk
    assert read_header(encoded(photo().convert("CMYK"), "TIFF")).cmyk
    deep = np.zeros((5, 7, 3), np.uint16)
    for ending, kind in {".png": "PNG", ".tiff": "TIFF", ".ppm": "PNM"}.items():
        header = read_header(cv2.imencode(ending, deep)[1].tobytes())
        assert (header.kind, header.bits) == (kind, 16)


def test_a_header_longer_than_what_was_read(photo, encoded):
    data = encoded(photo(), comment=b"x" * 5000)
    assert read_header(data[:4096]) is None
    assert read_header(data).size == (32, 48)


def test_what_is_no_image():
    assert read_header(b"<!DOCTYPE html><html>404</html>") is None
    assert read_header(b"") is None


@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "PPM"]), st.data())
def test_damage_never_raises(kind, data):
    whole = bytearray(DAMAGED[kind])
    for place in data.draw(st.lists(st.integers(0, min(200, len(whole) - 1)), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    read_header(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def _samples():
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        options = {} if kind == "PPM" else {"exif": exif}
        Image.new("RGB", (9, 7)).save(buffer, kind, **options)
        yield kind, buffer.getvalue()


DAMAGED = dict(_samples())


@pytest.mark.parametrize(
    ("header", "name", "notes"),
    [
        (Header("JPEG"), "a/b.JPG", []),
        (Header("PNG"), "a.jpeg", ["PNG named .jpeg"]),
        (Header("PNG"), "a", ["PNG without ending"]),
        (Header("JPEG", cmyk=True, orientation=3), "a.jpg", ["CMYK", "EXIF orientation 3"]),
    ],
)
def test_notes(header, name, notes):
    assert list(header.notes(name)) == notes
