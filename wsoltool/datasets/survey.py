"""Going through a data set for its labels, sizes and boxes: by its records, or image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.image_files import ImageFiles
from wsoltool.datasets.image_sizes import header_size
from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import half_open
from wsoltool.datasets.statistics import draw_rows
from wsoltool.errors import WsolError
from wsoltool.structures import Size, Truth

T = TypeVar("T")
Problems = dict[int, WsolError]


@dataclass(slots=True)
class Seen:
    """What is kept of an image's truth; masks of a thousand images would fill the memory.

    Attributes:
        boxes: ``(n, 4)`` xyxy, x1 y1 exclusive.
        difficult: How many of them are.
        mask: There is one of the objects.
        segments: There are classes of pixels.
    """

    boxes: np.ndarray
    difficult: int
    mask: bool
    segments: bool

    @classmethod
    def of(cls, truth: Truth) -> Seen:
        difficult = 0 if truth.difficult is None else int(truth.difficult.sum())
        return cls(truth.boxes, difficult, truth.mask is not None, truth.segments is not None)


@dataclass(slots=True)
class BoxSurvey:
    """The boxes of a split.

    Attributes:
        counts: ``(n,)`` int64, boxes of each image.
        boxes: ``(M, 4)`` xyxy, pixels of the original image, x1 y1 exclusive.
        sizes: ``(M, 2)`` int64, (height, width) of each box's image.
        difficult: How many boxes are difficult, of those counted.
        counted: Images that ``counts`` is of.
        measured: Images that ``boxes`` are of.
    """

    counts: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    difficult: int
    counted: int
    measured: int


@dataclass(slots=True)
class Survey:
    """What was found in a split of N images.

    Attributes:
        labels: ``(n,)`` class indices, or ``(n, K)``, not 0 where present.
        rows: ``(n,)`` int64, the images that ``labels`` are of: all, or a sample.
        sizes: ``(m, 2)`` int64 (height, width), of all images or a sample.
        boxes: None where the split has none, or may not read them.
        masks: Images with a mask of their objects, as a share of those looked at; likewise.
        segments: Images with classes of pixels, likewise.
        problems: Image -> what was wrong with it, of those looked at; they are left out.
    """

    labels: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray
    boxes: BoxSurvey | None = None
    masks: float = 0.0
    segments: float = 0.0
    problems: Problems = field(default_factory=dict)


def survey(dataset: LocalizationDataset, sample: int, rng: np.random.Generator) -> Survey:
    """Go through a data set.

    Records are read as the columns that they are. What they do not say (sizes, boxes that only
    masks tell) is looked up in the files of a random sample; a data set without records is asked
    for a random sample of its images. Boxes of train-weaksup are not touched.

    Args:
        dataset: Of any split.
        sample: The largest number of images that are opened.
        rng: Chooses them.

    Raises:
        WsolError: No image that was looked at can be used.
    """
    if isinstance(dataset, ImageFiles):
        return _of_records(dataset, sample, rng)
    return _of_images(dataset, sample, rng)


def _of_records(dataset: ImageFiles, sample: int, rng: np.random.Generator) -> Survey:
    records, total = dataset.records, len(dataset)
    problems: Problems = {}
    rows, sizes = np.arange(total), records.sizes
    if sizes is None:
        rows, sizes = _header_sizes(dataset, draw_rows(total, sample, rng), problems)
    result = Survey(records.labels, np.arange(total), np.asarray(sizes), problems=problems)
    if dataset.split == "train-weaksup":
        return result
    if records.boxes is not None:
        result.boxes = _of_table(dataset, rows, result.sizes)
    elif records.masks is not None:
        chosen = draw_rows(len(rows), sample, rng)
        result.boxes = _of_masks(records.masks, rows[chosen], result.sizes[chosen], problems)
    result.masks = float(records.masks is not None)
    if records.segments is not None:
        result.segments = sum(map(bool, records.segments)) / total
    return result


def _header_sizes(
    dataset: ImageFiles, rows: np.ndarray, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose files tell a size, and these sizes ``(m, 2)``."""
    found = _each(rows, lambda index: header_size(dataset.path(index), dataset.exif), problems)
    return np.array([*found], np.int64), _sizes(found.values())


def _of_table(dataset: ImageFiles, rows: np.ndarray, sizes: np.ndarray) -> BoxSurvey:
    """All counts; the boxes of the images at ``rows`` ``(m,)``, whose ``sizes`` ``(m, 2)`` are."""
    table = dataset.records.boxes
    assert table is not None
    measured = table if len(rows) == len(table) else table.select(rows)
    return BoxSurvey(
        table.counts(),
        half_open(measured.boxes, dataset.box_convention),
        np.repeat(sizes, measured.counts(), axis=0),
        0 if table.difficult is None else int(np.count_nonzero(table.difficult)),
        counted=len(table),
        measured=len(rows),
    )


def _of_masks(
    masks: MaskFiles, rows: np.ndarray, sizes: np.ndarray, problems: Problems
) -> BoxSurvey:
    known = dict(zip(rows.tolist(), map(tuple, sizes.tolist()), strict=True))
    found = _each(known, lambda index: Seen.of(masks.truth(index, known[index])), problems)
    return _of_boxes(list(found.values()), _sizes(known[index] for index in found))


def _of_boxes(truths: list[Seen], sizes: np.ndarray) -> BoxSurvey:
    counts = np.array([len(truth.boxes) for truth in truths], np.int64)
    boxes = [truth.boxes for truth in truths if len(truth.boxes)]
    return BoxSurvey(
        counts,
        np.concatenate(boxes) if boxes else np.zeros((0, 4), np.float32),
        np.repeat(sizes, counts, axis=0),
        sum(truth.difficult for truth in truths),
        counted=len(truths),
        measured=len(truths),
    )


def _of_images(dataset: LocalizationDataset, sample: int, rng: np.random.Generator) -> Survey:
    with_truth = dataset.split != "train-weaksup"

    def look(index: int) -> tuple[np.ndarray, Size, Seen | None]:
        label, (height, width) = np.asarray(dataset.label(index)), dataset.load(index).shape[:2]
        return label, (height, width), Seen.of(dataset.truth(index)) if with_truth else None

    problems: Problems = {}
    found = _each(draw_rows(len(dataset), sample, rng), look, problems)
    if not found:
        raise next(iter(problems.values()))
    labels = np.array([label for label, _, _ in found.values()])
    sizes = _sizes(size for _, size, _ in found.values())
    result = Survey(labels, np.array([*found], np.int64), sizes, problems=problems)
    truths = [truth for _, _, truth in found.values() if truth is not None]
    if truths:
        result.boxes = _of_boxes(truths, sizes)
        result.masks = sum(truth.mask for truth in truths) / len(truths)
        result.segments = sum(truth.segments for truth in truths) / len(truths)
    return result


def _each(rows: Iterable[int], look: Callable[[int], T], problems: Problems) -> dict[int, T]:
    """What a function finds for each row; what is wrong with the others goes to ``problems``."""
    found: dict[int, T] = {}
    for row in map(int, rows):
        try:
            found[row] = look(row)
        except WsolError as error:
            problems[row] = error
    return found


def _sizes(sizes: Iterable[Size]) -> np.ndarray:
    """``(m, 2)`` int64."""
    return np.array([*sizes], np.int64).reshape(-1, 2)
