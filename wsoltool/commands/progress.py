"""A bar for what goes through many images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterator[T], total: int, doing: str) -> Iterator[T]:
    """The items; on a terminal with a bar, a speed and an estimate.

    Args:
        items: One for each image, as they get ready.
        total: How many there will be.
        doing: What is done to the images, a word before the bar.
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
