"""``wsoltool check CONFIG``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import config_of
    from wsoltool.config import plain
    from wsoltool.engine.dataloaders import check_batch_size
    from wsoltool.engine.optimization import optimizer_lines
    from wsoltool.engine.stage_list import final_config, is_staged
    from wsoltool.models.builder import build_localizer, without_pretrained
    from wsoltool.models.ensemble import Ensemble
    from wsoltool.preflight import check

    config = config_of(arguments)
    check(config)
    stages = _stage_lines(config) if is_staged(config) else []
    if stages:
        config = final_config(config)  # which has been checked, too
    # Weights are left out: a check needs neither network nor files.
    localizer = build_localizer(without_pretrained(plain(config.model)))
    lines = stages
    # Stages have looked at what they train; and what a config inherits for training says nothing
    # of an ensemble, which is not trained.
    trains = not stages and not isinstance(localizer, Ensemble)
    if trains and "optim_wrapper" in config:
        lines = optimizer_lines(localizer, plain(config.optim_wrapper))
    if trains and "train_dataloader" in config:
        check_batch_size(localizer, plain(config.train_dataloader))
    count = sum(parameter.numel() for parameter in localizer.parameters())
    print(f"{config.filename}: no problems, {count / 1e6:.2f} M parameters")
    print(*lines, sep="\n", end="\n" * bool(lines))


def _stage_lines(config: Config) -> list[str]:
    from wsoltool.engine.stage_list import stages_of

    stages = stages_of(config)
    wide = max(len(stage.name) for stage in stages)
    lines = ["stages:"]
    for index, stage in enumerate(stages, start=1):
        needed = f", needs {', '.join(stage.needs)}" if stage.needs else ""
        lines.append(f"{index:3}  {stage.name:{wide}}  {type(stage).__name__}{needed}")
    return lines
