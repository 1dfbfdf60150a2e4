"""What the first bytes of image files say: kind, size, colours, orientation; nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from wsoltool.datasets.image_sizes import LYING
from wsoltool.structures import Size

#: Kind of file -> the endings of names that announce it.
ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PNM": (".ppm", ".pgm", ".pbm", ".pnm"),
}

_STARTS = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
_PNM = re.compile(rb"P[1-6]\s(?:#[^\n]*\n|\s)*\d+\s+\d+(?:\s+(\d+))?\s")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # a JPEG's SOF0, SOF1 ...: size and colours
_ALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a payload
_EXIF = b"Exif\0\0"
_BITS, _COLOURS, _ORIENTATION = 258, 262, 274  # tags of TIFF
_CMYK = 5


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Attributes:
        kind: One of :data:`ENDINGS`.
        size: (height, width) in the file's own pixel order, where that is read.
        bits: Of a channel.
        cmyk: Colours are printing inks.
        orientation: EXIF's, 1 to 8; 1 is upright.
    """

    kind: str
    size: Size | None = None
    bits: int = 8
    cmyk: bool = False
    orientation: int = 1

    @property
    def shown_size(self) -> Size | None:
        """(height, width) once turned as the orientation says."""
        return self.size[::-1] if self.size and self.orientation in LYING else self.size

    def notes(self, name: str) -> Iterator[str]:
        """What is unusual about the file, though it can be read.

        Args:
            name: The file's name, whose ending announces a kind.

        Example:
            >>> list(Header("PNG", bits=16).notes("cat.jpeg"))
            ['PNG named .jpeg', '16 bits']
        """
        ending = PurePath(name).suffix.lower()
        if ending not in ENDINGS[self.kind]:
            yield f"{self.kind} named {ending}" if ending else f"{self.kind} without ending"
        if self.cmyk:
            yield "CMYK"
        if self.bits > 8:
            yield f"{self.bits} bits"
        if self.orientation != 1:
            yield f"EXIF orientation {self.orientation}"


def read_header(data: bytes) -> Header | None:
    """The header of a file.

    Args:
        data: The file's content. Its beginning is enough for a JPEG, up to the frame header.

    Returns:
        None where the kind is unknown, or the header is damaged or longer than ``data``. Sizes are
        those of JPEG and PNG alone, for these are nearly all.
    """
    kind = _kind(data)
    if kind == "JPEG":
        return _jpeg(data)
    if kind == "PNG":
        return _png(data)
    if kind == "TIFF":
        bits, inks = _tiff_tag(data, _BITS), _tiff_tag(data, _COLOURS) == _CMYK
        return Header("TIFF", bits=bits or 8, cmyk=inks, orientation=_orientation(data))
    if kind == "WebP":
        return Header("WebP", orientation=_orientation(_chunk(data, 12, b"EXIF", "little")))
    if kind == "PNM":
        highest = _PNM.match(data)
        deep = highest and highest[1] and int(highest[1]) > 255
        return Header("PNM", bits=16 if deep else 8)
    return None if kind is None else Header(kind)


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if _PNM.match(data):
        return "PNM"
    return next((kind for start, kind in _STARTS if data.startswith(start)), None)


def _jpeg(data: bytes) -> Header | None:
    """Walk over the segments to the frame header."""
    position, orientation = 2, 1
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker in _ALONE:
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        payload = data[position + 4 : end]
        if marker in _FRAMES:
            if len(payload) < 6:
                return None
            size = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
            return Header("JPEG", size, payload[0], payload[5] == 4, orientation)
        if marker == 0xE1 and payload.startswith(_EXIF) and orientation == 1:
            orientation = _orientation(payload)
        position = end
    return None


def _png(data: bytes) -> Header | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    size = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    orientation = _orientation(_chunk(data, 8, b"eXIf", "big"))
    return Header("PNG", size, bits=data[24], orientation=orientation)


def _chunk(data: bytes, start: int, name: bytes, order: Literal["little", "big"]) -> bytes:
    """The payload of a RIFF (name, length) or PNG (length, name) chunk; empty where there is none.

    Args:
        data: The file.
        start: Where its first chunk begins.
        name: The chunk's four letters.
        order: Of the length's bytes: ``little`` for RIFF, ``big`` for PNG.
    """
    riff = order == "little"
    while start + 8 <= len(data):
        first, second = data[start : start + 4], data[start + 4 : start + 8]
        found, length = (first, second) if riff else (second, first)
        count = int.from_bytes(length, order)
        if found == name:
            return data[start + 8 : start + 8 + count]
        start += 8 + count + (count % 2 if riff else 4)  # padding to even, or a checksum
    return b""


def _orientation(exif: bytes) -> int:
    value = _tiff_tag(exif.removeprefix(_EXIF), _ORIENTATION)
    return value if value is not None and 1 <= value <= 8 else 1


def _tiff_tag(data: bytes, tag: int) -> int | None:
    """The first number of a 16-bit tag in the first directory of a TIFF structure."""
    order: Literal["little", "big"]
    if data[:2] not in (b"II", b"MM"):
        return None
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, count: int) -> int:
        return int.from_bytes(data[at : at + count], order)

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if entry + 12 > len(data):
            return None
        if number(entry, 2) == tag:
            # Up to two values stand in the entry itself, more elsewhere.
            place = entry + 8 if number(entry + 4, 4) <= 2 else number(entry + 8, 4)
            return number(place, 2)
    return None
