"""What tests of several folders use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def readme(repository) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip without."""
    home = os.environ.get("WSOLTOOL_DATA")
    if not home:
        pytest.skip("WSOLTOOL_DATA is not set: no real data")
    if not Path(home).is_dir():
        pytest.fail(f"WSOLTOOL_DATA={home} is no folder")
    return Path(home)
