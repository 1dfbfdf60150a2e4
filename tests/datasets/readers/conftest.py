"""Miniature data sets in their original layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsoltool.testing.voc_trees import write_ilsvrc_tree, write_voc_tree


@pytest.fixture
def voc_tree(tmp_path) -> Path:
    """The folder that holds a miniature VOCdevkit with VOC2007."""
    write_voc_tree(tmp_path)
    return tmp_path


@pytest.fixture(params=["official", "plain", "sorted"])
def ilsvrc_tree(tmp_path, request) -> Path:
    """A miniature ILSVRC in each layout, see ``write_ilsvrc_tree``."""
    write_ilsvrc_tree(tmp_path, request.param)
    return tmp_path
