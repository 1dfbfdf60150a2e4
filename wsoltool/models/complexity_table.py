"""Costs as tables to read and as one dict to store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from wsoltool.models.complexity import Complexity, ViewCost, points_by_module
from wsoltool.models.complexity_rows import Row
from wsoltool.models.contracts import Backbone
from wsoltool.structures import Size

_EXPLANATIONS = (
    "Multiply-adds: convolutions and matrix products, attention's too, up to the class scores.",
    "Activations: what autograd keeps of one image for the backward pass, in evaluation mode.",
)


def complexity_table(
    rows: Sequence[Row], complexity: Complexity, notes: Sequence[str] = ()
) -> Table:
    """Rows, then the total; about 100 characters wide.

    Args:
        rows: Of :func:`~wsoltool.models.complexity_rows.stage_rows` or ``depth_rows``.
        complexity: What they sum.
        notes: First lines of the caption.
    """
    table = _table("\n".join([*notes, *_training_notes(complexity), *_EXPLANATIONS]))
    for name in ("module", "contents"):
        table.add_column(name, overflow="fold")
    for name in ("output", "params", "multiply-adds", "share", "activations"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, complexity.flops), end_section=row is rows[-1])
    table.add_row(*_cells(Row("total", "", complexity.modules), complexity.flops))
    return table


def points_table(backbone: Backbone, complexity: Complexity, member: str = "") -> Table:
    """Every insert point, in running order: names, channels, stride, and shape at this input.

    Args:
        backbone: Whose points they are.
        complexity: Of its localizer.
        member: The localizer's name in an ensemble.
    """
    of = f"{type(backbone).__name__} of member {member}" if member else type(backbone).__name__
    at = f"at {size_text(complexity.input)}"
    table = _table(f"Insert points of {of} {at}: inserts act on the output.")
    table.add_column("insert point", overflow="fold")
    table.add_column("also called", overflow="fold")
    for name in ("channels", "stride", "output"):
        table.add_column(name, justify="right", no_wrap=True)
    for own, others in points_by_module(backbone).items():
        point = complexity.points[own]
        figures = str(point.channels), str(point.stride), _shape_text(point.shape)
        table.add_row(escape(own), escape(", ".join(others)), *figures)
    return table


def views_note(views: Sequence[ViewCost]) -> str:
    """What the views of a test take.

    Example:
        >>> views_note([ViewCost(1.0, False, (96, 96), 1500)])
        '1.50 k multiply-adds, 1 view: 96 x 96'
        >>> views_note([ViewCost(1.0, False, (96, 96), 1500), ViewCost(1.0, True, (96, 96), 1500)])
        '3.00 k multiply-adds, 2 views: 96 x 96 (1.50 k), 96 x 96 mirrored (1.50 k)'
    """
    several = len(views) > 1
    parts = [
        size_text(view.size) + " mirrored" * view.flip + f" ({count_text(view.flops)})" * several
        for view in views
    ]
    total = f"{count_text(sum(view.flops for view in views))} multiply-adds"
    return f"{total}, {len(views)} view{'s' * several}: {', '.join(parts)}"


def report(complexity: Complexity, views: Sequence[ViewCost]) -> dict[str, Any]:
    """Plain data for JSON.

    Keys: ``params``, ``trainable_params`` (counts), ``flops`` (multiply-adds of one image to the
    class scores, count), ``activation_bytes`` (kept for its backward pass); ``input`` [height,
    width]; ``modules`` (``name``, ``type``, ``params``, ``flops``, ``activation_bytes`` of every
    module without the modules inside it: their sums are the totals); ``views`` (``scale``,
    ``flip``, ``size`` [height, width], ``flops`` of each view of the fusion) and ``test_flops``,
    their sum; ``points`` (name -> ``channels``, ``stride``, ``shape`` [C, h, w] of every insert
    point, canonical names too).
    """
    return {
        "params": complexity.params,
        "trainable_params": complexity.trainable,
        "flops": complexity.flops,
        "activation_bytes": complexity.activation_bytes,
        "input": list(complexity.input),
        "modules": [asdict(module) for module in complexity.modules],
        "views": [{**asdict(view), "size": list(view.size)} for view in views],
        "test_flops": sum(view.flops for view in views),
        "points": {
            name: {**asdict(point), "shape": list(point.shape)}
            for name, point in complexity.points.items()
        },
    }


def count_text(count: int) -> str:
    """A count to three digits or more.

    Example:
        >>> count_text(0), count_text(432), count_text(20_463_400), count_text(16_310_000_000)
        ('0', '432', '20.46 M', '16.31 G')
        >>> count_text(999_996)
        '1.00 M'
    """
    if count < 1000:
        return str(count)
    scaled = float(count)
    for unit in "kMG":
        scaled /= 1000
        if round(scaled, 2) < 1000 or unit == "G":
            break
    return f"{scaled:.2f} {unit}"


def bytes_text(count: int) -> str:
    """A number of bytes in MiB.

    Example:
        >>> bytes_text(0), bytes_text(4096), bytes_text(110592)
        ('0', '< 0.01 MiB', '0.11 MiB')
    """
    if not count:
        return "0"
    mebibytes = count / 2**20
    return f"{mebibytes:.2f} MiB" if mebibytes >= 0.005 else "< 0.01 MiB"


def size_text(size: Size) -> str:
    """Height and width.

    Example:
        >>> size_text((375, 500))
        '375 x 500'
    """
    return "{} x {}".format(*size)


def _training_notes(complexity: Complexity) -> list[str]:
    if complexity.trainable == complexity.params:
        return []
    return [f"Parameters: {count_text(complexity.trainable)} of them are trained."]


def _cells(row: Row, total: int) -> list[str]:
    return [
        escape(row.name),
        escape(row.contents),
        _shape_text(row.shape),
        count_text(row.params),
        count_text(row.flops),
        f"{100 * row.flops / total:.1f} %" if total else "",
        bytes_text(row.activation_bytes),
    ]


def _shape_text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _table(caption: str) -> Table:
    return Table(
        caption=escape(caption),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
