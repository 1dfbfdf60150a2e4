"""What several commands read from their arguments."""

from __future__ import annotations

import argparse

from mmengine.config import Config, DictAction

from wsoltool.config import load_config
from wsoltool.errors import ConfigError


def config_of(arguments: argparse.Namespace) -> Config:
    """The command's config with its ``--cfg-options`` applied."""
    for option in arguments.cfg_options:
        if "=" not in option:
            raise ConfigError(f"--cfg-options {option!r}", expected="KEY=VALUE")
    options = {}
    if arguments.cfg_options:
        parser = argparse.ArgumentParser()
        parser.add_argument("--options", nargs="+", action=DictAction)
        options = parser.parse_args(["--options", *arguments.cfg_options]).options
    return load_config(arguments.config, options)
