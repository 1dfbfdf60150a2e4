"""A folder of maps that any tool has written: which file is whose, and whether it can be scored.

An image's map is ``<image id>.npy`` below the folder, as the wsolevaluation benchmark has it, with
the id's extension (``birds/0.jpeg.npy``) or without (``birds/0.npy``): one float array ``(h, w)``.
"""

from __future__ import annotations

import filecmp
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.bad_maps import (
    CONSTANT,
    EMPTY,
    MISSING,
    NOT_2D,
    NOT_FINITE,
    NOT_FLOAT,
    OUT_OF_RANGE,
    UNREADABLE,
    BadMap,
    BadMapError,
)
from wsoltool.functional.map_arrays import fit_map
from wsoltool.structures import Size

SUFFIX = ".npy"
FLOATS = (2, 4, 8)  # bytes
LARGEST = 1e300  # beyond, resizing and scaling overflow


@dataclass(frozen=True, slots=True)
class MapFolder:
    """The maps of a split's images.

    Attributes:
        root: The folder.
        files: Each image's file below it; None where it is missing.
        extra: Maps that belong to no image, sorted.
    """

    root: Path
    files: Sequence[str | None]
    extra: Sequence[str]

    def missing(self, image_ids: Sequence[str]) -> list[BadMap]:
        """The images without a map, in their order."""
        return [
            BadMap(image_id, MISSING, image_id + SUFFIX)
            for image_id, file in zip(image_ids, self.files, strict=True)
            if file is None
        ]


def find_maps(root: Path, image_ids: Sequence[str]) -> MapFolder:
    """Look for every image's map; no file is opened but two that claim the same image.

    Args:
        root: The folder, whose links to folders are followed.
        image_ids: Of the split.

    Raises:
        EvaluationError: A folder cannot be read, an image has two maps that differ or a folder of
            maps instead of one, or a file without the image's extension may belong to several
            images.
    """
    try:
        present = set(_npy_files(str(root)))
    except OSError as error:
        raise EvaluationError(
            f"a map folder cannot be read: {error.strerror}", at=str(error.filename or root)
        ) from error
    names = [_names(image_id) for image_id in image_ids]
    own = {exact for exact, _ in names}
    short = [name if name in present and name not in own else None for _, name in names]
    _check_one_owner(root, image_ids, short)
    files: list[str | None] = []
    for (exact, _), other in zip(names, short, strict=True):
        if exact in present and other is not None:
            _check_equal(root, exact, other)
        files.append(exact if exact in present else other)
    extra = sorted(present - {*files, *short})
    _check_one_class(root, image_ids, files, extra)
    return MapFolder(root, files, extra)


def _names(image_id: str) -> tuple[str, str]:
    """With the image's extension and without."""
    path = PurePosixPath(image_id)
    short = path.with_suffix("") if path.suffix else path
    return path.as_posix() + SUFFIX, short.as_posix() + SUFFIX


def _npy_files(
    folder: str, prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[str]:
    """All maps below a folder, as posix paths relative to it."""
    status = os.stat(folder)  # noqa: PTH116 (scandir's paths are strings)
    place = (status.st_dev, status.st_ino)
    if place in above:  # a link to a folder above itself
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _npy_files(entry.path, f"{prefix}{entry.name}/", above | {place})
            elif entry.name.endswith(SUFFIX):
                yield prefix + entry.name


def _check_one_owner(root: Path, image_ids: Sequence[str], short: Sequence[str | None]) -> None:
    counts = Counter(name for name in short if name is not None)
    shared = [name for name, count in counts.items() if count > 1]
    if shared:
        owners = [i for i, name in zip(image_ids, short, strict=True) if name == shared[0]]
        raise EvaluationError(
            f"{shared[0]} may be the map of {owners[0]!r} and of {owners[1]!r}"
            f" ({len(shared)} such files)",
            at=str(root),
            expected="<image id>.npy with the image's extension where ids differ in it alone",
        )


def _check_one_class(
    root: Path, image_ids: Sequence[str], files: Sequence[str | None], extra: Sequence[str]
) -> None:
    folders = {name.rpartition("/")[0] for name in extra}
    for image_id, file in zip(image_ids, files, strict=True):
        if file is None and PurePosixPath(image_id).as_posix() in folders:
            raise EvaluationError(
                f"the image {image_id!r} has a folder of maps, one for each of its classes",
                at=str(root),
                expected="one map an image",
                hint="images of several classes are scored by wsoltool test, with "
                "DetectionMetric and SegmentationMetric",
            )


def _check_equal(root: Path, exact: str, short: str) -> None:
    if not filecmp.cmp(root / exact, root / short, shallow=False):
        raise EvaluationError(
            f"two different maps of one image: {exact} and {short}",
            at=str(root),
            expected="one map an image",
            hint="remove the one that is out of date",
        )


def write_map(root: Path, image_id: str, values: np.ndarray) -> None:
    """Store an image's map where :func:`find_maps` looks for it.

    Args:
        root: The folder; those of the id are made below it.
        image_id: A relative path.
        values: ``(h, w)`` float.

    Raises:
        EvaluationError: The id leads out of the folder, or the file cannot be written.
    """
    name = _names(image_id)[0]
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise EvaluationError(
            f"the map of {image_id!r} would lie outside the map folder",
            at=str(root),
            expected="image ids that are paths below a folder",
        )
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
    except OSError as error:
        raise EvaluationError(
            f"the map cannot be written: {error.strerror or error}", at=str(path)
        ) from error


def read_map(path: Path, normalise: bool = False) -> np.ndarray:
    """A stored map, checked.

    Args:
        path: An ``.npy`` file.
        normalise: Accept values outside [0, 1], which are to be scaled.

    Returns:
        ``(h, w)`` float64, finite, not constant.

    Raises:
        BadMapError: The file has no such map.
    """
    values = _read_array(path)
    if values.dtype.kind != "f" or values.dtype.itemsize not in FLOATS:
        raise BadMapError(f"{values.dtype}, not float16, float32 or float64", NOT_FLOAT)
    if values.ndim != 2:
        raise BadMapError(f"shape {values.shape}", NOT_2D)
    if not values.size:
        raise BadMapError(f"shape {values.shape}", EMPTY)
    values = np.ascontiguousarray(values, dtype=np.float64)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        count = values.size - np.count_nonzero(np.isfinite(values))
        raise BadMapError(f"{count} of {values.size} values", NOT_FINITE)
    if max(abs(low), abs(high)) > LARGEST:
        raise BadMapError(f"from {low:g} to {high:g}: too large to scale", NOT_FINITE)
    if not normalise and not (low >= 0 and high <= 1):
        raise BadMapError(f"from {low:g} to {high:g}", OUT_OF_RANGE)
    if low == high:
        raise BadMapError(f"{low:g} everywhere", CONSTANT)
    return values


def frame_map(values: np.ndarray, size: Size, interpolation: str, normalise: bool) -> np.ndarray:
    """:func:`fit_map` for a map that :func:`read_map` accepted.

    Raises:
        BadMapError: ``normalise``, and the map is constant once it is resized.
    """
    try:
        return fit_map(values, size, interpolation, normalise)
    except EvaluationError as error:
        raise BadMapError(error.what, CONSTANT) from error


def _read_array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise BadMapError(error.strerror or str(error), UNREADABLE) from error
    except Exception as error:  # the header is read as Python, whose parser may raise anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BadMapError(reason, UNREADABLE) from error
