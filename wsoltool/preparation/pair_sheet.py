"""A picture of near-duplicates side by side, for people to judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from wsoltool.datasets.images import read_image
from wsoltool.paths import whole_file
from wsoltool.preparation.duplicates import Pair

SHEET = "near_duplicates.png"

_CELL, _GAP, _TEXT = 160, 8, 560


def write_pair_sheet(
    path: Path, pairs: Sequence[Pair], root: Path, exif: bool, most: int = 20
) -> None:
    """Write a PNG with a row for each of the first pairs: both images, and what they are.

    Args:
        path: The file; removed where there are no pairs.
        pairs: Of similar images.
        root: The folder that image ids are paths below.
        exif: Images are turned as their EXIF orientation says.
        most: Rows.
    """
    if not pairs:
        path.unlink(missing_ok=True)
        return
    sheet = np.concatenate([_row(pair, root, exif) for pair in pairs[:most]])
    encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1]
    with whole_file(path) as file:
        file.write(encoded.tobytes())


def _row(pair: Pair, root: Path, exif: bool) -> np.ndarray:
    """``(168, 904, 3)`` uint8: two images and four lines of text on white."""
    row = np.full((_CELL + _GAP, 2 * (_CELL + _GAP) + _TEXT + _GAP, 3), 255, np.uint8)
    for place, image in enumerate((pair.image, pair.other_image)):
        shown = _fitted(read_image(root / image, exif))
        left = place * (_CELL + _GAP)
        row[: shown.shape[0], left : left + shown.shape[1]] = shown
    lines = (
        f"{pair.split}: {pair.image}",
        f"{pair.other_split}: {pair.other_image}",
        f"similarity {pair.similarity:.4f}, {pair.bits} bits apart",
    )
    for number, line in enumerate(lines):
        # OpenCV's fonts have no other letters; the list has the whole names.
        text = line.encode("ascii", "replace").decode()
        origin = (2 * (_CELL + _GAP) + _GAP, 24 + 22 * number)
        cv2.putText(row, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return row


def _fitted(image: np.ndarray) -> np.ndarray:
    """The image, its longer side as long as a cell."""
    scale = _CELL / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)
