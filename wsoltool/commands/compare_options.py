"""What ``wsoltool compare`` takes; imports nothing heavy, for every command's parser reads it."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  single evaluations, each compared with the first:
    wsoltool compare single.json multi.json
  methods trained with several seeds, a group of runs each, compared with the first group:
    for m in cam fam; do for s in 0 1 2; do
      wsoltool train $m.py --seed $s --work-dir runs/${m}_s$s
      wsoltool test $m.py runs/${m}_s$s/last.pth --json runs/${m}_s$s/result.json
    done; done
    wsoltool compare 'cam=runs/cam_s*/result.json' 'fam=runs/fam_s*/result.json' --markdown table.md

A group is NAME=FILE[,FILE...]; *, ?, [] and ** in FILE stand for the files that fit, in quotes so
that the shell leaves them alone. An argument that is itself the name of a file is no group.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add every argument and the examples."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "first",
        metavar="A.json",
        help="of wsoltool test or evaluate; or NAME=FILES, the runs of one method",
    )
    parser.add_argument(
        "others", nargs="+", metavar="B.json", help="likewise; each is compared with the first"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables to paste into a README"
    )
    parser.add_argument(
        "--resamples", type=_count, default=1000, metavar="N", help="bootstrap (default: 1000)"
    )
    parser.add_argument("--seed", type=_number, default=0, help="of the resamples (default: 0)")


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def _count(text: str) -> int:
    if (number := _number(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number
