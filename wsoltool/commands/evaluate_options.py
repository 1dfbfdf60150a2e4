"""What ``wsoltool evaluate`` takes; imports nothing heavy, for every command's parser reads it."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  wsoltool evaluate --maps maps/test --metadata metadata/test --json test.json
  as the wsolevaluation benchmark does it, raw maps included:
    wsoltool evaluate --maps maps/test --metadata metadata/test --protocol wsolevaluation \\
      --normalise --interpolation bicubic
  thresholds chosen on train-fullsup, not on test:
    wsoltool evaluate --maps maps/val --metadata metadata/val --json val.json
    wsoltool evaluate --maps maps/test --metadata metadata/test --fullsup val.json
  masks instead of boxes (OpenImages):
    wsoltool evaluate --maps maps/test --metadata metadata/test --masks data \\
      --protocol wsolevaluation

Exit code 1, and no figures, when a map is bad; --bad-maps changes that.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add every argument and the examples."""
    parser.epilog = EXAMPLES
    _add_inputs(parser)
    _add_rules(parser)
    _add_output(parser)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    def folder(name: str, text: str, required: bool = False) -> None:
        parser.add_argument(name, type=Path, metavar="DIR", required=required, help=text)

    def file(name: str, text: str) -> None:
        parser.add_argument(name, type=Path, metavar="FILE", help=text)

    folder(
        "--maps",
        "float arrays (h, w) of any size, the map of each image's true class, named <image id>.npy"
        " with or without the id's own extension, in the id's folders",
        required=True,
    )
    folder(
        "--metadata",
        "one split's image_ids.txt, class_labels.txt, image_sizes.txt, localization.txt; or"
        " DST/test, where wsoltool prepare wrote to DST",
        required=True,
    )
    folder(
        "--masks",
        "root of the mask files, where localization.txt lists masks: adds pixel figures",
    )
    folder("--images", "the images, whose headers tell their sizes where image_sizes.txt does not")
    file(
        "--scores",
        "lines of image id,class,class,... surest first: adds Top-1 and Top-5 Cls and Loc",
    )
    file(
        "--fullsup",
        "--json file of an evaluation of train-fullsup: adds the thresholds chosen there",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--box-convention",
        choices=("exclusive", "inclusive"),
        help="whether the x1 and y1 of localization.txt are the first pixels outside a box or its"
        " last pixels (default: exclusive; an index knows)",
    )
    parser.add_argument(
        "--protocol",
        nargs="+",
        default=["tight", "wsolevaluation"],
        metavar="NAME",
        help="tight (original image size), wsolevaluation (the benchmark's 224 x 224), or both;"
        " the first one gives the plain keys of --json; one alone takes half the time"
        " (default: tight wsolevaluation)",
    )
    parser.add_argument(
        "--normalise",
        action="store_true",
        help="scale each map to [0, 1] after resizing (min-max); without, values outside are bad",
    )
    parser.add_argument(
        "--interpolation",
        choices=("bilinear", "bicubic"),
        default="bilinear",
        help="for maps that do not fit the protocol's frame; bicubic overshoots and is clipped"
        " unless normalised (default: bilinear)",
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        default=0.2,
        metavar="T",
        help="of the fixed figures, at which each protocol makes its own box (default: 0.2)",
    )
    parser.add_argument(
        "--bad-maps",
        choices=("error", "miss", "skip"),
        default="error",
        help="maps that are missing, damaged, constant or out of range: give no figures and name"
        " them all; count these images as localised by nothing; leave them out (default: error)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument(
        "--resamples",
        type=_count,
        default=1000,
        metavar="N",
        help="of the bootstrap that gives intervals; 0: none (default: 1000)",
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="threads (default: one a core)")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to below 1")
    return value
