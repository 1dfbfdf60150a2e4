"""How commands show that they are at work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


def with_progress(items: Iterator[_Item], total: int, doing: str) -> Iterator[_Item]:
    """Pass items on; on a terminal behind a bar with an estimate, nothing elsewhere.

    Args:
        items: One an image.
        total: How many there will be.
        doing: What stands before the bar.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    left = TimeRemainingColumn()
    speed = TextColumn("{task.fields[speed]}")
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), speed, left)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=total, speed="")
        for item in items:
            yield item
            per_second = bar.tasks[0].speed
            text = f"{per_second:.0f} images/s" if per_second else ""
            bar.update(task, advance=1, speed=text)
