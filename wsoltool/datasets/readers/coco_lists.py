"""The three lists of a COCO annotation file, and the classes that its categories are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wsoltool.datasets.readers.class_names import distinct_names
from wsoltool.datasets.readers.lines import read_text
from wsoltool.errors import DataError

Item = Mapping[str, Any]

#: Keys of annotations and images that are let go while the file is parsed: most of its memory.
UNREAD = ("segmentation", "area", "license", "flickr_url", "coco_url", "date_captured", "counts")
CATEGORIES = re.compile(r'"categories"\s*:\s*(?=\[)')


class CocoLists(NamedTuple):
    """A parsed file; each list holds dicts of whatever keys and values the file has."""

    images: Sequence[Item]
    annotations: Sequence[Item]
    categories: Sequence[Item]


@dataclass(frozen=True)
class Categories:
    """The classes of a file: label i is the i-th smallest id.

    Attributes:
        names: Class names by label; equal ones with their id behind them.
        labels: Category id -> label.
    """

    names: tuple[str, ...]
    labels: Mapping[int, int]


def read_lists(path: Path) -> CocoLists:
    """Parse a whole file, but for its segmentations.

    Raises:
        DataError: The file is missing, no json, or lacks a list.
    """
    try:
        content = json.loads(read_text(path), object_hook=_without_unread)
    except json.JSONDecodeError as error:
        raise _no_json(error, path) from error
    except RecursionError as error:
        raise DataError("the json is nested too deeply", at=str(path)) from error
    return CocoLists(*(_items(content, key, path) for key in CocoLists._fields))


def read_categories(path: Path) -> Categories:
    """The classes of a file alone; the rest is not parsed, which may take half a minute.

    Raises:
        DataError: The file is missing, or has no list of categories.
    """
    text = read_text(path)
    decoder = json.JSONDecoder()
    for match in CATEGORIES.finditer(text):
        try:
            items, _ = decoder.raw_decode(text, match.end())
        except json.JSONDecodeError as error:
            raise _no_json(error, path) from error
        if items and all(isinstance(item, dict) and "name" in item for item in items):
            return categories_of(items, path)
    return categories_of(read_lists(path).categories, path)


def categories_of(items: Sequence[Item], path: Path) -> Categories:
    """Labels by rising id.

    Raises:
        DataError: A category has no name, or its id is no integer or not its own.
    """
    places: dict[int, int] = {}
    for place, item in enumerate(items):
        key, at = item.get("id"), f"{path}: categories[{place}]"
        if isinstance(key, bool) or not isinstance(key, int):
            raise DataError(f"the category's id is {key!r}", at=at, expected="an integer")
        if not isinstance(item.get("name"), str) or not item["name"].strip():
            raise DataError("the category has no name", at=at, expected='"name": "cat"')
        if key in places:
            what = f"id {key} is that of categories[{places[key]}] too"
            raise DataError(what, at=at, expected="every id once")
        places[key] = place
    if not places:
        raise DataError("there are no categories", at=str(path), expected="a list of classes")
    ids = sorted(places)
    names = distinct_names([items[places[key]]["name"].strip() for key in ids], ids)
    return Categories(tuple(names), {key: label for label, key in enumerate(ids)})


def _without_unread(item: dict[str, Any]) -> dict[str, Any]:
    for key in UNREAD:
        item.pop(key, None)
    return item


def _no_json(error: json.JSONDecodeError, path: Path) -> DataError:
    return DataError(
        f"the file is no json: {error.msg}, column {error.colno}",
        at=f"{path}:{error.lineno}",
        expected="COCO annotations",
        hint="a download or copy may have stopped early: fetch it again",
    )


def _items(content: object, key: str, path: Path) -> list[Item]:
    items = content.get(key) if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise DataError(
            f"the file has no list {key!r}",
            at=str(path),
            expected="an object with the lists images, annotations and categories",
        )
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            at = f"{path}: {key}[{place}]"
            raise DataError(f"{item!r} is no object", at=at, expected="{...}")
    return items
