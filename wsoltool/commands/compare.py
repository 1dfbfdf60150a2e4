"""``wsoltool compare A.json B.json`` and ``wsoltool compare NAME=FILES NAME=FILES``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

    from wsoltool.evaluation.run_groups import RunGroup


class _Outcome(NamedTuple):
    """Tables to print, plain data for JSON, and Markdown."""

    tables: list[Table]
    report: dict[str, Any]
    markdown: str


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.commands.run_group_arguments import run_groups
    from wsoltool.paths import whole_file, writable_file

    file = arguments.json and writable_file(arguments.json, "--json")
    markdown = arguments.markdown and writable_file(arguments.markdown, "--markdown")
    files = [arguments.first, *arguments.others]
    groups = run_groups(files)
    if groups is None:
        outcome = _of_files([Path(name) for name in files], arguments.resamples, arguments.seed)
    else:
        outcome = _of_groups(groups, arguments.resamples, arguments.seed)
    console = figures_console()
    for table in outcome.tables:
        console.print(table)
    written = {
        "comparison": (file, json.dumps(outcome.report, indent=2) + "\n"),
        "tables": (markdown, outcome.markdown),
    }
    for what, (path, content) in written.items():
        if path:
            with whole_file(path) as opened:
                opened.write(content.encode())
            print(f"{what}: {path}")


def _of_files(files: Sequence[Path], resamples: int, seed: int) -> _Outcome:
    from wsoltool.evaluation.comparison import compare_reports
    from wsoltool.evaluation.comparison_table import comparison_report, comparison_tables
    from wsoltool.evaluation.markdown import markdown_table

    comparison = compare_reports(files, resamples, seed)
    tables = comparison_tables(comparison)
    markdown = "\n".join(markdown_table(table) for table in tables)
    return _Outcome(tables, comparison_report(comparison), markdown)


def _of_groups(groups: Sequence[RunGroup], resamples: int, seed: int) -> _Outcome:
    from wsoltool.evaluation.group_comparison import compare_groups
    from wsoltool.evaluation.group_table import group_report, group_tables, pasted_table
    from wsoltool.evaluation.markdown import markdown_table

    comparison = compare_groups(groups, resamples, seed)
    markdown = markdown_table(*pasted_table(comparison))
    return _Outcome(group_tables(comparison), group_report(comparison), markdown)
