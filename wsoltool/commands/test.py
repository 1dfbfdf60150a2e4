"""``wsoltool test CONFIG CHECKPOINT``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

    from wsoltool.engine.scoring import Scoring


def run(arguments: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from wsoltool.commands.options import config_of
    from wsoltool.engine.scoring import score_checkpoint
    from wsoltool.evaluation.data_entries import data_lines
    from wsoltool.paths import writable_file, writable_folder

    config = config_of(arguments)
    # An hour of scoring must not end at a folder that cannot be written.
    figures_file = arguments.json and writable_file(arguments.json, "--json")
    gallery = arguments.gallery and writable_folder(arguments.gallery, "--gallery")
    maps = arguments.maps and writable_folder(arguments.maps, "--maps")
    outcome = score_checkpoint(
        config, arguments.checkpoint, arguments.work_dir, arguments.launcher, maps
    )
    if not is_main_process():
        return
    left_out = data_lines(outcome.data)
    _print_figures(outcome, left_out)
    if figures_file:
        _write_figures(figures_file, outcome, config, arguments)
        print(f"figures: {figures_file}")
    if maps:
        print(f"maps: {maps}")
    if gallery:
        page = _write_gallery(gallery, outcome, config, arguments.gallery_size, left_out)
        print(f"gallery: {page}")


def _print_figures(outcome: Scoring, left_out: Sequence[str]) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.evaluation.further_table import figures_table
    from wsoltool.evaluation.table import metrics_table

    console = figures_console()
    if outcome.summary is not None:
        console.print(metrics_table(outcome.summary, notes=left_out))
    for table in outcome.tables:
        console.print(figures_table(table, left_out))
    for line in left_out if outcome.summary is None and not outcome.tables else ():
        print(line)
    shown = {name for table in outcome.tables for name in table.metrics()}
    for name, value in outcome.further.items():
        if name not in shown:
            print(f"{name}: {value}")


def _write_figures(
    file: Path, outcome: Scoring, config: Config, arguments: argparse.Namespace
) -> None:
    from wsoltool.evaluation.further_results import FurtherResults
    from wsoltool.evaluation.further_table import figure_rows
    from wsoltool.evaluation.report_files import write_report

    further = {
        "further": outcome.further,
        "further_rows": [row for table in outcome.tables for row in figure_rows(table)],
        "config": str(config.filename),
        "checkpoint": str(arguments.checkpoint),
        "cfg_options": list(arguments.cfg_options),
        "data": outcome.data,
        "training": outcome.training,
    }
    kept = FurtherResults.of(outcome.tables)
    write_report(file, outcome.summary, outcome.results, outcome.fullsup, further, kept)


def _write_gallery(
    folder: Path, outcome: Scoring, config: Config, size: int, left_out: Sequence[str]
) -> Path:
    from wsoltool.engine.pictures import gallery_items
    from wsoltool.visualization.gallery import write_gallery

    runner = outcome.runner
    summaries = [s for s in (outcome.summary, *outcome.tables) if s is not None]
    figures = {name: f"{v:.1f}" for s in summaries for name, v in s.metrics().items()}
    items = gallery_items(runner.model, runner.test_dataloader.dataset, size)
    return write_gallery(folder, items, f"{config.filename}", figures, left_out)
