"""Class scores that another tool has written, as rankings: the classes of each image, surest first.

Lines of ``image id,class,class,...``, classes counted from 0, the same number in each line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsoltool.errors import DataError
from wsoltool.evaluation.results import TOP

EXPECTED = "image id,class,class,... with the surest class first, classes counted from 0"


def read_ranking(path: Path, image_ids: Sequence[str]) -> np.ndarray:
    """Each image's surest classes.

    Args:
        path: The file.
        image_ids: Of the split; each must have one line, in any order, and no other id may.

    Returns:
        ``(N, n)`` int64 in the order of ``image_ids``: n = 5 where lines have five classes or
        more, or all classes that there are (-1 beyond the last); otherwise as many as lines have.

    Raises:
        DataError: The file is missing, not UTF-8, or a line is wrong.
    """
    rows = {image_id: row for row, image_id in enumerate(image_ids)}
    ranked: list[list[int] | None] = [None] * len(rows)
    count = 0
    for number, line in enumerate(_lines(path), start=1):
        at = f"{path}:{number}"
        image_id, classes = _fields(line, at)
        if image_id not in rows:
            raise DataError(f"image id {image_id!r} is not in the metadata", at=at)
        if ranked[rows[image_id]] is not None:
            raise DataError(f"image id {image_id!r} has a line already", at=at)
        count = count or len(classes)
        if len(classes) != count:
            raise DataError(
                f"{len(classes)} classes, but {count} in line 1",
                at=at,
                expected="the same number of classes in each line",
            )
        ranked[rows[image_id]] = classes
    return _surest(_complete(ranked, image_ids, path))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", at=str(path)) from error
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", at=str(path), expected=EXPECTED) from error


def _fields(line: str, at: str) -> tuple[str, list[int]]:
    image_id, *names = line.rstrip("\r").split(",")
    numbers = [name.strip() for name in names]
    classes = [int(number) for number in numbers] if all(map(str.isdecimal, numbers)) else []
    if not classes or len(set(classes)) < len(classes):
        raise DataError(
            f"no ranking of classes: {line!r}",
            at=at,
            expected=EXPECTED,
            hint="each class once in a line; scores themselves are left out",
        )
    return image_id, classes


def _complete(
    ranked: Sequence[list[int] | None], image_ids: Sequence[str], path: Path
) -> np.ndarray:
    missing = [i for i, classes in zip(image_ids, ranked, strict=True) if classes is None]
    if missing:
        raise DataError(
            f"image id {missing[0]!r} has no line ({len(missing)} images have none)",
            at=str(path),
            expected="a line for every image of the metadata",
        )
    return np.array(ranked, dtype=np.int64)


def _surest(ranked: np.ndarray) -> np.ndarray:
    count = ranked.shape[1]
    if count >= TOP or ranked.max() >= count:
        return ranked[:, :TOP]
    # Each line names all classes: there are fewer than five.
    return np.pad(ranked, ((0, 0), (0, TOP - count)), constant_values=-1)
