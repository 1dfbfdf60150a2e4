"""What data sets of image files share: reading pixels, labels and boxes of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsoltool.datasets.base import LocalizationDataset, Transform
from wsoltool.datasets.images import read_image
from wsoltool.datasets.records import Records, check_box_convention, half_open
from wsoltool.errors import DataError
from wsoltool.structures import Size, Truth


class ImageFiles(LocalizationDataset):
    """Image files below a folder, each with its record.

    Args:
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        pipeline: Transforms, see :class:`LocalizationDataset`.
        image_root: An image's id is its path below this folder.
        classes: Class names; the label is the index.
        records: Ids, labels and, where the split has them, sizes and boxes.
        box_convention: Whether the boxes' x1 y1 are ``exclusive`` or ``inclusive``.
        exif: Turn images as their EXIF orientation says.
    """

    def __init__(
        self,
        split: str,
        pipeline: Sequence[Transform] = (),
        *,
        image_root: Path,
        classes: Sequence[str],
        records: Records,
        box_convention: str,
        exif: bool,
    ) -> None:
        super().__init__(split, pipeline)
        check_box_convention(box_convention)
        self.image_root, self.exif = image_root, exif
        self.classes, self.image_ids, self.records = tuple(classes), records.ids, records
        self.box_convention = box_convention
        self.multi_label = records.labels.ndim == 2
        self._last_size: tuple[int, Size] | None = None
        self.check_not_empty(image_root)

    def path(self, index: int) -> Path:
        """The image's file."""
        return self.image_root / self.image_ids[index]

    def load(self, index: int) -> np.ndarray:
        """The image, ``(H, W, 3)`` uint8 RGB.

        Raises:
            ImageError: The file cannot be decoded.
            DataError: Its size is not the recorded one, or a box lies outside it.
        """
        image = read_image(self.path(index), self.exif)
        self._check_size(index, image.shape[0], image.shape[1])
        self._last_size = index, (image.shape[0], image.shape[1])
        return image

    def label(self, index: int) -> int | np.ndarray:
        label = self.records.labels[index]
        return label.astype(np.float32) if self.multi_label else int(label)

    def read_truth(self, index: int) -> Truth:
        if self.records.masks is not None:
            return self.records.masks.truth(index, self._size(index))
        if self.records.boxes is None:
            raise DataError(
                f"split {self.split} has no boxes",
                at=self.image_ids[index],
                expected="boxes, for they are needed to score and to choose thresholds",
                hint="to get boxes for images without annotation use `wsoltool localize`",
            )
        written = self.records.boxes[index]
        return Truth(half_open(written, self.box_convention), annotated_boxes=written)

    def _size(self, index: int) -> Size:
        """(height, width) of the image, which is decoded only if nothing else tells."""
        if self.records.sizes is not None:
            height, width = self.records.sizes[index].tolist()
            return height, width
        # An image's truth is read right after its pixels.
        if self._last_size is None or self._last_size[0] != index:
            self.load(index)
        assert self._last_size is not None
        return self._last_size[1]

    def _check_size(self, index: int, height: int, width: int) -> None:
        sizes = self.records.sizes
        if sizes is not None:
            if (height, width) != tuple(sizes[index]):
                recorded_height, recorded_width = sizes[index]
                raise DataError(
                    f"the image has {width} x {height} pixels, its record says"
                    f" {recorded_width} x {recorded_height} (width x height)",
                    at=str(self.path(index)),
                    expected="the image that the annotation was made for",
                    hint="was the image resized, or turned by its EXIF orientation (option exif)?",
                )
        elif self.records.boxes is not None:
            boxes = half_open(self.records.boxes[index], self.box_convention)
            far = boxes[:, 2:].max(axis=0, initial=0)
            if far[0] > width or far[1] > height:
                raise DataError(
                    f"a box reaches to x1 = {far[0]:g}, y1 = {far[1]:g} (exclusive), the image has"
                    f" {width} x {height} pixels (width x height)",
                    at=str(self.path(index)),
                    expected="boxes inside the image",
                    hint="check box_convention, and whether the image was resized",
                )
