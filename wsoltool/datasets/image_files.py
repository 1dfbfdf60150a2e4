"""What data sets of image files share: reading pixels, labels and boxes of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsoltool.datasets.base import LocalizationDataset, Transform
from wsoltool.datasets.image_sizes import unlike_record
from wsoltool.datasets.images import read_image, read_segments
from wsoltool.datasets.mask_files import check_segments
from wsoltool.datasets.records import BoxTable, Records, check_box_convention, half_open
from wsoltool.errors import DataError, ImageError
from wsoltool.structures import Size, Truth


class ImageFiles(LocalizationDataset):
    """Image files below a folder, each with its record.

    Args:
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        pipeline: Transforms, see :class:`LocalizationDataset`.
        image_root: An image's id is its path below this folder.
        classes: Class names; the label is the index.
        records: Ids, labels and, where the split has them, sizes, boxes, masks and segments.
        box_convention: Whether the boxes' x1 y1 are ``exclusive`` or ``inclusive``.
        exif: Turn images as their EXIF orientation says.
        segment_root: The folder that the paths of segments start from; ``image_root`` by default.
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
        segment_root: Path | None = None,
    ) -> None:
        super().__init__(split, pipeline)
        check_box_convention(box_convention)
        self.image_root, self.exif = image_root, exif
        self.segment_root = segment_root or image_root
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
        try:
            image = read_image(self.path(index), self.exif)
        except ImageError as error:
            if self.index_digest is None:
                way = "`wsoltool prepare` finds all such files at once"
                error.hint = f"{error.hint}; {way}" if error.hint else way
            raise
        self._check_size(index, image.shape[0], image.shape[1])
        self._last_size = index, (image.shape[0], image.shape[1])
        return image

    def label(self, index: int) -> int | np.ndarray:
        label = self.records.labels[index]
        return label.astype(np.float32) if self.multi_label else int(label)

    def read_truth(self, index: int) -> Truth:
        """Boxes with their classes, masks and segments, as far as the records have them.

        Raises:
            DataError: The split has no boxes and no masks, or a mask does not fit its image.
            ImageError: A mask or segmentation cannot be read.
        """
        boxes, masks = self.records.boxes, self.records.masks
        if boxes is None and masks is None:
            raise DataError(
                f"split {self.split} has no boxes",
                at=self.image_ids[index],
                expected="boxes, for they are needed to score and to choose thresholds",
                hint="to get boxes for images without annotation use `wsoltool localize`",
            )
        truth = None if masks is None else masks.truth(index, self._size(index))
        if boxes is not None:
            truth = self._annotated(boxes, index, None if truth is None else truth.mask)
        assert truth is not None
        if self.records.segments is not None and (name := self.records.segments[index]):
            truth.segments = self._read_segments(index, name)
        return truth

    def _annotated(self, boxes: BoxTable, index: int, mask: np.ndarray | None) -> Truth:
        """The truth of an image's own boxes."""
        written, rows = boxes[index], boxes.rows(index)
        return Truth(
            half_open(written, self.box_convention),
            annotated_boxes=written,
            mask=mask,
            labels=None if boxes.labels is None else np.array(boxes.labels[rows]),
            difficult=None if boxes.difficult is None else np.array(boxes.difficult[rows]),
        )

    def _read_segments(self, index: int, name: str) -> np.ndarray:
        path = self.segment_root / name
        segments = read_segments(path)
        highest = int(segments.max())
        check_segments(segments.shape, self._size(index), highest, len(self.classes), path)
        return segments

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
            recorded = sizes[index].tolist()
            if [height, width] != recorded:
                hint = "was the image resized, or turned by its EXIF orientation (option exif)?"
                raise unlike_record((height, width), recorded, self.path(index), hint)
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
