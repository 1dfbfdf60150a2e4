"""``wsoltool train CONFIG``."""

from __future__ import annotations

import argparse
from shlex import quote


def run(arguments: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from wsoltool.commands.options import config_of
    from wsoltool.engine.training import train

    config = config_of(arguments)
    if arguments.seed is not None:
        config.setdefault("randomness", {})["seed"] = arguments.seed
    checkpoint = train(
        config,
        work_dir=arguments.work_dir,
        resume=arguments.resume,
        amp=arguments.amp,
        launcher=arguments.launcher,
    )
    if is_main_process():
        print(f"checkpoint: {checkpoint}")
        names = f"{quote(arguments.config)} {quote(str(checkpoint))}"
        print(f"next: wsoltool test {names} --gallery gallery")
