"""COCO's json format of object annotations, without its segmentations.

The object ``{"images": [{"id", "file_name", "width", "height"}], "annotations": [{"image_id",
"category_id", "bbox": [x, y, width, height], "iscrowd"}], "categories": [{"id", "name"}]}``; other
keys are passed over (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import NamedTuple, TypeGuard

from wsoltool.datasets.readers.borders import trimmed
from wsoltool.datasets.readers.coco_lists import Item, categories_of, read_lists
from wsoltool.datasets.readers.image_paths import inner_path
from wsoltool.datasets.records import Problem
from wsoltool.errors import DataError
from wsoltool.structures import Region, Size


class Box(NamedTuple):
    """One annotation.

    Attributes:
        place: Its index in the list ``annotations``.
        label: Class index.
        xyxy: Pixels of the image, x1 y1 exclusive.
        crowd: A region of many objects.
    """

    place: int
    label: int
    xyxy: Region
    crowd: bool


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image and what is annotated in it.

    Attributes:
        name: Its ``file_name``, with ``/``.
        size: (height, width), or None where the file does not say it.
        boxes: In the file's order.
        at: Where it stands in the file.
    """

    name: str
    size: Size | None
    boxes: tuple[Box, ...]
    at: str


class CocoFile:
    """A whole annotation file, parsed.

    Args:
        path: The json file.

    Raises:
        DataError: The file is missing, no json, or lacks one of its three lists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._images, self._annotations, categories = read_lists(path)
        self.categories = categories_of(categories, path)

    def at(self, key: str, place: int) -> str:
        """Where an item of a list stands, for error messages."""
        return f"{self.path}: {key}[{place}]"

    def images(self) -> Iterator[CocoImage | Problem]:
        """All images in the file's order, then the annotations of images that it does not list."""
        ids = Counter(_hashable(image.get("id")) for image in self._images)
        for place, image in enumerate(self._images):
            name = str(image.get("file_name", f"image {image.get('id')}"))
            try:
                _check_image(image, ids)
                boxes = tuple(self._boxes(image))
                yield CocoImage(
                    inner_path(name), _size(image), boxes, at=self._at_image(place, image, boxes)
                )
            except DataError as error:
                yield Problem(name, error.located(self.at("images", place)))
        for image_id, places in self._places.items():
            if image_id not in ids:
                yield Problem(f"image {image_id}", self._unknown_image(image_id, places))

    @cached_property
    def _places(self) -> dict[object, list[int]]:
        """Image id -> indices of its annotations."""
        places: dict[object, list[int]] = defaultdict(list)
        for place, annotation in enumerate(self._annotations):
            places[_hashable(annotation.get("image_id"))].append(place)
        return places

    def _boxes(self, image: Item) -> Iterator[Box]:
        size = _size(image)
        for place in self._places.get(image["id"], ()):
            annotation = self._annotations[place]
            try:
                label = self._label(annotation.get("category_id"))
                box = trimmed(_xyxy(annotation.get("bbox")), size)
            except DataError as error:
                raise error.located(self.at("annotations", place)) from error
            yield Box(place, label, box, bool(annotation.get("iscrowd")))

    def _label(self, category_id: object) -> int:
        label = self.categories.labels.get(category_id) if isinstance(category_id, int) else None
        if label is None:
            raise DataError(
                f"category_id {category_id!r} is none of the categories",
                expected="the id of one of the file's categories",
            )
        return label

    def _at_image(self, place: int, image: Item, boxes: Sequence[Box]) -> str:
        """Where an image stands; the annotation itself where one is surely wrong."""
        height, width = _size(image) or (float("inf"), float("inf"))
        for box in boxes:
            x0, y0, x1, y1 = box.xyxy
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                return self.at("annotations", box.place)
        return self.at("images", place)

    def _unknown_image(self, image_id: object, places: Sequence[int]) -> DataError:
        more = f" (and {len(places) - 1} more annotations)" if len(places) > 1 else ""
        return DataError(
            f"image_id {image_id!r} is none of the images{more}",
            at=self.at("annotations", places[0]),
            expected="the id of one of the file's images",
        )


def _check_image(image: Item, ids: Mapping[object, int]) -> None:
    if isinstance(image.get("id"), bool) or not isinstance(image.get("id"), int | str):
        raise DataError(f"the image's id is {image.get('id')!r}", expected="an integer")
    if not isinstance(image.get("file_name"), str) or not image["file_name"].strip():
        raise DataError("the image has no file_name", expected='"file_name": "1.jpg"')
    if ids[image["id"]] > 1:
        raise DataError(
            f"{ids[image['id']]} images have id {image['id']}", expected="every id once"
        )


def _hashable(key: object) -> object:
    return key if isinstance(key, int | str) else repr(key)


def _size(image: Item) -> Size | None:
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:
        return None
    if not (_is_side(height) and _is_side(width)):
        raise DataError(
            f"the image's width and height are {width!r} and {height!r}", expected="pixels"
        )
    return int(height), int(width)


def _is_side(side: object) -> TypeGuard[float]:
    return _is_number(side) and side > 0 and side == int(side)


def _xyxy(bbox: object) -> Region:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise DataError(f"bbox is {bbox!r}", expected="four numbers: x, y, width, height")
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and isfinite(value)
