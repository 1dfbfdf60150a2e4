"""``wsoltool compare A.json B.json``."""

from __future__ import annotations

import argparse
import json


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.evaluation.comparison import compare_reports
    from wsoltool.evaluation.comparison_table import comparison_report, comparison_tables
    from wsoltool.paths import whole_file, writable_file

    file = arguments.json and writable_file(arguments.json, "--json")
    files = [arguments.first, *arguments.others]
    comparison = compare_reports(files, arguments.resamples, arguments.seed)
    console = figures_console()
    for table in comparison_tables(comparison):
        console.print(table)
    if file:
        content = json.dumps(comparison_report(comparison), indent=2) + "\n"
        with whole_file(file) as opened:
            opened.write(content.encode())
        print(f"comparison: {file}")
