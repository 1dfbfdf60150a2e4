"""Paths of images as tables write them."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.readers.image_paths import inner_path
from wsoltool.errors import DataError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.jpg", "a.jpg"),
        (" a b.jpg\t", "a b.jpg"),
        ("a\\b//c.jpg", "a/b/c.jpg"),
        ("./x/./größe 猫.jpg", "x/größe 猫.jpg"),
        ("..a/b..c.jpg", "..a/b..c.jpg"),
        ("1:2.jpg", "1:2.jpg"),
    ],
)
def test_paths(name, path):
    assert inner_path(name) == path


@pytest.mark.parametrize(
    "name", ["/a.jpg", "\\a.jpg", "c:/a.jpg", "C:a.jpg", "../a", "a/../b", ".."]
)
def test_paths_that_lead_out(name):
    with pytest.raises(DataError, match="leads out of the image folder"):
        inner_path(name)


@pytest.mark.parametrize("name", ["", " ", ".", "./"])
def test_no_path(name):
    with pytest.raises(DataError, match="the image has no path"):
        inner_path(name)


@given(st.lists(st.text("ab.ä /", min_size=1, max_size=6), min_size=1, max_size=3))
def test_paths_are_pathlibs(parts):
    name = "/".join(parts).strip()
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        with pytest.raises(DataError):
            inner_path(name)
    else:
        assert inner_path(name) == path.as_posix()
