"""What ``wsoltool prepare`` takes; imports nothing heavy, for every command's parser reads it."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  wsoltool prepare CUB200 CUB_200_2011 prepared/cub --option fullsup_share=0.1
  fetch it first, into a new folder:
    wsoltool prepare CUB200 downloads/cub prepared/cub --download
  go on without bad files, which every result table then tells:
    wsoltool prepare ImageFolders photos prepared/photos --quarantine
  with reader and options of a config, which then trains on it by data_root="prepared/cub" alone:
    wsoltool prepare configs/_base_/datasets/cub_native.py CUB_200_2011 prepared/cub

DST gets the index, problems.csv (split, image, kind, reason, remedy) and notes.csv. Stopped, by
whatever, it goes on where it was. Exit code 1, and no index, when anything is wrong; --quarantine
changes that. SRC is only read. `wsoltool plugins core` lists the readers and their options.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add every argument and the examples."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "reader",
        metavar="READER",
        help="how the data set lies on disk, such as CUB200, or a config that says it",
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="the data set's folder")
    parser.add_argument("folder", type=Path, metavar="DST", help="folder of the index")
    parser.add_argument(
        "--option",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the reader, as in fullsup_share=0.1 or parts.test=val",
    )
    parser.add_argument(
        "--quarantine", action="store_true", help="leave out what is bad, and write the index"
    )
    parser.add_argument(
        "--subset",
        action="store_true",
        help="SRC is meant to hold a part of the published images: other counts are no problem",
    )
    parser.add_argument(
        "--headers-only",
        action="store_true",
        help="check existence, completeness and sizes without decoding pixels: far faster, but"
        " damage inside a file stays unseen",
    )
    parser.add_argument(
        "--near-duplicates",
        nargs="?",
        type=_bits,
        const=3,
        metavar="BITS",
        help="search for pictures that look nearly the same in two splits, with fingerprints that"
        " differ in so many of 64 bits, 0 to 11 (default: 3): near_duplicates.csv and .png",
    )
    parser.add_argument(
        "--workers", type=_workers, metavar="N", help="threads (default: one a core)"
    )
    parser.add_argument(
        "--download", action="store_true", help="first fetch to SRC what may be fetched; resumes"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")


def _bits(text: str) -> int:
    if not text.isdecimal() or int(text) > 11:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 11")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
