"""Draws maps and boxes onto images; pure functions on RGB arrays."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from pathlib import Path

import cv2
import numpy as np

from wsoltool.errors import WorkDirError

Color = tuple[int, int, int]
TRUTH_COLOR: Color = (40, 220, 90)
PREDICTED_COLOR: Color = (255, 70, 60)
PART_COLOR: Color = (80, 170, 255)


def enlarge(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """Scale an image so that its long side has at least ``side`` pixels; image and factor."""
    factor = max(1.0, side / max(image.shape[:2]))
    if factor == 1.0:
        return image, factor
    size = [max(1, round(length * factor)) for length in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), factor


def blend_map(image: np.ndarray, localization_map: np.ndarray, weight: float = 0.5) -> np.ndarray:
    """The map in colours (blue 0 to red 1) over the image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        localization_map: ``(h, w)`` in [0, 1], resized to the image.
        weight: Of the map.
    """
    resized = cv2.resize(localization_map, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    levels = np.clip(np.round(resized * 255), 0, 255).astype(np.uint8)
    colors = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    return cv2.addWeighted(image, 1 - weight, np.ascontiguousarray(colors), weight, 0)


def draw_boxes(
    image: np.ndarray,
    boxes: Iterable[np.ndarray],
    color: Color,
    factor: float = 1.0,
    thickness: int | None = None,
) -> np.ndarray:
    """A copy of the image with boxes; lines grow inwards from a box's outermost pixels.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, already enlarged by ``factor``.
        boxes: xyxy, pixels of the image before enlarging, x1 y1 exclusive.
        color: RGB.
        factor: Of the enlargement.
        thickness: Of the lines, pixels; by default a 160th of the image's long side.
    """
    image = np.ascontiguousarray(image).copy()
    thickness = thickness or max(1, round(max(image.shape[:2]) / 160))
    for x0, y0, x1, y1 in boxes:
        left, top, right, bottom = (floor(value * factor + 0.5) for value in (x0, y0, x1, y1))
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        for inset in range(min(thickness, (min(right - left, bottom - top) + 1) // 2)):
            # cv2 takes the last pixel that still belongs to the box.
            last = (right - 1 - inset, bottom - 1 - inset)
            cv2.rectangle(image, (left + inset, top + inset), last, color, 1)
    return image


def draw_label(image: np.ndarray, text: str, color: Color) -> np.ndarray:
    """A copy of the image with a line of text on a dark strip at its top."""
    image = np.ascontiguousarray(image).copy()
    scale = max(0.4, max(image.shape[:2]) / 900)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    cv2.rectangle(image, (0, 0), (min(width + 8, image.shape[1]), height + base + 6), (0, 0, 0), -1)
    cv2.putText(
        image, text, (4, height + 3), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA
    )
    return image


def side_by_side(images: Iterable[np.ndarray], gap: int = 4) -> np.ndarray:
    """Images of one height in a row, with a white gap."""
    parts: list[np.ndarray] = []
    for image in images:
        if parts:
            parts.append(np.full((image.shape[0], gap, 3), 255, np.uint8))
        parts.append(image)
    return np.hstack(parts)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write ``(H, W, 3)`` uint8 RGB; folders are made.

    Raises:
        WorkDirError: The file cannot be written.
    """
    data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise WorkDirError(
            f"picture cannot be written: {error.strerror or error}", at=str(path)
        ) from error
