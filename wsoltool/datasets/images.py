"""Reading image and mask files: what people see in them, or an error that says why."""

from __future__ import annotations

import io
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
    return decode_image(read_bytes(path, "image"), path, exif)


def decode_image(data: bytes, path: str | Path, exif: bool = True) -> np.ndarray:
    """What :func:`read_image` answers, of a file's content; ``path`` is for messages alone."""
    flags = cv2.IMREAD_COLOR if exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = _decode_complete(data, flags, path, "image")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def read_mask(path: str | Path, level: int = 0) -> np.ndarray:
    """Read a black-and-white image file as a mask: what is not black.

    Args:
        path: The file, of any kind that :func:`read_image` takes.
        level: Pixels above this grey level are in the mask.

    Returns:
        ``(H, W)`` bool.

    Raises:
        ImageError: As for :func:`read_image`.
    """
    return decode_grey(read_bytes(path, "mask"), path) > level


def decode_grey(data: bytes, path: str | Path) -> np.ndarray:
    """``(H, W)`` uint8, the grey levels that :func:`read_mask` compares, of a file's content."""
    return _decode_complete(data, cv2.IMREAD_GRAYSCALE, path, "mask")


def read_segments(path: str | Path) -> np.ndarray:
    """Read an image file whose pixels are numbers of classes: grey levels, or palette indices.

    Args:
        path: A palette or 8-bit grey image, such as PASCAL VOC's SegmentationClass.

    Returns:
        ``(H, W)`` int16: class index + 1, 0 background, -1 where the file has 255.

    Raises:
        ImageError: As for :func:`read_image`, or the file is neither grey nor has a palette.
    """
    return decode_segments(read_bytes(path, "segmentation"), path)


def decode_segments(data: bytes, path: str | Path) -> np.ndarray:
    """What :func:`read_segments` answers, of a file's content; ``path`` is for messages alone."""
    from PIL import Image

    check_complete(data, path, "segmentation")
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode, pixels = image.mode, np.array(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            "the segmentation cannot be decoded", at=str(path), expected=FORMATS, hint=str(error)
        ) from error
    if mode not in ("P", "L"):
        raise ImageError(
            f"the segmentation has mode {mode!r}, so its pixels are no numbers of classes",
            at=str(path),
            expected="a palette or 8-bit grey image",
        )
    segments = pixels.astype(np.int16)
    segments[segments == 255] = -1
    return segments


def _decode_complete(data: bytes, flags: int, path: str | Path, kind: str) -> np.ndarray:
    """The decoded pixels of a complete file; ``kind`` is what errors call it."""
    check_complete(data, path, kind)
    image = _decode(data, flags, path, kind)
    if image is None:
        raise ImageError(
            f"the {kind} is damaged or of an unsupported kind",
            at=str(path),
            expected=FORMATS,
            hint=f"the file starts with {data[:12]!r}; open it in an image viewer and save it"
            " again, or fetch it again",
        )
    return image


def read_bytes(path: str | Path, kind: str) -> bytes:
    """The content of a file that is not empty; ``kind`` is what errors call it.

    Raises:
        ImageError: The file is missing, empty or cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(
            f"the {kind} file does not exist",
            at=str(path),
            expected=FORMATS,
            hint=f"check the {kind} folder and the spelling of the id",
        ) from None
    except OSError as error:
        raise ImageError(
            f"the {kind} file cannot be read: {error.strerror}", at=str(path), expected=FORMATS
        ) from error
    if not data:
        raise ImageError(
            f"the {kind} file is empty (0 bytes)",
            at=str(path),
            expected=FORMATS,
            hint="a download or copy may have failed: fetch it again",
        )
    return data


def check_complete(data: bytes, path: str | Path, kind: str) -> None:
    """Raise :class:`ImageError` for a JPEG or PNG file that stops early."""
    if data.startswith(_JPEG_START):
        missing = None if _jpeg_ends(data) else "end marker (FF D9) after the last scan"
    elif data.startswith(_PNG_START):
        missing = None if _png_ends(data) else "closing IEND chunk"
    else:
        return
    if missing:
        raise ImageError(
            f"the {kind} file is truncated: {len(data)} bytes and no {missing}",
            at=str(path),
            expected=f"a complete {kind} file",
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


def _decode(data: bytes, flags: int, path: str | Path, kind: str) -> np.ndarray | None:
    """``(H, W, 3)`` uint8 BGR or ``(H, W)``, or None; OpenCV's own log stays quiet meanwhile."""
    log = cv2.utils.logging
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # above all: more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
        raise ImageError(
            f"the {kind} cannot be decoded", at=str(path), expected=FORMATS, hint=error.err
        ) from error
    finally:
        log.setLogLevel(level)
