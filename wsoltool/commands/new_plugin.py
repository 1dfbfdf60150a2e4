"""``wsoltool new-plugin NAME [DIR]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

HINT = "choose another name"


def run(arguments: argparse.Namespace) -> None:
    from wsoltool.errors import ConfigError
    from wsoltool.plugin.manager import RESERVED, discover
    from wsoltool.scaffold import create_plugin

    if arguments.name in RESERVED:
        raise ConfigError(f"the plugin name {arguments.name!r} is reserved", hint=HINT)
    for origin in discover().get(arguments.name, ()):
        what = f"a plugin named {arguments.name!r} is installed"
        raise ConfigError(what, at=origin.description, hint=HINT)
    folder = arguments.dir or Path(arguments.name)
    for path in create_plugin(arguments.name, folder):
        print(path)
    print(f"next: pip install -e {quote(str(folder))} && wsoltool plugins {arguments.name}")
