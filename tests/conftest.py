"""What tests of several folders use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# As in training with `model.compile`: before mmengine's Runner imports distutils.
import setuptools  # noqa: F401
import torch

from wsoltool.config import load_config
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.contracts import BoxExtractor
from wsoltool.structures import BoxContext, Boxes

torch.set_num_threads(2)

#: A run of seconds: two epochs on a few tiny creatures.
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


class MeanBoxes(BoxExtractor):
    """Cuts every map at its own mean, and says so."""

    def __call__(self, localization_map: np.ndarray, context: BoxContext) -> Boxes:
        mean = float(localization_map.mean(dtype=np.float64))
        boxes = ThresholdBoxes(mean)(localization_map, context)
        return Boxes(boxes.xyxy, boxes.scores, np.full(len(boxes), mean, np.float32))


@pytest.fixture(scope="session")
def mean_boxes() -> BoxExtractor:
    """A box extractor that chooses a threshold for each image."""
    return MeanBoxes()


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def readme(repository) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def run_python():
    """Run Python in a folder, with further environment variables; what it printed."""

    def run(*command, cwd, **variables) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={**os.environ, **variables},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip without."""
    home = os.environ.get("WSOLTOOL_DATA")
    if not home:
        pytest.skip("WSOLTOOL_DATA is not set: no real data")
    if not Path(home).is_dir():
        pytest.fail(f"WSOLTOOL_DATA={home} is no folder")
    return Path(home)


@pytest.fixture(scope="session")
def tiny_options() -> list[str]:
    """What makes a run of a creatures config tiny, for the command line."""
    return ["--cfg-options", *(f"{key}={value}" for key, value in TINY.items())]


@pytest.fixture
def tiny_config():
    """A function that loads a bundled creatures config, shrunk; further options may be given."""

    def load(name="cam/cam_small_creatures.py", **options):
        config = load_config(name, TINY)
        for key, value in options.items():
            config.merge_from_dict({key.replace("__", "."): value})
        return config

    return load
