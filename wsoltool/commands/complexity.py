"""``wsoltool complexity CONFIG``."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsoltool.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config

    from wsoltool.models.complexity import Complexity
    from wsoltool.models.localizer import Localizer
    from wsoltool.structures import Size


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import config_of, figures_console
    from wsoltool.engine.input_size import parse_size, size_at_test, size_in_training
    from wsoltool.engine.stage_list import final_config
    from wsoltool.models.complexity import measure, measure_views, sample_images
    from wsoltool.models.complexity_rows import depth_rows, stage_rows
    from wsoltool.models.complexity_table import complexity_table, report, views_note
    from wsoltool.paths import writable_file
    from wsoltool.preflight import check

    config = final_config(config_of(arguments))
    check(config)
    file = arguments.json and writable_file(arguments.json, "--json")
    given = arguments.size and parse_size(arguments.size, "--size")
    shown, tested = given or size_in_training(config), given or size_at_test(config)
    localizer = _build(config, shown.size, arguments.points)
    complexity = measure(localizer, sample_images(localizer, shown.size))
    views = measure_views(localizer, sample_images(localizer, tested.size))
    rows = stage_rows(localizer, complexity)
    if arguments.depth:
        rows = depth_rows(complexity, arguments.depth)
    notes = [
        f"Input: {shown}.",
        f"Test: {views_note(views)}; input {tested}.",
        *_map_notes(localizer),
    ]
    figures_console().print(complexity_table(rows, complexity, notes))
    if arguments.points:
        _print_points(localizer, complexity)
    if file:
        origin = {"config": str(config.filename), "cfg_options": list(arguments.cfg_options)}
        _write(file, {**report(complexity, views), **origin})
        print(f"figures: {file}")


def _build(config: Config, size: Size, points: bool) -> Localizer:
    from wsoltool.config import plain
    from wsoltool.models.builder import build_localizer, without_pretrained
    from wsoltool.models.complexity import measure, sample_images

    model = without_pretrained(plain(config.model))
    try:
        return build_localizer(model)
    except ConfigError as error:
        if points and re.fullmatch(r"model\.(members\.\w+\.)?inserts[.\[].*\.at", error.at or ""):
            # Who asks for the points needs them most when a name was wrong.
            localizer = build_localizer(_without_inserts(model))
            _print_points(localizer, measure(localizer, sample_images(localizer, size)))
        raise


def _without_inserts(model: dict[str, Any]) -> dict[str, Any]:
    from wsoltool.models.ensemble_config import is_ensemble

    if not is_ensemble(model):
        return {**model, "inserts": ()}
    members = {name: own and _without_inserts(own) for name, own in model["members"].items()}
    return {**model, "members": members}


def _print_points(localizer: Localizer, complexity: Complexity) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.models.complexity import member_costs, members
    from wsoltool.models.complexity_table import points_table

    costs = member_costs(localizer, complexity)
    for name, member in members(localizer).items():
        figures_console().print(points_table(member.backbone, costs[name], name))


def _map_notes(localizer: Localizer) -> list[str]:
    from wsoltool.models.complexity import members
    from wsoltool.models.localizer import HeadMaps

    sources = [member.map_source for member in members(localizer).values()]
    names = dict.fromkeys(type(s).__name__ for s in sources if not isinstance(s, HeadMaps))
    return [
        f"The maps of {name}, which may run the network again, are not in it." for name in names
    ]


def _write(file: Path, content: dict[str, Any]) -> None:
    from wsoltool.paths import whole_file

    with whole_file(file) as opened:
        opened.write((json.dumps(content, indent=2) + "\n").encode())
