"""What lies where something is missing: mostly a folder is a level off, or a name differs."""

from __future__ import annotations

from pathlib import Path

SHOWN = 20


def names_near(path: Path) -> list[str]:
    """Names in the nearest folder above ``path`` that exists, sorted, at most 20.

    To be shown as what is known. Empty where that folder cannot be listed.
    """
    folder = next((parent for parent in path.parents if parent.is_dir()), path)
    try:
        return sorted(p.name for p in folder.iterdir() if p.name[0] != ".")[:SHOWN]
    except OSError:
        return []
