"""``wsoltool data CONFIG``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsoltool.engine.data_report import DataReport


def run(arguments: argparse.Namespace) -> int:
    from wsoltool.commands.options import config_of, figures_console
    from wsoltool.datasets.statistics_table import statistics_table
    from wsoltool.engine.data_report import report_data
    from wsoltool.engine.runner import planned_work_dir
    from wsoltool.evaluation.data_entries import data_lines
    from wsoltool.paths import writable_file, writable_folder

    config = config_of(arguments)
    file = arguments.json and writable_file(arguments.json, "--json")
    folder = writable_folder(arguments.out or planned_work_dir(config) / "data", "--out")
    report = report_data(config, folder, arguments.images, arguments.seed)
    figures_console().print(statistics_table(report.splits, data_lines(report.data)))
    for sheet in report.sheets:
        print(f"contact sheet: {sheet}")
    if file:
        origin = {"config": str(config.filename), "cfg_options": list(arguments.cfg_options)}
        _write(file, report, origin)
        print(f"figures: {file}")
    for problem in report.problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


def _write(file: Path, report: DataReport, origin: Mapping[str, object]) -> None:
    """``splits``, ``data``, ``problems`` (texts), ``contact_sheets``, and where they come from."""
    from wsoltool.datasets.split_statistics import plain_statistics
    from wsoltool.paths import whole_file

    content = {
        "format": "wsoltool data 1",
        **origin,
        "splits": [plain_statistics(split) for split in report.splits],
        "data": report.data,
        "problems": [str(problem) for problem in report.problems],
        "contact_sheets": [str(sheet) for sheet in report.sheets],
    }
    with whole_file(file) as opened:
        opened.write((json.dumps(content, indent=2) + "\n").encode())
