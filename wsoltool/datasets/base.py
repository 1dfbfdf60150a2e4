"""The interface that every data set implements, and what all of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from wsoltool.datasets.provenance import Provenance
from wsoltool.datasets.splits import SPLITS
from wsoltool.errors import DataError, SupervisionError, WsolError, check_choice
from wsoltool.structures import Sample, Truth

Transform = Callable[[dict[str, Any]], dict[str, Any]]


class LocalizationDataset(Dataset):
    """Images with labels; boxes in every split but ``train-weaksup``.

    A new data set subclasses this, sets :attr:`classes` and :attr:`image_ids` in its constructor
    and implements :meth:`load`, :meth:`label` and :meth:`read_truth`.

    Args:
        split: ``train-weaksup`` (image labels only), ``train-fullsup`` (boxes, for
            hyper-parameters and thresholds) or ``test``.
        pipeline: Transforms on the dict ``img`` ``(H, W, 3)`` uint8 RGB, ``region`` xyxy of the
            original image that ``img`` shows, ``flip`` whether it shows it mirrored.

    Attributes:
        classes: Class names; the label is the index.
        image_ids: One unique id an image.
        multi_label: Labels are multi-hot vectors.
        index_digest: Names the index that the split was opened from: splits of one index have no
            image in common, for it was checked when they were written. None for all other sets.
    """

    classes: Sequence[str]
    image_ids: Sequence[str]
    multi_label: bool = False
    index_digest: str | None = None

    def __init__(self, split: str, pipeline: Sequence[Transform] = ()) -> None:
        check_choice(f"unknown split {split!r}", split, SPLITS)
        self.split = split
        self.pipeline = tuple(pipeline)

    @abstractmethod
    def load(self, index: int) -> np.ndarray:
        """The image, ``(H, W, 3)`` uint8 RGB."""

    @abstractmethod
    def label(self, index: int) -> int | np.ndarray:
        """Class index, or ``(K,)`` float32 multi-hot."""

    @abstractmethod
    def read_truth(self, index: int) -> Truth:
        """Boxes and masks; only called where the split may read them."""

    def truth(self, index: int) -> Truth:
        """Boxes and masks of an image.

        Raises:
            SupervisionError: The split is ``train-weaksup``.
        """
        if self.split == "train-weaksup":
            raise SupervisionError(
                f"boxes of {self.image_ids[index]!r} were asked for in split train-weaksup",
                expected="image labels alone in training",
                hint="read boxes from train-fullsup to choose thresholds, from test to score",
            )
        return self.read_truth(index)

    @property
    def metainfo(self) -> dict[str, Any]:
        """What mmengine saves in checkpoints and hands to metrics."""
        return {"classes": list(self.classes)}

    @cached_property
    def provenance(self) -> Provenance:
        """Which images these are, for results and checkpoints."""
        return Provenance.of(self.image_ids)

    def verify(self) -> None:
        """Read again what was trusted when the data set was opened; by default that is nothing.

        Raises:
            DataError: A file is damaged.
        """

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Sample]:
        """The transformed image ``(H', W', 3)`` uint8 RGB, contiguous, and its record."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        results = run_pipeline(self.load(index), self.pipeline, self.image_ids[index])
        sample = Sample(
            image_id=self.image_ids[index],
            label=self.label(index),
            size=results["ori_shape"],
            region=results["region"],
            flipped=results["flip"],
            truth=None if self.split == "train-weaksup" else self.truth(index),
        )
        return results["img"], sample

    def check_not_empty(self, source: object) -> None:
        """Raise when the split holds no image."""
        if not len(self.image_ids):
            raise DataError(
                f"split {self.split} of {type(self).__name__} is empty",
                at=str(source),
                expected="at least one image",
                hint="check the path and the split's name; a share may be too small",
            )


def run_pipeline(image: np.ndarray, pipeline: Sequence[Transform], at: str) -> dict[str, Any]:
    """Apply transforms to one image and keep track of what it shows.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        pipeline: Transforms, each a function of the dict.
        at: The image's name, for error messages.

    Returns:
        ``img`` ``(H', W', 3)`` uint8 RGB, contiguous; ``ori_shape`` (H, W); ``region`` xyxy of the
        original image that ``img`` shows; ``flip`` whether it shows it mirrored.
    """
    height, width = image.shape[:2]
    results: dict[str, Any] = {
        "img": image,
        "img_shape": (height, width),
        "ori_shape": (height, width),
        "region": (0.0, 0.0, float(width), float(height)),
        "flip": False,
    }
    for transform in pipeline:
        try:
            results = transform(results)
        except WsolError as error:
            raise error.located(at) from error
    results["img"] = np.ascontiguousarray(results["img"])
    results["region"] = tuple(map(float, results["region"]))
    results["flip"] = bool(results["flip"])
    return results
