"""Masks of objects in black-and-white image files, one file an instance; opened when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wsoltool.datasets.image_sizes import header_sizes
from wsoltool.datasets.images import read_mask
from wsoltool.datasets.records import Names, select_groups
from wsoltool.errors import DataError
from wsoltool.structures import Size, Truth

IGNORED = 255


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Where the masks of many images lie: those of image i are ``masks[offsets[i]:offsets[i+1]]``.

    Attributes:
        root: The folder that all paths start from.
        masks: One file an instance; its pixels are what is brighter than ``level``.
        offsets: ``(N + 1,)`` int64, rising: every image has a mask.
        ignored: N files, the pixels of each image that are not to be scored, in the same way;
            empty names where that is none.
        level: Grey level in [0, 255); 0 takes what is not black.
    """

    root: Path
    masks: Names
    offsets: np.ndarray
    ignored: Names
    level: int = 0

    def select(self, rows: np.ndarray) -> MaskFiles:
        """The mask files of the images at ``rows``, in that order."""
        offsets, members = select_groups(self.offsets, rows)
        masks, ignored = self.masks.select(members), self.ignored.select(rows)
        return MaskFiles(self.root, masks, offsets, ignored, self.level)

    def __len__(self) -> int:
        return len(self.ignored)

    def sizes(self) -> np.ndarray:
        """``(N, 2)`` int64 (height, width) of each image's first mask, from the file's header.

        Raises:
            ImageError: A file is missing, or no image.
        """
        return header_sizes(self.root, (self.masks[first] for first in self.offsets[:-1].tolist()))

    def truth(self, index: int, size: Size | None = None) -> Truth:
        """Read one image's masks.

        The mask is the union of the instances; what the ignore file shows outside of it is
        ignored. It keeps the files' resolution, for OpenImages' masks rarely have that of their
        images. Each instance gives a box: the image's pixels that it reaches into, exactly its
        tight box where the resolutions agree. ``annotated_boxes`` name the last of these pixels as
        x1 y1, for the wsolevaluation protocol counts these as inside. An instance without a pixel
        gives no box.

        Args:
            index: Of the image.
            size: (height, width) of the image in whose pixels boxes are given; the masks' own by
                default.

        Raises:
            ImageError: A file is missing, damaged or of an unsupported kind.
            DataError: The files of the image differ in size, do not have its proportions, or
                show no object at all.
        """
        instances = self.masks[slice(*self.offsets[index : index + 2])]
        union, boxes = self._unite([self.root / name for name in instances], size)
        mask = union.astype(np.uint8)
        if self.ignored[index]:
            path = self.root / self.ignored[index]
            ignored = read_mask(path, self.level)
            if ignored.shape != union.shape:
                raise other_size(ignored.shape, union.shape, path, self.root / instances[0])
            mask[ignored & ~union] = IGNORED
        found = _covered(np.array(boxes, dtype=np.int64), union.shape, size or union.shape)
        return Truth(
            boxes=found.astype(np.float32),
            annotated_boxes=(found - [0, 0, 1, 1]).astype(np.float32),
            mask=mask,
        )

    def _unite(
        self, paths: list[Path], size: Size | None
    ) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
        """``(H, W)`` bool, the pixels of any file, and the tight box of each that shows some."""
        union = read_mask(paths[0], self.level)
        if size is not None:
            check_proportions(union.shape, size, paths[0])
        boxes = [_tight_box(union)]
        for path in paths[1:]:
            mask = read_mask(path, self.level)
            if mask.shape != union.shape:
                raise other_size(mask.shape, union.shape, path, paths[0])
            boxes.append(_tight_box(mask))
            union |= mask
        boxes = [box for box in boxes if box[2] > box[0]]
        if not boxes:
            raise all_black(paths, self.level)
        return union, boxes


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """xyxy of the True pixels, x1 y1 exclusive; without area where there are none."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return x, y, x + width, y + height


def _covered(boxes: np.ndarray, frame: Size, size: Size) -> np.ndarray:
    """``(M, 4)`` int64: the pixels of ``size`` that boxes ``(M, 4)`` of ``frame`` reach into."""
    sides = np.array([size[1], size[0]])
    frames = np.array([frame[1], frame[0]])
    # Integers: in floating point an exact border may be rounded across it.
    return np.concatenate(
        [boxes[:, :2] * sides // frames, -(-boxes[:, 2:] * sides // frames)], axis=1
    )


def all_black(paths: Sequence[Path], level: int) -> DataError:
    """What is wrong with masks that show no object."""
    return DataError(
        f"the image's {len(paths)} masks are all black"
        if len(paths) > 1
        else "the mask is all black",
        at=str(paths[0]),
        expected=f"object pixels, which are brighter than {level}",
    )


def check_proportions(mask: Size, size: Size, path: Path) -> None:
    """Raise unless mask and image may be one picture, each side rounded by a pixel at most.

    Args:
        mask: (height, width) of the mask.
        size: (height, width) of the image.
        path: Of the mask, for the message.

    Raises:
        DataError: The proportions differ.
    """
    height, width = mask
    apart = abs(height * size[1] - width * size[0])
    if apart > max(height + size[0], width + size[1]):
        raise DataError(
            f"the mask has {width} x {height} pixels, its image {size[1]} x {size[0]}"
            " (width x height): these are different proportions",
            at=str(path),
            expected="a mask of the whole image, at any resolution",
            hint="was the image cropped, or turned by its EXIF orientation?",
        )


def other_size(mask: Size, first: Size, path: Path, first_path: Path) -> DataError:
    """What is wrong with a mask whose (height, width) is not that of the image's first one."""
    return DataError(
        f"the mask has {mask[1]} x {mask[0]} pixels (width x height),"
        f" {first_path.name} of the same image {first[1]} x {first[0]}",
        at=str(path),
        expected="one size for all masks of an image",
    )


def check_segments(
    segments: Size, image: Size, highest: int | None, num_classes: int, path: Path
) -> None:
    """Raise unless a segmentation has its image's size and names classes that there are.

    Args:
        segments: (height, width) of the segmentation.
        image: (height, width) of its image.
        highest: The highest number of its pixels, class index + 1; None where it is not known.
        num_classes: Of the data set.
        path: Of the segmentation, for the message.

    Raises:
        DataError: Its size differs, or it names another class.
    """
    if segments != image:
        raise DataError(
            f"the segmentation has {segments[1]} x {segments[0]} pixels, its image"
            f" {image[1]} x {image[0]} (width x height)",
            at=str(path),
            expected="one pixel for each of the image",
        )
    if highest is not None and highest > num_classes:
        raise DataError(
            f"the segmentation names class {highest} of {num_classes}",
            at=str(path),
            expected=f"0 for background, 1 to {num_classes}, or 255",
        )
