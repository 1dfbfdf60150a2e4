"""``wsoltool test CONFIG CHECKPOINT``."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from wsoltool.commands.options import config_of, figures_console
    from wsoltool.engine.scoring import score_checkpoint
    from wsoltool.evaluation.report_files import write_report
    from wsoltool.evaluation.table import metrics_table
    from wsoltool.paths import writable_file, writable_folder

    config = config_of(arguments)
    # An hour of scoring must not end at a folder that cannot be written.
    figures_file = arguments.json and writable_file(arguments.json, "--json")
    gallery = arguments.gallery and writable_folder(arguments.gallery, "--gallery")
    outcome = score_checkpoint(config, arguments.checkpoint, arguments.work_dir, arguments.launcher)
    if not is_main_process() or outcome.summary is None:
        return
    console = figures_console()
    console.print(metrics_table(outcome.summary))
    for name, value in outcome.further.items():
        console.print(f"{name}: {value}")
    if figures_file:
        origin = {"config": str(config.filename), "checkpoint": str(arguments.checkpoint)}
        further = {"further": outcome.further, **origin}
        write_report(figures_file, outcome.summary, outcome.results, outcome.fullsup, further)
        console.print(f"figures: {figures_file}")
    if gallery:
        from wsoltool.engine.pictures import gallery_items
        from wsoltool.visualization.gallery import write_gallery

        runner = outcome.runner
        figures = {name: f"{v:.1f}" for name, v in outcome.summary.metrics().items()}
        items = gallery_items(runner.model, runner.test_dataloader.dataset, arguments.gallery_size)
        page = write_gallery(gallery, items, f"{config.filename}", figures)
        console.print(f"gallery: {page}")
