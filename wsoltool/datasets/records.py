"""What file-based data sets remember of their images, in few large buffers.

A list of a million Python strings is copied page by page into every loading worker, because
reading an object writes its reference count. The buffers here are read only and stay shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from wsoltool.errors import check_choice

if TYPE_CHECKING:
    from wsoltool.datasets.mask_files import MaskFiles


BOX_CONVENTIONS = ("exclusive", "inclusive")


def check_box_convention(convention: str) -> None:
    """Raise :class:`ConfigError` for an unknown reading of x1 and y1."""
    check_choice(
        f"unknown box_convention {convention!r}",
        convention,
        BOX_CONVENTIONS,
        hint="exclusive: x1 y1 are the first pixels outside the box; inclusive: its last ones",
    )


def half_open(boxes: np.ndarray, convention: str) -> np.ndarray:
    """A copy of ``(n, 4)`` boxes of a convention, with x1 y1 exclusive."""
    boxes = boxes.copy()
    boxes[:, 2:] += convention == "inclusive"
    return boxes


class Names(Sequence[str]):
    """Strings in one buffer: number i is ``text[offsets[i]:offsets[i + 1]]``.

    Args:
        text: All strings in UTF-8, one after the other.
        offsets: ``(N + 1,)`` int64 byte positions, the first 0.

    Example:
        >>> names = Names.of(["cat/1.jpg", "größe.png"])
        >>> names[-1], len(names), names[:1]
        ('größe.png', 2, ['cat/1.jpg'])
    """

    def __init__(self, text: bytes, offsets: np.ndarray) -> None:
        self._text, self._offsets = text, offsets

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Pack strings; undecodable bytes of file names (surrogates) survive."""
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
        return cls(b"".join(encoded), offsets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Names):
            return NotImplemented
        return self._text == other._text and np.array_equal(self._offsets, other._offsets)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        start, end = self._offsets[index], self._offsets[index + 1]
        return self._text[start:end].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._offsets[1:].tolist():
            yield self._text[start:end].decode("utf-8", "surrogateescape")
            start = end


@dataclass(frozen=True, slots=True)
class BoxTable:
    """The boxes of many images: those of image i are ``boxes[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: ``(N + 1,)`` int64, not decreasing.
        boxes: ``(M, 4)`` float32 xyxy, pixels of the original image, in the file's convention.
    """

    offsets: np.ndarray
    boxes: np.ndarray

    @classmethod
    def group(cls, image_indices: np.ndarray, boxes: np.ndarray, num_images: int) -> BoxTable:
        """Sort ``(M, 4)`` boxes by the image ``(M,)`` they lie in; an image's order is kept.

        Example:
            >>> table = BoxTable.group(np.array([1, 0, 1]), np.arange(12).reshape(3, 4), 3)
            >>> table[1]
            array([[ 0.,  1.,  2.,  3.],
                   [ 8.,  9., 10., 11.]], dtype=float32)
            >>> table.counts()
            array([1, 2, 0])
        """
        offsets = np.zeros(num_images + 1, np.int64)
        np.cumsum(np.bincount(image_indices, minlength=num_images), out=offsets[1:])
        order = np.argsort(image_indices, kind="stable")
        return cls(offsets, np.asarray(boxes, np.float32).reshape(-1, 4)[order])

    def counts(self) -> np.ndarray:
        """``(N,)`` int64, boxes of each image."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """``(n, 4)`` float32, a copy."""
        return self.boxes[self.offsets[index] : self.offsets[index + 1]].copy()


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known of N images besides their pixels.

    Attributes:
        ids: The N image ids.
        labels: ``(N,)`` int64 class indices, or ``(N, K)`` uint8 multi-hot.
        sizes: ``(N, 2)`` int64 (height, width), or None where the files do not say.
        boxes: The boxes, or None where the split has none or may not read them.
        masks: The mask files, where the split has these instead of boxes.
    """

    ids: Sequence[str]
    labels: np.ndarray
    sizes: np.ndarray | None = None
    boxes: BoxTable | None = None
    masks: MaskFiles | None = None

    def __len__(self) -> int:
        return len(self.ids)
