"""``wsoltool evaluate --maps DIR --metadata DIR``."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsoltool.engine.map_evaluation import MapEvaluation, MapRequest


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.commands.progress import progress
    from wsoltool.engine.map_evaluation import evaluate_maps
    from wsoltool.evaluation.bad_maps import shown
    from wsoltool.evaluation.report_files import write_report
    from wsoltool.evaluation.table import metrics_table
    from wsoltool.paths import writable_file

    # An hour of scoring must not end at a file that cannot be written.
    figures_file = arguments.json and writable_file(arguments.json, "--json")
    request = _request(arguments)
    outcome = evaluate_maps(request, partial(progress, doing="scoring"))
    if outcome.extra:
        number = f"{len(outcome.extra)} maps belong" if len(outcome.extra) > 1 else "1 map belongs"
        print(f"warning: {number} to no image id: {shown(outcome.extra)}", file=sys.stderr)
    entries = _entries(request, outcome)
    if outcome.summary is None or outcome.results is None:
        if figures_file:
            _write_failure(figures_file, entries)
        raise outcome.bad.error()
    fixed = f"each protocol's own box at {request.rules.threshold:g}"
    figures_console().print(metrics_table(outcome.summary, fixed, _notes(request, outcome)))
    if figures_file:
        write_report(figures_file, outcome.summary, outcome.results, outcome.fullsup, entries)
        print(f"figures: {figures_file}")
    images, seconds = outcome.bad.images, outcome.seconds
    print(f"{images} images in {seconds:.1f} s: {images / seconds:.0f} images/s")


def _request(arguments: argparse.Namespace) -> MapRequest:
    from wsoltool.engine.map_evaluation import MapRequest, default_workers
    from wsoltool.engine.maps import MapRules

    rules = MapRules(
        protocols=tuple(arguments.protocol),
        threshold=arguments.threshold,
        interpolation=arguments.interpolation,
        normalise=arguments.normalise,
        bad_maps=arguments.bad_maps,
    )
    return MapRequest(
        maps=arguments.maps,
        metadata=arguments.metadata,
        masks=arguments.masks,
        images=arguments.images,
        scores=arguments.scores,
        fullsup=arguments.fullsup,
        box_convention=arguments.box_convention,
        rules=rules,
        workers=default_workers() if arguments.workers is None else arguments.workers,
        resamples=arguments.resamples,
    )


def _entries(request: MapRequest, outcome: MapEvaluation) -> dict[str, Any]:
    """What the JSON file says beside the figures."""
    from wsoltool.evaluation.bad_maps import SHOWN

    def name(path: Path | None) -> str | None:
        return None if path is None else str(path)

    rules = request.rules
    return {
        "maps": str(request.maps),
        "metadata": str(request.metadata),
        "masks": name(request.masks),
        "scores": name(request.scores),
        "fullsup": name(request.fullsup),
        "box_convention": outcome.box_convention,
        "interpolation": rules.interpolation,
        "normalise": rules.normalise,
        "threshold": rules.threshold,
        "bad_maps": outcome.bad.plain(),
        # The first alone: the maps of other splits may lie in the same folder.
        "extra_maps": {"count": len(outcome.extra), "first": list(outcome.extra[:SHOWN])},
        "data": outcome.data,
    }


def _notes(request: MapRequest, outcome: MapEvaluation) -> list[str]:
    from wsoltool.evaluation.data_entries import data_lines

    rules = request.rules
    scaled = "then scaled to [0, 1] (min-max)" if rules.normalise else "values as stored"
    return [
        f"Maps: {rules.interpolation} where they do not fit the frame, {scaled}.",
        outcome.bad.note(),
        *data_lines(outcome.data),
    ]


def _write_failure(path: Path, entries: dict[str, Any]) -> None:
    """What keeps the figures away, in the place where they were to be."""
    from wsoltool.paths import whole_file

    content = {"format": "wsoltool bad maps 1", **entries}
    with whole_file(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
