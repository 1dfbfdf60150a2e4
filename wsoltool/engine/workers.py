"""Data-loading workers: their seeds, and errors that arrive as they were raised."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from wsoltool.errors import WsolError


@dataclass(slots=True)
class WorkerFailure:
    """An expected error in place of a batch, on its way out of a worker.

    Attributes:
        error: As it was raised; it is pickled with all its fields.
        traceback: Of the worker, as text.
    """

    error: WsolError
    traceback: str


class WorkerTraceback(Exception):
    """Where in a worker an error was raised; the cause of that error in the main process."""

    def __str__(self) -> str:
        return f"in a data-loading worker:\n{self.args[0]}"


class FaithfulDataLoader(DataLoader):
    """torch's loader, except that a worker's :class:`WsolError` arrives whole.

    torch sends no exception but its printed traceback, and builds another one around that text:
    what was wrong, and with which file, would be somewhere in the middle of it.

    Args:
        dataset: With items by index.
        collate_fn: Makes a batch of a list of items.
        settings: Of torch's loader.
    """

    def __init__(
        self, dataset: Dataset, collate_fn: Callable[[Sequence[Any]], Any], **settings: Any
    ) -> None:
        collate = partial(_collate_items, collate_fn)
        super().__init__(dataset, collate_fn=collate, worker_init_fn=start_worker, **settings)

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            if isinstance(batch, WorkerFailure):
                raise batch.error from WorkerTraceback(batch.traceback)
            yield batch


def start_worker(worker: int) -> None:
    """Seed numpy and random from torch's seed, which differs by worker and epoch; keep errors."""
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)
    cv2.setNumThreads(0)
    info = get_worker_info()
    assert info is not None
    # The worker's own copy of the data set: torch asks it for the items of a batch at once.
    dataset: Any = info.dataset
    dataset.__getitems__ = partial(_items, dataset)


def _items(dataset: Dataset, indices: Sequence[int]) -> list[Any] | WorkerFailure:
    try:
        return [dataset[index] for index in indices]
    except WsolError as error:
        return WorkerFailure(error, traceback.format_exc())


def _collate_items(collate: Callable[[Sequence[Any]], Any], items: Any) -> Any:
    return items if isinstance(items, WorkerFailure) else collate(items)
