"""Image sizes from the headers of image files, without decoding them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wsoltool.datasets.images import FORMATS
from wsoltool.errors import DataError, ImageError
from wsoltool.structures import Size

LYING = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""


def header_sizes(root: Path, image_ids: Iterable[str]) -> np.ndarray:
    """``(N, 2)`` int64 (height, width) of image files, as stored: EXIF turns nothing.

    Args:
        root: The image folder.
        image_ids: Paths below it.

    Raises:
        ImageError: A file is missing, or no image.
    """
    sizes = [header_size(root / image_id) for image_id in image_ids]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def header_size(path: Path, exif: bool = False) -> Size:
    """(height, width) of one image file.

    Args:
        path: The file.
        exif: Of the image turned as its EXIF orientation says.

    Raises:
        ImageError: The file is missing, or no image.
    """
    from PIL import UnidentifiedImageError

    try:
        with path.open("rb") as file:
            return _size(file, exif)
    except UnidentifiedImageError:
        raise ImageError(
            "the file's header is that of no known kind of image", at=str(path), expected=FORMATS
        ) from None
    except OSError as error:
        raise ImageError(
            f"the image file cannot be read: {error.strerror or error}",
            at=str(path),
            expected=FORMATS,
            hint="check the image folder and the spelling of the id",
        ) from error


def unlike_record(
    size: Sequence[int], recorded: Sequence[int], path: Path, hint: str | None
) -> DataError:
    """What is wrong with an image whose (height, width) is not the recorded one."""
    return DataError(
        f"the image has {size[1]} x {size[0]} pixels, its record says"
        f" {recorded[1]} x {recorded[0]} (width x height)",
        at=str(path),
        expected="the image that the annotation was made for",
        hint=hint,
    )


def _size(file: BinaryIO, exif: bool) -> Size:
    from PIL import ExifTags, Image

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None  # of decoding, which is not done
    try:
        with Image.open(file) as image:
            # TIFF has no such part: Pillow and OpenCV always turn these.
            known = exif and "exif" in image.info
            orientation = image.getexif().get(ExifTags.Base.Orientation) if known else None
            width, height = image.size
            return (width, height) if orientation in LYING else (height, width)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
