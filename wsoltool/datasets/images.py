"""Reading image files: the colours and the side up that people see, or an error that says why."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from wsoltool.errors import ImageError

FORMATS = "a JPEG, PNG, BMP, WebP, TIFF or PNM image"
EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Inside a scan, FF 00 is a data byte, FF D0-D7 a restart and FF FF padding: all others are markers.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def read_image(path: str | Path, exif: bool = True) -> np.ndarray:
    """Read an image file as 8-bit RGB, whatever its own format.

    Grey and palette images become RGB, 16-bit ones keep their upper 8 bits, an alpha channel is
    dropped (transparent pixels show the colour stored below), CMYK is converted without a profile.

    A file that stops early is refused, also where the decoder would fill the rest with grey. Bytes
    that are wrong in the middle of a complete JPEG cannot be told from a strange picture.

    Args:
        path: The file; its format is found from its content, not from its name.
        exif: Turn the image as its EXIF orientation says, as viewers show it. False keeps the
            file's pixel order, which most published annotations refer to.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ImageError: The file is missing, empty, truncated, damaged or of an unsupported kind.
    """
    data = _read_bytes(path)
    _check_complete(data, path)
    image = _decode(data, exif, path)
    if image is None:
        raise ImageError(
            "the image is damaged or of an unsupported kind",
            at=str(path),
            expected=FORMATS,
            hint=f"the file starts with {data[:12]!r}; open it in an image viewer and save it"
            " again, or fetch it again",
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _read_bytes(path: str | Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(
            "the image file does not exist",
            at=str(path),
            expected=FORMATS,
            hint="check the image folder and the spelling of the id",
        ) from None
    except OSError as error:
        raise ImageError(
            f"the image file cannot be read: {error.strerror}", at=str(path), expected=FORMATS
        ) from error
    if not data:
        raise ImageError(
            "the image file is empty (0 bytes)",
            at=str(path),
            expected=FORMATS,
            hint="a download or copy may have failed: fetch it again",
        )
    return data


def _check_complete(data: bytes, path: str | Path) -> None:
    """Raise for a JPEG or PNG file that stops early."""
    if data.startswith(_JPEG_START):
        missing = None if _jpeg_ends(data) else "end marker (FF D9) after the last scan"
    elif data.startswith(_PNG_START):
        missing = None if _png_ends(data) else "closing IEND chunk"
    else:
        return
    if missing:
        raise ImageError(
            f"the image file is truncated: {len(data)} bytes and no {missing}",
            at=str(path),
            expected="a complete image file",
            hint="a download or copy may have stopped early: fetch it again",
        )


def _jpeg_ends(data: bytes) -> bool:
    """Whether the picture's own end marker is there, not that of an embedded thumbnail."""
    if data.endswith(_JPEG_END):
        return True
    position = len(_JPEG_START)
    while match := _JPEG_MARKER.search(data, position):
        marker, position = match.group(), match.end()
        if marker == _JPEG_END:
            return True
        if marker not in (b"\xff\x01", _JPEG_START):  # all others carry a length and a payload
            position += int.from_bytes(data[position : position + 2], "big")
    return False


def _png_ends(data: bytes) -> bool:
    if data.endswith(_PNG_END):
        return True
    position = len(_PNG_START)
    while position + 12 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def _decode(data: bytes, exif: bool, path: str | Path) -> np.ndarray | None:
    """``(H, W, 3)`` uint8 BGR, or None; OpenCV's own log stays quiet meanwhile."""
    flags = cv2.IMREAD_COLOR if exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    log = cv2.utils.logging
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # above all: more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
        raise ImageError(
            "the image cannot be decoded", at=str(path), expected=FORMATS, hint=error.err
        ) from error
    finally:
        log.setLogLevel(level)
