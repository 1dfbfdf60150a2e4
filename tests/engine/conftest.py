"""A run of seconds: two epochs on a few tiny creatures."""

from __future__ import annotations

import pytest

from wsoltool.config import load_config

TINY = {
    "train_dataloader.dataset.length": 24,
    "train_dataloader.dataset.image_size": 32,
    "val_dataloader.dataset.length": 6,
    "val_dataloader.dataset.image_size": 32,
    "test_dataloader.dataset.length": 10,
    "test_dataloader.dataset.image_size": 32,
    "train_dataloader.batch_size": 8,
    "train_dataloader.num_workers": 0,
    "val_dataloader.num_workers": 0,
    "test_dataloader.num_workers": 0,
    "test_dataloader.batch_size": 4,
    "train_cfg.max_epochs": 2,
    "train_cfg.val_interval": 2,
    "evaluation.resamples": 10,
}


@pytest.fixture
def tiny_config():
    """A function that loads a bundled creatures config, shrunk; further options may be given."""

    def load(name="cam/cam_small_creatures.py", **options):
        config = load_config(name, TINY)
        for key, value in options.items():
            config.merge_from_dict({key.replace("__", "."): value})
        return config

    return load
