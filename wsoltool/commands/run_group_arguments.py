"""``NAME=FILE[,FILE...]`` on the command line: the runs of one method."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.run_groups import USAGE, RunGroup

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,19}")
"""Short enough to head a column."""
PATTERN = re.compile(r"[*?\[]")


def run_groups(arguments: Sequence[str]) -> list[RunGroup] | None:
    """The groups that the arguments name; None where all are plain files.

    A pattern (``*``, ``?``, ``[...]``, ``**`` for folders of any depth) stands for the files that
    fit, in the order of their names.

    Raises:
        EvaluationError: Some are groups and some are not, a name cannot head a column, or a pattern
            fits no file.
    """
    named = [argument for argument in arguments if _is_group(argument)]
    if not named:
        return None
    if len(named) < len(arguments):
        plain = [argument for argument in arguments if argument not in named]
        raise EvaluationError(
            f"groups of runs beside a plain file: {', '.join(plain)}",
            expected="files alone, or groups NAME=FILE[,FILE...] alone",
            hint=f"name its group, as in fam={plain[0]}; commas, not spaces, stand between a "
            "group's files",
        )
    return [_group(argument) for argument in named]


def _is_group(argument: str) -> bool:
    name, equals, _ = argument.partition("=")
    return bool(equals) and os.sep not in name and not Path(argument).is_file()


def _group(argument: str) -> RunGroup:
    name, _, files = argument.partition("=")
    if not NAME.fullmatch(name):
        raise EvaluationError(
            f"{name!r} cannot name a group of runs",
            at=argument,
            expected="up to 20 letters, digits and _ . + -, before the =",
        )
    return RunGroup(name, tuple(file for item in files.split(",") for file in _found(item, name)))


def _found(item: str, name: str) -> list[Path]:
    item = item.strip()
    if not item:
        raise EvaluationError(
            "a file's name is missing",
            at=f"{name}=",
            expected="NAME=FILE[,FILE...] without a comma too many",
            hint=USAGE,
        )
    path = Path(item).expanduser()
    if path.is_file() or not PATTERN.search(item):
        return [path]
    fitting = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    # Archives of macOS leave hidden twins of files behind.
    if found := sorted(file for file in fitting if file.is_file() and file.name[0] != "."):
        return found
    raise EvaluationError(
        f"no file fits the pattern {item!r}",
        at=f"{name}=",
        expected=f"result files below {Path.cwd()}" if not path.is_absolute() else None,
        hint="wsoltool test --json FILE writes them",
    )
