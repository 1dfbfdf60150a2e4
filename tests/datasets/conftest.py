"""Small data sets written to a temporary folder, and the real one where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_image() -> Callable[..., None]:
    """Write a random image of (height, width), creating its folder."""

    def write(path: Path, size: tuple[int, int] = (20, 30), seed: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())

    return write


@pytest.fixture(scope="session")
def tinyimagenet50() -> Path:
    root = os.environ.get("WSOLTOOL_DATA")
    if not root or not Path(root, "tinyimagenet50").is_dir():
        pytest.skip("WSOLTOOL_DATA names no folder that holds tinyimagenet50")
    return Path(root, "tinyimagenet50")
