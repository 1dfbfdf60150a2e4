"""From the dataloader parts of a config to data sets and loaders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from torch import nn
from torch.utils.data import DataLoader

from wsoltool.config import innermost_dataset, plain
from wsoltool.datasets.base import LocalizationDataset, Transform
from wsoltool.datasets.collate import collate
from wsoltool.engine.workers import FaithfulDataLoader
from wsoltool.errors import ConfigError
from wsoltool.models.batch_statistics import one_image_problem
from wsoltool.paths import data_path
from wsoltool.plugin.manager import build

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
DEFAULT_BATCH_SIZE = 32


def build_dataset(config: Mapping[str, Any], loader: str) -> LocalizationDataset:
    """The data set of one loader of a config; ``data_root`` is injected where it asks for one.

    Raises:
        DataError: It holds no image.
        WsolError: Whatever else keeps it from being made.
    """
    root = config.get("data_root")
    supplied = {} if root is None else {"data_root": data_path(root)}
    at = f"{loader}.dataset"
    dataset: LocalizationDataset = build("data set", config[loader]["dataset"], at, **supplied)
    dataset.check_not_empty(at)
    return dataset


def build_pipeline(config: Mapping[str, Any], loader: str) -> list[Transform]:
    """The transforms of one loader's data set, without the data set."""
    dataset, at = innermost_dataset(config[loader]["dataset"], f"{loader}.dataset")
    pipeline = plain(dataset.get("pipeline") or ())
    return [build("transform", entry, f"{at}.pipeline[{i}]") for i, entry in enumerate(pipeline)]


def build_dataloader(
    dataset: LocalizationDataset, settings: Mapping[str, Any], training: bool, seed: int
) -> DataLoader:
    """Batches of a data set, over all ranks.

    Args:
        dataset: What is loaded.
        settings: ``batch_size``, ``num_workers``, ``shuffle``, ``drop_last`` of the config.
        training: Shuffle by default, and drop a last batch that is not full: a batch of one image
            has no batch statistics.
        seed: Of the order.

    Raises:
        ConfigError: There are too few images for a batch, where all must be full.
    """
    batch_size = settings.get("batch_size", DEFAULT_BATCH_SIZE)
    workers = settings.get("num_workers", 2)
    full_batches = training and len(dataset) >= batch_size
    loader = FaithfulDataLoader(
        dataset,
        batch_size=batch_size,
        sampler=DefaultSampler(dataset, shuffle=settings.get("shuffle", training), seed=seed),
        num_workers=workers,
        collate_fn=collate,
        drop_last=settings.get("drop_last", full_batches),
        pin_memory=torch.cuda.is_available(),
        # Persistent workers would keep their random state over epochs, and a resume could not.
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )
    if not len(loader):
        raise ConfigError(
            f"{len(dataset)} images in split {dataset.split} do not fill a batch of {batch_size}",
            at=f"{type(dataset).__name__} with drop_last=True",
            hint="make batch_size smaller, or leave out drop_last",
        )
    return loader


def check_batch_size(model: nn.Module, settings: Mapping[str, Any]) -> None:
    """Refuse batches of one image for a model, in training mode, that needs batch statistics."""
    if settings.get("batch_size", DEFAULT_BATCH_SIZE) == 1 and (
        problem := one_image_problem(model)
    ):
        raise problem


def check_last_batch(model: nn.Module, loader: DataLoader) -> None:
    """Refuse a single image at the end of an epoch as :func:`check_batch_size` does."""
    sampler = loader.sampler
    assert isinstance(sampler, DefaultSampler)
    assert loader.batch_size is not None
    left = len(sampler) % loader.batch_size
    if left == 1 and not loader.drop_last and (problem := one_image_problem(model)):
        raise problem
