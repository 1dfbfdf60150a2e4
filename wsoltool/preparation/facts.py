"""What is found out about a file, apart from what its data set says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wsoltool.errors import WsolError
from wsoltool.structures import Size

Role = Literal["image", "mask", "segments"]

#: Kind of problem -> what to do about it, where the problem itself does not say.
REMEDIES = {
    "missing": "fetch the data set's archive again, or unpack it again",
    "empty": "a download or copy failed: fetch the file again",
    "truncated": "a download or copy stopped early: fetch the file again",
    "damaged": "fetch the file again, or convert it with an image editor",
    "unreadable": "check the file's permissions and links",
    "annotation": "mend the annotation",
    "size": "fetch the original image",
    "box": "mend the annotation, or check the reader's box_convention",
    "mask": "fetch the mask again",
    "segments": "fetch the segmentation again",
    "two splits": "take it out of one of the splits' lists",
    "duplicate": "nothing is left out: judge whether it matters to what you measure",
    "count": "fetch the data set again, or say with --subset that it is meant to be a part",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why an image or a file cannot be used.

    Attributes:
        kind: One of :data:`REMEDIES`.
        reason: For people to read.
        remedy: What to do.
    """

    kind: str
    reason: str
    remedy: str

    @classmethod
    def of(cls, kind: str, error: WsolError) -> Flaw:
        """The flaw that an error tells of."""
        return cls(kind, error.what, error.hint or REMEDIES[kind])


@dataclass(frozen=True, slots=True)
class Facts:
    """What one file is like.

    Attributes:
        thorough: Its pixels were decoded.
        size: (height, width), as the reader turns images; None of a file that cannot be read.
        notes: What is unusual, see :meth:`~wsoltool.preparation.headers.Header.notes`.
        digest: A hash of its length, beginning and end.
        fingerprint: Two perceptual hashes, see :mod:`wsoltool.preparation.fingerprints`; of images
            whose pixels were decoded.
        highest: The highest grey level of a mask or the highest number of a segmentation, where
            pixels were decoded.
        flaw: Why it cannot be used.
    """

    thorough: bool
    size: Size | None = None
    notes: tuple[str, ...] = ()
    digest: int = 0
    fingerprint: tuple[int, int] | None = None
    highest: int | None = None
    flaw: Flaw | None = None

    def plain(self) -> list[Any]:
        """As JSON has it, without the flaw."""
        values = (self.size, self.notes, self.digest, self.fingerprint, self.highest)
        return [int(self.thorough), *values]

    @classmethod
    def of_plain(cls, values: Sequence[Any]) -> Facts:
        """The reverse of :meth:`plain`."""
        thorough, size, notes, digest, fingerprint, highest = values
        return cls(
            bool(thorough),
            size and (size[0], size[1]),
            tuple(notes),
            digest,
            fingerprint and (fingerprint[0], fingerprint[1]),
            highest,
        )
