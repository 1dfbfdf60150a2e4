"""What file-based data sets remember of their images, in few large buffers.

A list of a million Python strings is copied page by page into every loading worker, because
reading an object writes its reference count. The buffers here are read only and stay shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

import numpy as np

from wsoltool.errors import WsolError, check_choice
from wsoltool.structures import Size

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
        text: All strings in UTF-8, one after the other; a view of a memory map stays one.
        offsets: ``(N + 1,)`` int64 byte positions, the first 0.

    Example:
        >>> names = Names.of(["cat/1.jpg", "größe.png"])
        >>> names[-1], len(names), names[:1]
        ('größe.png', 2, ['cat/1.jpg'])
    """

    def __init__(self, text: bytes | memoryview, offsets: np.ndarray) -> None:
        self.text, self.offsets = text, offsets

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
        return self.text == other.text and np.array_equal(self.offsets, other.offsets)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple:
        return Names, (bytes(self.text), np.array(self.offsets))  # views cannot be pickled

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        start, end = self.offsets[index], self.offsets[index + 1]
        return str(self.text[start:end], "utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.offsets[1:].tolist():
            yield str(self.text[start:end], "utf-8", "surrogateescape")
            start = end

    def select(self, rows: np.ndarray) -> Names:
        """The strings at ``rows``, in that order."""
        return Names.of(self[row] for row in rows.tolist())


@dataclass(frozen=True, slots=True)
class BoxTable:
    """The boxes of many images: those of image i are ``boxes[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: ``(N + 1,)`` int64, not decreasing.
        boxes: ``(M, 4)`` float32 xyxy, pixels of the original image, in the file's convention.
        labels: ``(M,)`` int64, each box's class; None where it is its image's one label.
        difficult: ``(M,)`` bool, boxes that detection metrics neither demand nor punish; None
            where there are none.
    """

    offsets: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray | None = None
    difficult: np.ndarray | None = None

    @classmethod
    def group(
        cls,
        image_indices: np.ndarray,
        boxes: np.ndarray,
        num_images: int,
        labels: np.ndarray | None = None,
        difficult: np.ndarray | None = None,
    ) -> BoxTable:
        """Sort ``(M, 4)`` boxes by the image ``(M,)`` they lie in; an image's order is kept.

        Example:
            >>> table = BoxTable.group(np.array([1, 0, 1]), np.arange(12).reshape(3, 4), 3)
            >>> table[1]
            array([[ 0.,  1.,  2.,  3.],
                   [ 8.,  9., 10., 11.]], dtype=float32)
            >>> table.counts()
            array([1, 2, 0])
        """
        order = np.argsort(image_indices, kind="stable")
        return cls(
            group_offsets(np.bincount(image_indices, minlength=num_images)),
            np.asarray(boxes, np.float32).reshape(-1, 4)[order],
            None if labels is None else np.asarray(labels, np.int64)[order],
            None if difficult is None else np.asarray(difficult, bool)[order],
        )

    def counts(self) -> np.ndarray:
        """``(N,)`` int64, boxes of each image."""
        return np.diff(self.offsets)

    def select(self, rows: np.ndarray) -> BoxTable:
        """The boxes of the images at ``rows``, in that order."""
        offsets, members = select_groups(self.offsets, rows)
        return BoxTable(
            offsets,
            self.boxes[members],
            None if self.labels is None else self.labels[members],
            None if self.difficult is None else self.difficult[members],
        )

    def rows(self, index: int) -> slice:
        """Where the boxes of an image stand in the columns."""
        return slice(*self.offsets[index : index + 2].tolist())

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """``(n, 4)`` float32, a copy."""
        return np.array(self.boxes[self.rows(index)])


def group_offsets(counts: np.ndarray) -> np.ndarray:
    """``(N + 1,)`` int64: where each of N groups of ``counts`` members begins, and the end."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def select_groups(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the groups at ``rows``, and the members ``(M',)`` of these groups in order.

    Example:
        >>> select_groups(np.array([0, 2, 2, 5]), np.array([2, 0]))
        (array([0, 3, 5]), array([2, 3, 4, 0, 1]))
    """
    counts = np.diff(offsets)[rows]
    selected = group_offsets(counts)
    shifts = np.repeat(offsets[rows] - selected[:-1], counts)
    return selected, np.arange(selected[-1]) + shifts


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known of N images besides their pixels.

    Attributes:
        ids: The N image ids.
        labels: ``(N,)`` int64 class indices, or ``(N, K)`` uint8 multi-hot.
        sizes: ``(N, 2)`` int64 (height, width), or None where the files do not say.
        boxes: The boxes, or None where the split has none or may not read them.
        masks: The mask files, where the split has these; boxes are theirs where ``boxes`` is None.
        segments: N files whose pixels are class index + 1, 0 for background and 255 where nothing
            is known; empty names where an image has none. None where the split has none.
    """

    ids: Names
    labels: np.ndarray
    sizes: np.ndarray | None = None
    boxes: BoxTable | None = None
    masks: MaskFiles | None = None
    segments: Names | None = None

    def select(self, rows: np.ndarray) -> Records:
        """The records of the images at ``rows``, in that order."""
        return replace(
            self,
            ids=self.ids.select(rows),
            labels=self.labels[rows],
            sizes=None if self.sizes is None else self.sizes[rows],
            boxes=None if self.boxes is None else self.boxes.select(rows),
            masks=None if self.masks is None else self.masks.select(rows),
            segments=None if self.segments is None else self.segments.select(rows),
        )

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One image as a data set's own files describe it.

    Attributes:
        image: Its id: the path of its file below the image root, with ``/``.
        labels: Class indices; exactly one unless the data set is multi-label.
        size: (height, width), where the files say it.
        boxes: xyxy, pixels of the original image, in the reader's box convention and counted from
            its ``first_pixel``.
        box_labels: Class index of each box; empty where that is the image's one label.
        difficult: For each box, whether detection metrics pass over it; empty: none.
        masks: Files of instances below the mask root, see
            :class:`~wsoltool.datasets.mask_files.MaskFiles`.
        ignored: File of the pixels that are not to be scored; empty: none.
        segments: File whose pixels name classes, see :class:`Records`; empty: none.
        at: Where this is written (file, or file:line), for error messages.
    """

    image: str
    labels: Sequence[int]
    size: Size | None = None
    boxes: Sequence[Sequence[float]] = ()
    box_labels: Sequence[int] = ()
    difficult: Sequence[bool] = ()
    masks: Sequence[str] = ()
    ignored: str = ""
    segments: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """An image that cannot be used, and why."""

    image: str
    error: WsolError


@dataclass(frozen=True, slots=True)
class Reading:
    """What a data set's files say of one split.

    Attributes:
        classes: Class names in the order of their labels.
        records: The images that can be used.
        problems: The others, in the files' order.
    """

    classes: tuple[str, ...]
    records: Records
    problems: tuple[Problem, ...] = ()
