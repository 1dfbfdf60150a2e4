"""Paths of images as tables and annotation files write them."""

from __future__ import annotations

from wsoltool.errors import DataError


def inner_path(name: str) -> str:
    r"""A path below the image folder, with ``/`` whatever separates it.

    Raises:
        DataError: It is empty, absolute, or leads out of the folder.

    Example:
        >>> inner_path(r"cats\1.jpg"), inner_path("./größe.png")
        ('cats/1.jpg', 'größe.png')
    """
    path = name.strip().replace("\\", "/")
    # By hand: a million paths by pathlib take ten seconds.
    parts = [part for part in path.split("/") if part not in ("", ".")]
    has_drive = path[1:2] == ":" and path[0].isalpha()
    if path.startswith("/") or has_drive or ".." in parts or not parts:
        raise DataError(
            f"{name!r} leads out of the image folder" if parts else "the image has no path",
            expected="a path below the image folder",
        )
    return "/".join(parts)
