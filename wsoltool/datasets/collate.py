"""From items to batches, and checks across the splits of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.splits import check_apart
from wsoltool.errors import DataError
from wsoltool.structures import Sample, Samples


def collate(batch: Sequence[tuple[np.ndarray, Sample]]) -> dict[str, Any]:
    """Make a batch of a data set's items.

    Args:
        batch: B pairs of image ``(H, W, 3)`` and record.

    Returns:
        ``inputs``: ``(B, H, W, 3)`` tensor of the images' own type, or a list of B tensors where
        their sizes differ; ``samples``: the records as :class:`Samples`.
    """
    images = [image for image, _ in batch]
    if all(image.shape == images[0].shape for image in images):
        inputs: torch.Tensor | list[torch.Tensor] = torch.from_numpy(np.stack(images))
    else:
        inputs = [torch.tensor(image) for image in images]
    return {"inputs": inputs, "samples": Samples.of([sample for _, sample in batch])}


def check_disjoint(datasets: Sequence[LocalizationDataset]) -> None:
    """Refuse an image that belongs to two splits, by its id.

    Splits of one index are passed over, for they were checked when it was written.

    Raises:
        DataError: Data sets of different splits share image ids.
    """
    for first, second in combinations(datasets, 2):
        checked = first.index_digest is not None and first.index_digest == second.index_digest
        if first.split != second.split and not checked:
            check_apart(first.split, first.image_ids, second.split, second.image_ids)


def check_classes(datasets: Sequence[LocalizationDataset]) -> None:
    """Refuse splits whose class names or their order differ.

    Raises:
        DataError: Two data sets do not have the same classes.
    """
    for dataset in datasets[1:]:
        first, other = list(datasets[0].classes), list(dataset.classes)
        if first != other:
            label = next(
                (i for i, (a, b) in enumerate(zip(first, other, strict=False)) if a != b),
                min(len(first), len(other)),
            )
            names = [repr(c[label]) if label < len(c) else "no class" for c in (first, other)]
            raise DataError(
                f"label {label} is {names[0]} in {datasets[0].split} ({len(first)} classes) and"
                f" {names[1]} in {dataset.split} ({len(other)} classes)",
                expected="the same class names in the same order in all splits",
                hint="give all splits the same list of classes",
            )
