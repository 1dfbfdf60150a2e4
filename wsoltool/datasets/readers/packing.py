"""From a reader's entries to records, with every image that cannot be used named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from pathlib import Path

import numpy as np

from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import (
    BoxTable,
    Entry,
    Names,
    Problem,
    Reading,
    Records,
    group_offsets,
)
from wsoltool.errors import DataError


def pack(
    entries: Iterable[Entry | Problem],
    classes: tuple[str, ...],
    *,
    multi_label: bool,
    box_convention: str,
    first_pixel: int = 0,
    mask_root: Path,
    mask_level: int = 0,
    with_truth: bool,
) -> Reading:
    """Check entries one by one and put the sound ones into columns.

    Args:
        entries: What a reader answers.
        classes: Class names; labels are their indices.
        multi_label: Labels are many, or none; otherwise exactly one an image.
        box_convention: ``exclusive`` or ``inclusive``.
        first_pixel: What the entries' boxes call an image's first pixel; the records' say 0.
        mask_root: The folder that masks' paths start from.
        mask_level: Grey level above which a mask's pixels are the object's.
        with_truth: Keep boxes, masks and segments; every image then needs boxes or masks, unless
            multi-label. Otherwise none of them is kept.
    """
    good: list[Entry] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for entry in entries:
        if isinstance(entry, Problem):
            problems.append(entry)
            continue
        wrong = next(_wrong(entry, seen, len(classes), multi_label, with_truth), None)
        if wrong is None and with_truth:
            wrong = next(wrong_boxes(entry.boxes, entry.size, box_convention, first_pixel), None)
        seen.add(entry.image)
        if wrong is None:
            good.append(entry)
        else:
            problems.append(Problem(entry.image, wrong.located(entry.at or entry.image)))
    with_masks = with_truth and any(entry.masks for entry in good)
    if with_masks:
        problems += [_without_mask(entry) for entry in good if not entry.masks]
        good = [entry for entry in good if entry.masks]
    records = Records(
        Names.of(entry.image for entry in good),
        _multi_hot(good, len(classes)) if multi_label else _single_labels(good),
        _sizes(good),
        _boxes(good, first_pixel) if with_truth else None,
        _masks(good, mask_root, mask_level) if with_masks else None,
        _segments(good) if with_truth else None,
    )
    return Reading(classes, records, tuple(problems))


def _wrong(
    entry: Entry, seen: set[str], num_classes: int, multi_label: bool, with_truth: bool
) -> Iterator[DataError]:
    """What is wrong with an entry but for the places of its boxes, the gravest first."""
    if entry.image in seen:
        yield DataError("the image is listed twice", expected="every image once")
    if not multi_label and len(entry.labels) != 1:
        yield DataError(
            f"the image has {len(entry.labels)} classes", expected="exactly one class an image"
        )
    yield from _wrong_labels((*entry.labels, *entry.box_labels), num_classes)
    if not with_truth:
        return
    if not (multi_label or len(entry.boxes) or entry.masks):
        yield DataError(
            "the image has neither box nor mask",
            expected="an object's place, to score and to choose thresholds",
            hint="to get boxes for images without annotation use `wsoltool localize`",
        )
    for name, column in (("box_labels", entry.box_labels), ("difficult", entry.difficult)):
        if len(column) not in (0, len(entry.boxes)):
            yield DataError(f"{len(column)} {name} for {len(entry.boxes)} boxes")
    if multi_label and len(entry.boxes) and not len(entry.box_labels):
        yield DataError("boxes without classes in a multi-label data set", expected="box_labels")


def _wrong_labels(labels: Iterable[int], num_classes: int) -> Iterator[DataError]:
    for label in labels:
        if not 0 <= label < num_classes:
            yield DataError(f"label {label} is out of range", expected=f"0 to {num_classes - 1}")


def wrong_boxes(
    boxes: Sequence[Sequence[float]],
    size: tuple[int, int] | None,
    box_convention: str,
    first_pixel: int = 0,
) -> Iterator[DataError]:
    """What is wrong with the boxes of one image: no area, or outside of it.

    Args:
        boxes: xyxy, pixels of the image.
        size: (height, width) of the image; None if unknown.
        box_convention: ``exclusive`` or ``inclusive``.
        first_pixel: What the boxes call the image's first pixel.
    """
    last = int(box_convention == "inclusive")
    inside = "x0,y0,x1,y1 inside the image, with " + (
        "x0 <= x1 and y0 <= y1" if last else "x0 < x1 and y0 < y1"
    )
    inside += f", counted from {first_pixel}" if first_pixel else ""
    bottom, right = (first_pixel + side - last for side in size or (inf, inf))
    for x0, y0, x1, y1 in boxes:
        shown = f"box {x0:g},{y0:g},{x1:g},{y1:g}"
        if not (x1 + last > x0 and y1 + last > y0):  # NaN too
            yield DataError(f"{shown} has no area", expected=inside)
        elif min(x0, y0) < first_pixel or x1 > right or y1 > bottom or inf in (x1, y1):
            of = f" of {size[1]} x {size[0]} pixels (width x height)" if size else ""
            yield DataError(f"{shown} lies outside the image{of}", expected=inside)


def _without_mask(entry: Entry) -> Problem:
    error = DataError(
        "the image has no mask, but others of its split have", at=entry.at or entry.image
    )
    return Problem(entry.image, error)


def _single_labels(entries: Sequence[Entry]) -> np.ndarray:
    return np.fromiter((entry.labels[0] for entry in entries), np.int64, len(entries))


def _multi_hot(entries: Sequence[Entry], num_classes: int) -> np.ndarray:
    """``(N, K)`` uint8."""
    labels = np.zeros((len(entries), num_classes), np.uint8)
    for row, entry in enumerate(entries):
        labels[row, list(entry.labels)] = 1
    return labels


def _sizes(entries: Sequence[Entry]) -> np.ndarray | None:
    """``(N, 2)`` int64, or None unless every entry knows its size."""
    sizes = [entry.size for entry in entries if entry.size is not None]
    return np.array(sizes, np.int64).reshape(-1, 2) if len(sizes) == len(entries) else None


def _boxes(entries: Sequence[Entry], first_pixel: int) -> BoxTable | None:
    """None where no entry has a box: masks tell, or there are no objects."""
    counts = np.array([len(entry.boxes) for entry in entries], np.int64)
    if not counts.any():
        return None
    boxes = np.array([box for entry in entries for box in entry.boxes], np.float32)
    labels = [e.box_labels or tuple(e.labels[:1]) * len(e.boxes) for e in entries]
    difficult = [e.difficult or (False,) * len(e.boxes) for e in entries]
    return BoxTable(
        group_offsets(counts),
        boxes - np.float32(first_pixel),
        np.array([*chain(*labels)], np.int64) if any(e.box_labels for e in entries) else None,
        np.array([*chain(*difficult)], bool) if any(any(e.difficult) for e in entries) else None,
    )


def _masks(entries: Sequence[Entry], root: Path, level: int) -> MaskFiles:
    return MaskFiles(
        root,
        Names.of(name for entry in entries for name in entry.masks),
        group_offsets(np.array([len(entry.masks) for entry in entries], np.int64)),
        Names.of(entry.ignored for entry in entries),
        level,
    )


def _segments(entries: Sequence[Entry]) -> Names | None:
    if not any(entry.segments for entry in entries):
        return None
    return Names.of(entry.segments for entry in entries)
