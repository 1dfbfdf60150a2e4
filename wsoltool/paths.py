"""Where data and weights lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def data_home() -> Path:
    """The folder of data sets and weights: ``WSOLTOOL_DATA``, or ``data`` in the working folder."""
    return Path(os.environ.get("WSOLTOOL_DATA") or "data").expanduser()


def data_path(path: str | Path) -> Path:
    """A path as a config writes it: ``~`` expanded, relative ones taken from the data home."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else data_home() / path
