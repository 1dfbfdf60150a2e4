"""How long the commands take that people type while they think."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measurement import Measurement, Target, alternate, compare

PYTHON = (sys.executable, "-c", "pass")


def wait_for_help(quick: bool = False) -> Measurement:
    """``wsoltool --help`` beside an interpreter that does nothing, wall time of new processes."""
    return _wait("help", ("--help",), Target("ours", below=0.5), quick)


def wait_for_plugins(quick: bool = False) -> Measurement:
    """``wsoltool plugins`` beside an interpreter that does nothing, wall time of new processes."""
    return _wait("plugins", ("plugins",), Target("ours", below=1.0), quick)


def _wait(name: str, arguments: tuple[str, ...], target: Target, quick: bool) -> Measurement:
    command = (sys.executable, "-m", "wsoltool", *arguments)
    _seconds(command)  # compiles what was never imported before
    figures = alternate(lambda: _seconds(command), lambda: _seconds(PYTHON), 1 if quick else 5)
    return compare(name, "s", target, *figures)


def _seconds(command: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
