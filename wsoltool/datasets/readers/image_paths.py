"""Paths of images as tables and annotation files write them."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from wsoltool.errors import DataError


def inner_path(name: str) -> str:
    r"""A path below the image folder, with ``/`` whatever separates it.

    Raises:
        DataError: It is empty, absolute, or leads out of the folder.

    Example:
        >>> inner_path(r"cats\1.jpg"), inner_path("./größe.png")
        ('cats/1.jpg', 'größe.png')
    """
    path = PurePosixPath(name.strip().replace("\\", "/"))
    outside = path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts
    if outside or not path.name:
        raise DataError(
            f"{name!r} leads out of the image folder" if path.name else "the image has no path",
            expected="a path below the image folder",
        )
    return path.as_posix()
