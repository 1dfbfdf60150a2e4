"""A run of class grouping that takes seconds: six classes, four levels, an epoch each."""

import pytest
import torch

from wsoltool.config import load_config
from wsoltool.engine.training import train

CONFIG = "class_grouping/class_grouping_small_creatures.py"
TINY = {
    "model.head.num_classes": 6,
    "stages.levels": (6, 4, 3, 2),
    "train_dataloader.batch_size": 6,
    "train_cfg.max_epochs": 1,
    "train_cfg.val_interval": 1,
}
for _loader, _length in (("train", 12), ("val", 4), ("test", 6)):
    TINY |= {
        f"{_loader}_dataloader.num_workers": 0,
        f"{_loader}_dataloader.dataset.length": _length,
        f"{_loader}_dataloader.dataset.num_classes": 6,
        f"{_loader}_dataloader.dataset.image_size": 64,
    }


@pytest.fixture(scope="session")
def tiny_levels():
    """A function: the small creatures' config made tiny, with further options."""

    def load(**options):
        given = {key.replace("__", "."): value for key, value in options.items()}
        return load_config(CONFIG, {**TINY, **given})

    return load


@pytest.fixture(scope="session")
def trained_levels(tiny_levels, tmp_path_factory):
    """The work directory of a finished run; to be copied by those who change it."""
    folder = tmp_path_factory.mktemp("levels") / "work"
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the tests: sums depend on it
    train(tiny_levels(), folder)
    torch.set_num_threads(before)
    return folder
