"""Looking into one file of a data set: is it there, complete, readable, and what does it hold?"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from wsoltool.datasets.images import (
    FORMATS,
    check_complete,
    decode_grey,
    decode_image,
    decode_segments,
    read_bytes,
)
from wsoltool.errors import ImageError
from wsoltool.preparation.facts import Facts, Flaw, Role
from wsoltool.preparation.fingerprints import fingerprint, thumbnail
from wsoltool.preparation.headers import Header, read_header

#: What errors call a file of each role.
WORDS = {"image": "image", "mask": "mask", "segments": "segmentation"}

_HEAD, _TAIL = 4096, 256


@dataclass(frozen=True, slots=True)
class Inspector:
    """Finds out the :class:`Facts` of files; safe to share between threads.

    Attributes:
        image_root: The folder that image ids are paths below.
        mask_root: The same of masks and segments.
        exif: Images are turned as their EXIF orientation says.
        headers_only: Pixels are not decoded, where a header tells the size.
    """

    image_root: Path
    mask_root: Path
    exif: bool
    headers_only: bool = False

    def path(self, role: Role, name: str) -> Path:
        """Where a file lies."""
        return (self.image_root if role == "image" else self.mask_root) / name

    def status(self, role: Role, name: str) -> os.stat_result | Flaw:
        """Size and time of a file that links may lead to, or why there is none."""
        word = WORDS[role]
        try:
            status = self.path(role, name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return _flaw("missing", f"the {word} file does not exist")
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = getattr(error, "strerror", None) or error
            return _flaw("unreadable", f"the {word} file cannot be read: {reason}")
        if not stat.S_ISREG(status.st_mode):
            return _flaw("unreadable", f"a folder or device stands where the {word} file should")
        return status

    def inspect(self, role: Role, name: str, size: int) -> Facts:
        """Read a file of a known size in bytes."""
        if not size:
            flaw = _flaw("empty", f"the {WORDS[role]} file is empty (0 bytes)")
            return Facts(thorough=True, flaw=flaw)
        path = self.path(role, name)
        if self.headers_only and role == "image" and (facts := self._from_ends(path, size)):
            return facts
        try:
            data = read_bytes(path, WORDS[role])
        except ImageError as error:
            return Facts(thorough=True, flaw=Flaw.of("unreadable", error))
        return self._of_content(role, path, data)

    def _from_ends(self, path: Path, size: int) -> Facts | None:
        """Facts of a JPEG file whose beginning and end tell them, as nearly all do."""
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
                file.seek(max(0, size - _TAIL))
                tail = file.read()
        except OSError:
            return None  # whoever reads all of it says why
        header = read_header(head)
        if header is None or header.kind != "JPEG" or not tail.endswith(b"\xff\xd9"):
            return None
        return self._from_header(path, header, _digest(size, head, tail))

    def _of_content(self, role: Role, path: Path, data: bytes) -> Facts:
        try:
            check_complete(data, path, WORDS[role])
        except ImageError as error:
            return Facts(thorough=True, flaw=Flaw.of("truncated", error))
        header = read_header(data)
        digest = _digest(len(data), data[:_HEAD], data[-_TAIL:])
        if self.headers_only and header and (facts := self._from_header(path, header, digest)):
            return facts
        try:
            facts = self._decoded(role, path, data)
        except ImageError as error:
            return Facts(thorough=True, flaw=Flaw.of("damaged", error))
        notes = tuple(header.notes(path.name)) if header and role == "image" else ()
        return replace(facts, notes=notes, digest=digest)

    def _from_header(self, path: Path, header: Header, digest: int) -> Facts | None:
        """None where pixels must be decoded to know the size."""
        size = header.shown_size if self.exif else header.size
        if size is None or 0 in size:
            return None
        return Facts(False, size, tuple(header.notes(path.name)), digest)

    def _decoded(self, role: Role, path: Path, data: bytes) -> Facts:
        if role == "image":
            image = decode_image(data, path, self.exif)
            return Facts(True, _size(image), fingerprint=fingerprint(thumbnail(image)))
        decode: Callable[[bytes, Path], np.ndarray]
        decode = decode_grey if role == "mask" else decode_segments
        pixels = decode(data, path)
        return Facts(True, _size(pixels), highest=int(pixels.max()))


def _size(pixels: np.ndarray) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _digest(size: int, head: bytes, tail: bytes) -> int:
    """64 bits that equal files share; few others do, for compressed data ends differently."""
    hashed = blake2b(size.to_bytes(8, "little") + head + tail, digest_size=8)
    return int.from_bytes(hashed.digest(), "little")


def _flaw(kind: str, reason: str) -> Flaw:
    return Flaw.of(kind, ImageError(reason, expected=FORMATS))
