"""Miniature data sets in their original layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsoltool.testing.native_trees import (
    write_coco_tree,
    write_cub_tree,
    write_openimages_tree,
    write_tiny_tree,
)
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


@pytest.fixture
def coco_tree(tmp_path) -> Path:
    """Three images of train2017 and two of val2017."""
    write_coco_tree(tmp_path)
    return tmp_path


@pytest.fixture
def tiny_tree(tmp_path) -> Path:
    """The folder that holds a miniature tiny-imagenet-200."""
    write_tiny_tree(tmp_path)
    return tmp_path


@pytest.fixture
def openimages_tree(tmp_path) -> Path:
    """The folder that holds a miniature OpenImages."""
    write_openimages_tree(tmp_path)
    return tmp_path


@pytest.fixture
def cub_tree(tmp_path) -> Path:
    """The folder that holds a miniature CUB_200_2011."""
    write_cub_tree(tmp_path)
    return tmp_path


@pytest.fixture
def photos(tmp_path, write_image) -> Path:
    """Photos in class folders below ``train`` and ``val``."""
    for name in ("train/cat/1.jpg", "train/cat/old/2.jpg", "train/dog/3.jpg", "train/dog/4.jpg"):
        write_image(tmp_path / name, (20, 30))
    for name in ("val/cat/5.jpg", "val/dog/6.jpg"):
        write_image(tmp_path / name, (20, 30))
    return tmp_path
