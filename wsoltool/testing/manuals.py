"""The tables of a plugin's README and the switches in their cells, for tests to apply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from wsoltool.errors import ManualError, did_you_mean

Line = tuple[int, str]

_HEADING = re.compile(r"(#{1,6})\s+(.*?)(?:\s+#+)?\s*$")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_CELL_BORDER = re.compile(r"(?<!\\)\|")


def section_tables(manual: str | Path, heading: str) -> list[list[dict[str, str]]]:
    r"""The tables of a section, so that the table that readers follow is the one that is tested.

    Args:
        manual: A Markdown file. Lines of its fenced code are neither headings nor tables.
        heading: The section's, without ``#``. The section reaches to the next heading of its level
            or above, other headings within it.

    Returns:
        One list a table, in order, with a dict of column -> cell for each row. Cells are stripped,
        keep their backticks, and have ``|`` where ``\|`` is written.

    Raises:
        ManualError: Not one such section; no table in it; a table without rows, with two columns
            of one name, or with a row of more or fewer cells than its header.
    """
    manual = Path(manual)
    section = _section(manual, heading)
    blocks = [list(block) for is_row, block in groupby(section, key=_is_row) if is_row]
    if not blocks:
        at = f"{manual}:{section[0][0]}"
        raise ManualError(f"no table in {heading!r}", at=at, expected="lines that begin with |")
    return [_table(manual, block) for block in blocks]


def switches(cell: str) -> list[str]:
    """The ``key=value`` options in a cell: all between backticks, parted at spaces.

    Text outside of backticks may join or explain them.

    Args:
        cell: Of :func:`section_tables`; an empty one has no switches.

    Raises:
        ManualError: A backtick without its second, or an option outside of them.

    Example:
        >>> switches("`model.inserts=None model.head.parts=3`, and `model.head.memory=False`")
        ['model.inserts=None', 'model.head.parts=3', 'model.head.memory=False']
    """
    pieces = cell.split("`")
    if len(pieces) % 2 == 0 or any("=" in text for text in pieces[::2]):
        raise ManualError(f"unclear switches: {cell}", expected="options between two backticks")
    return " ".join(pieces[1::2]).split()


def _section(manual: Path, heading: str) -> list[Line]:
    """The lines from a heading on."""
    lines = list(_lines(manual))
    found = [(i, m[1], m[2]) for i, (_, text) in enumerate(lines) if (m := _HEADING.match(text))]
    own = [(start, marks) for start, marks, name in found if name == heading]
    if len(own) != 1:
        names = [name for _, _, name in found]
        times = f"{len(own)} sections" if own else "no section"
        hint = None if own else did_you_mean(heading, names)
        raise ManualError(f"{times} {heading!r}", at=str(manual), known=names, hint=hint)
    ((start, level),) = own
    ends = [i for i, marks, _ in found if i > start and len(marks) <= len(level)]
    return lines[start : min(ends, default=len(lines))]


def _lines(manual: Path) -> Iterator[Line]:
    """Numbered from 1, those of fenced code empty."""
    fence = ""
    for number, text in enumerate(manual.read_text(encoding="utf-8").splitlines(), start=1):
        mark = _FENCE.match(text)
        yield number, "" if fence or mark else text
        if not fence:
            fence = mark[1] if mark else ""
        elif text.strip().startswith(fence) and not text.strip().strip(fence[0]):
            fence = ""


def _is_row(line: Line) -> bool:
    return line[1].lstrip().startswith("|")


def _table(manual: Path, block: list[Line]) -> list[dict[str, str]]:
    (first, header), *rest = ((number, _cells(text)) for number, text in block)
    at = f"{manual}:{first}"
    dashes, rows = rest[:1], rest[1:]
    if not rows or not all(re.fullmatch(":?-+:?", cell) for cell in dashes[0][1]):
        raise ManualError("a table without rows", at=at, expected="header, dashes, rows")
    if len(set(header)) != len(header):
        raise ManualError("two columns of one name", at=at, expected=f"not {', '.join(header)}")
    for number, cells in rest:
        if len(cells) != len(header):
            raise ManualError(
                f"a row of {len(cells)} cell{'s' * (len(cells) != 1)}",
                at=f"{manual}:{number}",
                expected=f"{len(header)} cells: {', '.join(header)}",
                hint=r"| within a cell is written \|",
            )
    return [dict(zip(header, cells, strict=True)) for _, cells in rows]


def _cells(text: str) -> list[str]:
    _, *cells = _CELL_BORDER.split(text.strip())
    if cells and not cells[-1]:
        cells.pop()  # behind the last border
    return [cell.strip().replace(r"\|", "|") for cell in cells]
