"""The ``wsoltool`` command: parses, dispatches, and prints expected errors in plain words.

Importing this module imports no torch; a command's own module is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from wsoltool import __version__
from wsoltool.commands import compare_options, evaluate_options, prepare_options
from wsoltool.errors import WsolError

#: Command -> what it does; the module ``wsoltool.commands.<name>`` runs it.
COMMANDS: dict[str, str] = {
    "prepare": "check a data set's files and write its index",
    "data": "what a config's data sets hold, as a table and contact sheets",
    "train": "train a localizer from a config",
    "test": "score a checkpoint: one table, and a gallery of pictures",
    "evaluate": "score maps of any tool: <image id>.npy against boxes or masks",
    "compare": "what differs between evaluations of the same images",
    "localize": "boxes for photos: JSON, CSV and overlays",
    "check": "find all mistakes of a config without running it",
    "complexity": "parameters, multiply-adds, memory; insert points",
    "plugins": "list the installed plugins, or what one of them offers",
    "new-plugin": "make a plugin package to start a method from",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if it succeeded, 1 after an expected error, 130 when interrupted."""
    arguments = build_parser().parse_args(argv)
    try:
        module = import_module(f"wsoltool.commands.{arguments.command.replace('-', '_')}")
        code = module.run(arguments) or 0
        sys.stdout.flush()
        return code
    except WsolError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(stop.args[0] if stop.args else "stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as head, has had enough: there is nowhere to write the rest to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsoltool",
        description="Weakly supervised object localization: train with image labels, get boxes.",
    )
    parser.add_argument("--version", action="version", version=f"wsoltool {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _ARGUMENTS[name](command)
        command.add_argument(
            "--debug", action="store_true", help="show the traceback of expected errors too"
        )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="config file, or a bundled one's name")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="override parts of the config, as in model.fusion.scales=1.0,1.5 (commas make a"
        " list, quotes inside the value keep them)",
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work-dir", type=Path, help="folder of logs and checkpoints")
    parser.add_argument(
        "--launcher", default="none", help="pytorch when started by torchrun (default: none)"
    )


def _train(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    _run(parser)
    parser.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    parser.add_argument(
        "--redo",
        nargs="+",
        default=[],
        metavar="STAGE",
        help="begin these stages of the config anew, and all that need them",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--seed", type=int, help="instead of the config's randomness.seed")


def _test(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    _checkpoint(parser)
    _run(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument(
        "--maps",
        type=Path,
        metavar="DIR",
        help="write the map of each test image's true class, as evaluate reads them; of several"
        " true classes, a folder of maps",
    )
    parser.add_argument("--gallery", type=Path, metavar="DIR", help="write pictures and a page")
    parser.add_argument(
        "--gallery-size", type=_count, default=24, metavar="N", help="pictures (default: 24)"
    )


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    # Optional for argparse, so that the command can say where checkpoints lie.
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help="from wsoltool train")


def _localize(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="from wsoltool train")
    parser.add_argument("images", metavar="IMAGES", nargs="+", help="files or folders")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    parser.add_argument(
        "--top",
        type=_count,
        metavar="N",
        help="classes for each image, the surest first (default: 1; with --min-score, any number)",
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="P",
        help="localize only classes of probability P or more; an image may have none",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="localize these instead of the predicted ones"
    )
    parser.add_argument("--no-overlays", action="store_true", help="write boxes only")


def _data(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="contact sheets go here (default: work_dirs/<config>/data)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument(
        "--images", type=_count, default=24, metavar="N", help="on each sheet (default: 24)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")


def _complexity(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument(
        "--size",
        type=_count,
        nargs="+",
        metavar=("SIDE", "WIDTH"),
        help="of the input, a side or height and width (default: what the config's pipelines make)",
    )
    parser.add_argument(
        "--depth",
        type=_count,
        metavar="N",
        help="rows by the first N parts of the modules' names (default: by stage)",
    )
    parser.add_argument("--points", action="store_true", help="list where modules can be inserted")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")


def _plugins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="show one plugin's components")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def _new_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a Python name, such as my_cam")
    parser.add_argument("dir", nargs="?", type=Path, metavar="DIR", help="where (default: ./NAME)")


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "prepare": prepare_options.add_to,
    "train": _train,
    "test": _test,
    "evaluate": evaluate_options.add_to,
    "compare": compare_options.add_to,
    "localize": _localize,
    "check": _config,
    "data": _data,
    "complexity": _complexity,
    "plugins": _plugins,
    "new-plugin": _new_plugin,
}
