"""``wsoltool new-plugin NAME [DIR]``."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.errors import ConfigError
    from wsoltool.plugin.manager import RESERVED, discover
    from wsoltool.scaffold import create_plugin

    if arguments.name in RESERVED or arguments.name in discover():
        raise ConfigError(
            f"a plugin named {arguments.name!r} is installed, or the name is reserved",
            hint="choose another name",
        )
    folder = arguments.dir or Path(arguments.name)
    for path in create_plugin(arguments.name, folder):
        print(path)
    print(f"next: pip install -e {folder} && wsoltool plugins {arguments.name}")
