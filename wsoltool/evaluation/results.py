"""What the evaluation keeps of every image: enough for each metric, and no map."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.pixel_counts import (
    ImagePixels,
    Pixels,
    pixel_arrays,
    pixels_from_arrays,
    select_pixels,
    stack_pixels,
)
from wsoltool.functional.runs import Runs
from wsoltool.paths import whole_file
from wsoltool.structures import Size, Truth

FORMAT = 1
TOP = 5
DAMAGE = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def read_arrays(path: str | Path, wanted: int) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` by name, none of which may run code; its ``format`` must be ``wanted``.

    Raises:
        OSError: The file cannot be opened.
        Exception: One of ``DAMAGE``, where it is damaged or something else.
    """
    # Opened here: numpy leaves a damaged archive open.
    with Path(path).open("rb") as file:
        arrays = dict(np.load(file, allow_pickle=False))
    if int(arrays["format"]) != wanted:
        raise ValueError(f"format {int(arrays['format'])}, not {wanted}")
    return arrays


@dataclass(slots=True)
class ImageResult:
    """The evaluation of one image, small enough to travel between ranks.

    Attributes:
        image_id: Unique in the data set.
        label: Class index.
        top: ``(n,)`` int64, the classes with the highest scores, surest first, n = 5 where all
            five are known; -1 where the model has fewer classes; None without class scores.
        size: (height, width) of the original image.
        boxes: ``(M, 4)`` float32, the true boxes, x1 y1 exclusive.
        annotated_boxes: ``(L, 4)`` float32, as the annotation writes them.
        part_iou: Best half-open IoU of the extractor's surest box with a part box; NaN without.
        sweeps: Protocol name -> ``(2, T)`` float32, best IoU of the largest region and of all; as
            runs, for neighbouring thresholds mostly give the same boxes.
        fixed: Protocol name -> best IoU of the extractor's surest box; 0 without a box.
        pixels: Protocol name -> who answers -> pixels by score; None where the image has no mask.
        chosen_threshold: In [0, 1], at which the extractor's surest box was cut, where it chose
            that for this image; NaN without a box; None where it chose none.
    """

    image_id: str
    label: int
    top: np.ndarray | None
    size: Size
    boxes: np.ndarray
    annotated_boxes: np.ndarray
    part_iou: float
    sweeps: dict[str, Runs]
    fixed: dict[str, float]
    pixels: dict[str, dict[str, ImagePixels]] | None = None
    chosen_threshold: float | None = None


@dataclass(slots=True)
class BoxCurves:
    """How well each image's boxes fit, at every threshold.

    Attributes:
        thresholds: ``(T,)`` float64; of a control, whatever it has one box for.
        largest: ``(N, T)`` float32 best IoU of the box of the largest region.
        all: ``(N, T)`` float32 best IoU of any region's box.
        fixed: ``(N,)`` float32 best IoU of the one box that needs no choice of threshold; None
            where there is no such box.
    """

    thresholds: np.ndarray
    largest: np.ndarray
    all: np.ndarray
    fixed: np.ndarray | None

    def select(self, index: np.ndarray | slice) -> BoxCurves:
        """The images at ``index``: a mask, indices, or a slice, which copies nothing."""
        fixed = None if self.fixed is None else self.fixed[index]
        return BoxCurves(self.thresholds, self.largest[index], self.all[index], fixed)


