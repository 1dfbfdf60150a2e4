"""``wsoltool train CONFIG``."""

from __future__ import annotations

import argparse
from shlex import quote


def run(arguments: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from wsoltool.commands.options import config_of
    from wsoltool.engine.stage_list import is_staged
    from wsoltool.engine.staged_training import StagesStopped
    from wsoltool.engine.training import train

    config = config_of(arguments)
    if arguments.seed is not None:
        config.setdefault("randomness", {})["seed"] = arguments.seed
    try:
        checkpoint = train(
            config,
            work_dir=arguments.work_dir,
            resume=arguments.resume,
            amp=arguments.amp,
            launcher=arguments.launcher,
            redo=arguments.redo,
        )
    except KeyboardInterrupt as stop:
        again = "--resume goes on after the last saved epoch"
        if is_staged(config):
            without = " without --redo" if arguments.redo else ""
            again = f"the same command{without} goes on after the last saved epoch"
        if arguments.redo and not isinstance(stop, StagesStopped):
            again = "the same command begins anew what --redo names"
        raise KeyboardInterrupt(f"stopped\n{again}") from stop
    if is_main_process():
        print(f"checkpoint: {checkpoint}")
        names = f"{quote(arguments.config)} {quote(str(checkpoint))}"
        print(f"next: wsoltool test {names} --gallery gallery")
