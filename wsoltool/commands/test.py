"""``wsoltool test CONFIG CHECKPOINT``."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from wsoltool.commands.options import config_of, figures_console
    from wsoltool.engine.scoring import score_checkpoint
    from wsoltool.evaluation.data_entries import data_lines
    from wsoltool.evaluation.further_results import FurtherResults
    from wsoltool.evaluation.further_table import figure_rows, figures_table
    from wsoltool.evaluation.report_files import write_report
    from wsoltool.evaluation.table import metrics_table
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
    console = figures_console()
    left_out = data_lines(outcome.data)
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
    if figures_file:
        rows = [row for table in outcome.tables for row in figure_rows(table)]
        further = {
            "further": outcome.further,
            "further_rows": rows,
            "config": str(config.filename),
            "checkpoint": str(arguments.checkpoint),
            "cfg_options": list(arguments.cfg_options),
            "data": outcome.data,
            "training": outcome.training,
        }
        kept = FurtherResults.of(outcome.tables)
        write_report(figures_file, outcome.summary, outcome.results, outcome.fullsup, further, kept)
        print(f"figures: {figures_file}")
    if maps:
        print(f"maps: {maps}")
    if gallery:
        from wsoltool.engine.pictures import gallery_items
        from wsoltool.visualization.gallery import write_gallery

        runner = outcome.runner
        summaries = [s for s in (outcome.summary, *outcome.tables) if s is not None]
        figures = {name: f"{v:.1f}" for s in summaries for name, v in s.metrics().items()}
        items = gallery_items(runner.model, runner.test_dataloader.dataset, arguments.gallery_size)
        page = write_gallery(gallery, items, f"{config.filename}", figures, left_out)
        print(f"gallery: {page}")
