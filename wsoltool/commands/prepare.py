"""``wsoltool prepare READER SRC DST``."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from wsoltool.commands.progress import with_progress

if TYPE_CHECKING:
    from wsoltool.datasets.readers.base import RecordReader
    from wsoltool.preparation.preparation import Outcome, Request


def run(arguments: argparse.Namespace) -> int:
    from wsoltool.paths import whole_file, writable_file
    from wsoltool.preparation.preparation import prepare
    from wsoltool.preparation.report import report

    # An hour of checking must not end at a file that cannot be written.
    figures_file = arguments.json and writable_file(arguments.json, "--json")
    request = _request(arguments)
    if arguments.download:
        _download(request)
    _check_source(request)
    if sys.stderr.isatty():
        print(f"reading what {request.root} lists ...", file=sys.stderr)
    outcome = prepare(request, partial(with_progress, doing="checking"))
    _print(request, outcome)
    if figures_file:
        with whole_file(figures_file) as file:
            file.write((json.dumps(report(request, outcome), indent=2) + "\n").encode())
        print(f"figures: {figures_file}")
    return 0 if outcome.written else 1


def _request(arguments: argparse.Namespace) -> Request:
    from wsoltool.engine.map_evaluation import default_workers
    from wsoltool.preparation.preparation import Request

    name, options = arguments.reader, reader_options(arguments.option)
    if name.endswith(".py"):
        name, options = _named_by(name, options)
    return Request(
        reader=_reader(name, options),
        name=name,
        options=options,
        root=arguments.source,
        folder=arguments.folder,
        quarantine=arguments.quarantine,
        subset=arguments.subset,
        headers_only=arguments.headers_only,
        near_bits=arguments.near_duplicates,
        workers=arguments.workers or default_workers(),
    )


def _named_by(config: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and options of the one reader that a config's data sets have.

    Args:
        config: Its file, or the name of a bundled one.
        options: What was asked for beside, which goes first.

    Raises:
        ConfigError: The data sets have no reader, or not all the same.
    """
    from wsoltool.config import innermost_dataset, load_config, plain
    from wsoltool.errors import ConfigError

    loaded = load_config(config)
    loaders = [plain(loaded[key]) for key in loaded if key.endswith("_dataloader")]
    readers = [innermost_dataset(loader, "")[0].get("reader") for loader in loaders]
    distinct = {json.dumps(reader, sort_keys=True): reader for reader in readers if reader}
    if len(distinct) != 1:
        raise ConfigError(
            f"the config's data sets have {len(distinct) or 'no'} readers",
            at=str(loaded.filename),
            expected="one, with the same options in all dataloaders",
            hint="name the reader itself, as in `wsoltool prepare CUB200 SRC DST`",
        )
    reader = distinct.popitem()[1]
    return reader.pop("type"), {**reader, **options}


def _reader(name: str, options: dict[str, Any]) -> RecordReader:
    from wsoltool.plugin.manager import Catalogue

    kinds = ("data set reader",)
    return Catalogue(kinds=kinds).build(kinds, {"type": name, **options}, "reader")


def reader_options(options: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` strings as a reader's arguments; dots make dicts.

    Raises:
        ConfigError: One is no ``KEY=VALUE``, or contradicts another.

    Example:
        >>> reader_options(["fullsup_share=0.1", "parts.train-weaksup=train", "parts.test=val"])
        {'fullsup_share': 0.1, 'parts': {'train-weaksup': 'train', 'test': 'val'}}
    """
    from wsoltool.commands.options import parse_options
    from wsoltool.errors import ConfigError

    values: dict[str, Any] = {}
    for dotted, value in parse_options(options, "--option").items():
        *folders, last = dotted.split(".")
        node = values
        for folder in folders:
            node = node.setdefault(folder, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--option {dotted}: {folder} has a value of its own")
        node[last] = value
    try:
        json.dumps(values)
    except TypeError as error:
        raise ConfigError(f"--option: {error}, but the index keeps all options as JSON") from None
    return values


def _check_source(request: Request) -> None:
    """Say how a data set that is not there is got."""
    from wsoltool.errors import DataError
    from wsoltool.paths import data_path

    if request.root.is_dir():
        _check_finished(request)
        return
    if request.root.exists():
        raise DataError(
            "a file stands where the data set's folder should",
            at=str(request.root),
            expected=f"the folder of {request.name}",
            hint="unpack an archive first, and give the folder it was unpacked to",
        )
    hint = "fetch it by hand: this reader may download nothing"
    if request.reader.downloads:
        hint = f"--download fetches it from {request.reader.downloads[0].url}"
    if data_path(request.root).is_dir():
        hint = f"did you mean {data_path(request.root)}?"
    raise DataError(
        "the data set's folder does not exist",
        at=str(request.root),
        expected=f"the folder of {request.name}",
        hint=hint,
    )


def _check_finished(request: Request) -> None:
    """Refuse a folder that a download has not filled yet."""
    from wsoltool.errors import DataError
    from wsoltool.preparation.downloads import unfinished

    if begun := unfinished(request.root):
        raise DataError(
            f"the download is not finished: {', '.join(begun)}",
            at=str(request.root),
            hint="go on with --download",
        )


def _download(request: Request) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from wsoltool.preparation.downloads import download

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:
        task = p.add_task("", total=None)

        def told(text: str) -> None:
            p.console.print(text, markup=False, highlight=False, soft_wrap=True)

        def shown(have: int, total: int | None) -> None:
            p.update(task, completed=have, total=total)

        try:
            download(request.reader, request.root, shown, told)
        except KeyboardInterrupt as stop:
            again = "stopped; run the same command to go on with the download"
            raise KeyboardInterrupt(again) from stop


def _print(request: Request, outcome: Outcome) -> None:
    from wsoltool.commands.options import figures_console
    from wsoltool.preparation.lists import PROBLEMS
    from wsoltool.preparation.report import problem_lines, summary_table, warning_lines

    figures_console().print(summary_table(outcome))
    for line in warning_lines(outcome):
        print(f"warning: {line}", file=sys.stderr)
    speed = f": {outcome.fresh / outcome.seconds:,.0f} images/s" if outcome.fresh else ""
    known = outcome.images - outcome.fresh
    remembered = f", {known:,} checked before" if known else ""
    plural = "s" * (outcome.fresh != 1)
    print(f"{outcome.fresh:,} image{plural} in {outcome.seconds:.1f} s{speed}{remembered}")
    if outcome.near is not None:
        _print_near(request, outcome)
    if outcome.bad:
        number = f"{len(outcome.bad):,} problems" if len(outcome.bad) > 1 else "1 problem"
        print(f"{number}: {request.folder / PROBLEMS}")
        print(*problem_lines(outcome), sep="\n")
    print(_verdict(request, outcome))


def _print_near(request: Request, outcome: Outcome) -> None:
    from wsoltool.preparation.lists import NEAR

    assert outcome.near is not None
    listed = f": {request.folder / NEAR}" if outcome.near else ""
    print(f"{len(outcome.near):,} pairs of near-duplicates in different splits{listed}")


def _verdict(request: Request, outcome: Outcome) -> str:
    from wsoltool.preparation.preparation import has_index

    if outcome.written:
        # A relative data_root would lie below $WSOLTOOL_DATA.
        return f'index: data_root="{request.folder.resolve()}"'
    old = "the index of an earlier run stays; " if has_index(request.folder) else ""
    return f"no index was written: {old}mend these, or go on without them with --quarantine"
