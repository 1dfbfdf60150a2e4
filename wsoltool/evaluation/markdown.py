"""A table as Markdown, to be pasted into a README."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

SPECIAL = "\\`*|<"


def markdown_table(table: Table, notes: Iterable[str] | None = None) -> str:
    """Title, header and rows as GitHub reads them; below, the notes as a list.

    Rows with a first cell alone head those that follow: they become bold.

    Args:
        table: As it is printed.
        notes: Lines to stand below it; by default those of its caption.
    """
    columns = table.columns
    marks = ["--:" if column.justify == "right" else "---" for column in columns]
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        _line(_cell(column.header) for column in columns),
        _line(marks),
        *(_line(_heading([_cell(cell) for cell in row])) for row in rows),
    ]
    below = _plain(table.caption).splitlines() if notes is None else notes
    listed = [f"- {_escaped(note)}" for note in below]
    title = [f"**{_cell(table.title)}**", ""] if table.title else []
    return "\n".join([*title, *lines, "", *listed]).rstrip() + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(cells: list[str]) -> list[str]:
    alone = len(cells) > 1 and not any(cells[1:])
    return [f"**{cells[0]}**", *cells[1:]] if alone and cells[0] else cells


def _cell(content: object) -> str:
    return _escaped(" ".join(_plain(content).split()))


def _plain(content: object) -> str:
    """Without rich's own markup."""
    return Text.from_markup("" if content is None else str(content)).plain


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in text)
