"""Fetching and unpacking a data set that anyone may fetch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from wsoltool.datasets.readers.base import Download, RecordReader
from wsoltool.errors import DataError
from wsoltool.preparation.archives import is_archive, unpack
from wsoltool.preparation.fetching import Shown, fetch, md5_of

#: Folder below the data set's, of what has arrived and of what is done.
FOLDER = ".downloads"


def download(
    reader: RecordReader, root: Path, shown: Shown, told: Callable[[str], None] = print
) -> None:
    """Fetch all that a reader's data set consists of, and unpack it below ``root``.

    Goes on where an earlier call stopped: in the middle of a file, or before unpacking it. An
    archive is removed once it is unpacked; one that lies in ``root`` already is used and stays.

    Args:
        reader: That says what there is.
        root: The data set's folder; made if needed, otherwise empty or from an earlier call.
        shown: Is told of the progress of a file.
        told: Is told what is done.

    Raises:
        DataError: The reader may fetch nothing, ``root`` holds other files, or a file cannot be
            fetched, is not the expected one, or cannot be unpacked.
    """
    name = type(reader).__name__
    if not reader.downloads:
        raise DataError(
            f"the data set of {name} cannot be fetched by wsoltool",
            expected="a reader with addresses that anyone may fetch from",
            hint="register at the data set's site or fetch it by hand, unpack it to SRC, and leave"
            " --download out",
        )
    _check_folder(root, reader.downloads)
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for item in reader.downloads:
        _get(item, root, shown, told)


def unfinished(root: Path) -> list[str]:
    """Files in ``root`` whose download or unpacking was begun and has not ended."""
    parts = [p.name.removesuffix(".part") for p in (root / FOLDER).glob("*.part")]
    # An archive is removed once it is unpacked.
    known = (".part", ".json", ".done")
    whole = [p.name for p in (root / FOLDER).glob("*") if p.suffix not in known]
    return sorted({*parts, *whole})


def file_name(item: Download) -> str:
    """What a fetched file is called.

    Example:
        >>> file_name(Download("https://example.org/files/a%20b.tgz?download=1", md5=""))
        'a b.tgz'
    """
    return PurePosixPath(unquote(urlsplit(item.url).path)).name


def _check_folder(root: Path, items: Sequence[Download]) -> None:
    if not root.exists() or (root / FOLDER).is_dir():
        return
    expected = {file_name(item) for item in items}  # fetched by hand
    others = sorted(path.name for path in root.iterdir() if path.name not in expected)
    if others:
        raise DataError(
            f"the folder already holds files: {', '.join(others[:3])}",
            at=str(root),
            expected=f"a new or empty folder, or one with {' and '.join(sorted(expected))}",
            hint="leave --download out to use what is there",
        )


def _get(item: Download, root: Path, shown: Shown, told: Callable[[str], None]) -> None:
    name, target = file_name(item), root / item.folder
    done = root / FOLDER / f"{name}.done"
    if done.is_file() and done.read_text("utf-8") == item.md5:
        told(f"{name}: there already; to fetch it again, remove {done}")
        return
    own = root / name
    path = own if own.is_file() else root / FOLDER / name
    if path == own and md5_of(own) != item.md5:
        raise DataError(
            "the file is not the one that its authors publish",
            at=str(own),
            expected=f"md5 {item.md5}",
            hint="remove it, and it is fetched anew",
        )
    if not path.is_file() or md5_of(path) != item.md5:
        path.unlink(missing_ok=True)
        told(f"fetching {item.url}")
        fetch(item.url, item.md5, path, shown)
    _place(path, target, own, told)
    done.write_text(item.md5, "utf-8")
    if path != own:
        path.unlink(missing_ok=True)


def _place(path: Path, target: Path, own: Path, told: Callable[[str], None]) -> None:
    """Unpack an archive, or put any other file where it belongs."""
    if is_archive(path):
        told(f"unpacking {path.name}")
        told(f"{path.name}: {unpack(path, target):,} files")
        return
    target.mkdir(parents=True, exist_ok=True)
    place = target / path.name
    if path != own:
        path.replace(place)
    elif place != own:
        shutil.copyfile(path, place)
