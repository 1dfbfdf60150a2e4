"""``wsoltool check CONFIG``."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import config_of
    from wsoltool.config import plain
    from wsoltool.engine.dataloaders import check_batch_size
    from wsoltool.engine.optimization import optimizer_lines
    from wsoltool.models.builder import build_localizer, without_pretrained
    from wsoltool.models.ensemble import Ensemble
    from wsoltool.preflight import check

    config = config_of(arguments)
    check(config)
    # Weights are left out: a check needs neither network nor files.
    localizer = build_localizer(without_pretrained(plain(config.model)))
    lines = []
    # What a config inherits for training says nothing of an ensemble, which is not trained.
    trains = not isinstance(localizer, Ensemble)
    if trains and "optim_wrapper" in config:
        lines = optimizer_lines(localizer, plain(config.optim_wrapper))
    if trains and "train_dataloader" in config:
        check_batch_size(localizer, plain(config.train_dataloader))
    count = sum(parameter.numel() for parameter in localizer.parameters())
    print(f"{config.filename}: no problems, {count / 1e6:.2f} M parameters")
    print(*lines, sep="\n", end="\n" * bool(lines))