@dataclass(slots=True)
class LocalizationResults:
    """The evaluation of N images as arrays; saved and loaded without pickle.

    Attributes:
        image_ids: ``(N,)`` str.
        labels: ``(N,)`` int64.
        top: ``(N, n)`` int64, or None where there are no class scores.
        sizes: ``(N, 2)`` int64 (height, width).
        boxes: N arrays ``(M, 4)`` float32.
        annotated_boxes: N arrays ``(L, 4)`` float32.
        part_iou: ``(N,)`` float32, NaN where an image has no part box.
        curves: Protocol name -> best IoU of the model's boxes, in the order of the protocols.
        pixels: Protocol name -> who answers -> pixels by score; None where images have no masks.
        chosen_thresholds: ``(N,)`` float32 in [0, 1], that the extractor chose for each image; NaN
            without a box; None where it chooses none.
    """

    image_ids: np.ndarray
    labels: np.ndarray
    top: np.ndarray | None
    sizes: np.ndarray
    boxes: list[np.ndarray]
    annotated_boxes: list[np.ndarray]
    part_iou: np.ndarray
    curves: dict[str, BoxCurves] = field(default_factory=dict)
    pixels: Pixels | None = None
    chosen_thresholds: np.ndarray | None = None

    @classmethod
    def stack(
        cls, items: Sequence[ImageResult], thresholds: Mapping[str, np.ndarray]
    ) -> LocalizationResults:
        """Gather single images.

        Args:
            items: At least one, all with the same protocols.
            thresholds: Protocol name -> ``(T,)``; gives the order of the protocols.

        Raises:
            EvaluationError: There is no image, one was evaluated twice, or some have no mask, no
                class scores or no chosen threshold, but others do.
        """
        image_ids = [item.image_id for item in items]
        check_scored(image_ids)
        return cls(
            image_ids=np.array(image_ids, dtype=np.str_),
            labels=np.array([item.label for item in items], dtype=np.int64),
            top=_stack_top(items),
            sizes=np.array([item.size for item in items], dtype=np.int64),
            boxes=[item.boxes for item in items],
            annotated_boxes=[item.annotated_boxes for item in items],
            part_iou=np.array([item.part_iou for item in items], dtype=np.float32),
            curves={name: _stack_curves(items, name, grid) for name, grid in thresholds.items()},
            pixels=stack_pixels(image_ids, [item.pixels for item in items], thresholds),
            chosen_thresholds=_stack_chosen(items),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def truth(self, index: int) -> Truth:
        """The true boxes of an image."""
        return Truth(self.boxes[index], self.annotated_boxes[index])

    def size(self, index: int) -> Size:
        """(height, width) of an image."""
        return int(self.sizes[index, 0]), int(self.sizes[index, 1])

    def area_shares(self) -> np.ndarray:
        """``(N,)`` float64: the largest true box's share of its image."""
        largest = [((b[:, 2:] - b[:, :2]).prod(axis=1)).max() for b in self.boxes]
        return np.array(largest, dtype=np.float64) / self.sizes.prod(axis=1)

    def select(self, index: np.ndarray | slice) -> LocalizationResults:
        """The images at ``index``: a mask ``(N,)`` bool, a slice, or indices, in their order."""
        kept = np.arange(len(self))[index]
        return LocalizationResults(
            image_ids=self.image_ids[kept],
            labels=self.labels[kept],
            top=_selected(self.top, kept),
            sizes=self.sizes[kept],
            boxes=[self.boxes[i] for i in kept],
            annotated_boxes=[self.annotated_boxes[i] for i in kept],
            part_iou=self.part_iou[kept],
            curves={name: curves.select(kept) for name, curves in self.curves.items()},
            pixels=select_pixels(self.pixels, kept),
            chosen_thresholds=_selected(self.chosen_thresholds, kept),
        )

    def save(self, path: str | Path) -> None:
        """Write one compressed ``.npz``, whole or not at all.

        Boxes are one array each, with the count of every image.
        """
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "protocols": np.array(list(self.curves)),
        }
        for name in ("image_ids", "labels", "top", "sizes", "part_iou", "chosen_thresholds"):
            if (values := getattr(self, name)) is not None:
                arrays[name] = values
        for name in ("boxes", "annotated_boxes"):
            lists = getattr(self, name)
            arrays[name] = np.concatenate(lists).astype(np.float32)
            arrays[f"{name}_count"] = np.array([len(boxes) for boxes in lists])
        for protocol, curves in self.curves.items():
            for part in fields(BoxCurves):
                if (values := getattr(curves, part.name)) is not None:
                    arrays[f"{protocol}.{part.name}"] = values
        arrays |= dict(pixel_arrays(self.pixels))
        with whole_file(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> LocalizationResults:
        """Read what :meth:`save` wrote.

        Raises:
            EvaluationError: The file is missing, damaged or something else.
        """
        try:
            return cls._from_arrays(read_arrays(path, FORMAT))
        except (*DAMAGE, OSError) as error:
            raise EvaluationError(
                f"cannot read localization results: {error}",
                at=str(path),
                expected="an .npz file written by LocalizationMetric(save_results=...)",
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LocalizationResults:
        parts: dict[str, Any] = {
            name: arrays[name] for name in ("image_ids", "labels", "sizes", "part_iou")
        }
        parts |= {name: arrays.get(name) for name in ("top", "chosen_thresholds")}
        parts |= {
            name: np.split(arrays[name], np.cumsum(arrays[f"{name}_count"])[:-1])
            for name in ("boxes", "annotated_boxes")
        }
        curves = {
            str(protocol): BoxCurves(
                thresholds=arrays[f"{protocol}.thresholds"],
                largest=arrays[f"{protocol}.largest"],
                all=arrays[f"{protocol}.all"],
                fixed=arrays.get(f"{protocol}.fixed"),
            )
            for protocol in arrays["protocols"]
        }
        grids = {name: own.thresholds for name, own in curves.items()}
        return cls(**parts, curves=curves, pixels=pixels_from_arrays(arrays, grids))


def check_scored(image_ids: Sequence[str]) -> None:
    """Raise unless there are images, each counted once."""
    if not image_ids:
        raise EvaluationError("no image was evaluated", expected="at least one prediction")
    twice = [name for name, count in Counter(image_ids).items() if count > 1]
    if twice:
        raise EvaluationError(
            f"{len(twice)} images were evaluated more than once",
            at=twice[0],
            expected="one result an image",
            hint="image ids must be unique; the sampler's padding must come last",
        )


def _selected(values: np.ndarray | None, kept: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[kept]


def _stack_top(items: Sequence[ImageResult]) -> np.ndarray | None:
    top = [item.top for item in items if item.top is not None]
    if top and len(top) < len(items):
        raise EvaluationError(
            f"{len(items) - len(top)} of {len(items)} images have no class scores",
            expected="class scores of all images, or of none",
        )
    return np.stack(top) if top else None


def _stack_chosen(items: Sequence[ImageResult]) -> np.ndarray | None:
    chosen = [item.chosen_threshold for item in items if item.chosen_threshold is not None]
    if np.isnan(chosen).all():  # images without a box do not tell whether thresholds are chosen
        return None
    without = [item.image_id for item in items if item.chosen_threshold is None]
    if without:
        raise EvaluationError(
            f"{len(without)} of {len(items)} images have a box without a chosen threshold",
            at=without[0],
            expected="a threshold chosen for each image, or for none",
            hint="the box extractor must answer Boxes with thresholds for all maps, or for none",
        )
    return np.array(chosen, dtype=np.float32)


def _stack_curves(items: Sequence[ImageResult], protocol: str, thresholds: np.ndarray) -> BoxCurves:
    shape = (len(items), len(thresholds))
    largest, every = np.empty(shape, np.float32), np.empty(shape, np.float32)
    both = np.empty((2, len(thresholds)), np.float32)
    for row, item in enumerate(items):
        item.sweeps[protocol].expand(both)
        largest[row], every[row] = both
    fixed = np.array([item.fixed[protocol] for item in items], dtype=np.float32)
    return BoxCurves(np.asarray(thresholds), largest, every, fixed)
