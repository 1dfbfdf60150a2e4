"""``wsoltool check CONFIG``."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.commands.options import config_of
    from wsoltool.config import plain
    from wsoltool.models.builder import build_localizer, without_pretrained
    from wsoltool.preflight import check

    config = config_of(arguments)
    check(config)
    # Weights are left out: a check needs neither network nor files.
    localizer = build_localizer(without_pretrained(plain(config.model)))
    count = sum(parameter.numel() for parameter in localizer.parameters())
    print(f"{config.filename}: no problems, {count / 1e6:.2f} M parameters")
