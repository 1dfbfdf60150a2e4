"""Unpacking archives, never outside of the folder that was named."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from wsoltool.errors import DataError

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
)
_BLOCK = 1 << 20
_AGAIN = "run the same command to unpack it again"


def is_archive(path: Path) -> bool:
    """Whether a file is a tar (compressed or not) or zip archive, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path) -> int:
    """Write an archive's files below a folder; files that are there are replaced.

    Args:
        archive: tar, compressed or not, or zip.
        folder: Made if needed.

    Returns:
        How many files were written.

    Raises:
        DataError: The archive is damaged, holds links or devices, or names a place outside of
            ``folder``; or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = _opened_zip if zipfile.is_zipfile(archive) else _opened_tar
    count = 0
    try:
        with opened(archive) as members:
            for name, open_member in members:
                path = _place(folder, name, archive)
                path.parent.mkdir(parents=True, exist_ok=True)
                with open_member() as content, path.open("wb") as file:
                    shutil.copyfileobj(content, file, _BLOCK)
                count += 1
    except DAMAGE as error:
        raise DataError(f"the archive is damaged: {error}", at=str(archive)) from error
    except OSError as error:
        raise DataError(
            f"the archive cannot be unpacked: {error.strerror or error}",
            at=str(error.filename or folder),
            hint=_AGAIN,
        ) from error
    return count


Members = Iterator[tuple[str, Callable[[], IO[bytes]]]]


@contextmanager
def _opened_tar(path: Path) -> Iterator[Members]:
    with tarfile.open(path) as archive:

        def members() -> Members:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise _refused(path, member.name, "is a link or a device")
                yield member.name, partial(_content, archive, member)
            # The checksum of compressed data stands at its end, behind the last member.
            while archive.fileobj is not None and archive.fileobj.read(_BLOCK):
                pass

        yield members()


@contextmanager
def _opened_zip(path: Path) -> Iterator[Members]:
    with zipfile.ZipFile(path) as archive:

        def members() -> Members:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                if (member.external_attr >> 28) == 0xA:  # Unix file type: a symbolic link
                    raise _refused(path, member.filename, "is a link or a device")
                if member.flag_bits & 1:
                    raise _refused(path, member.filename, "is encrypted")
                yield member.filename, partial(archive.open, member)

        yield members()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None, "regular files have content"
    return content


def _place(folder: Path, name: str, archive: Path) -> Path:
    """Where a member goes; links that lie there already are followed to see where they lead."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise _refused(archive, name, "lies outside of the folder to unpack to")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _refused(archive, name, "would be written through a link to another folder")
    return path


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(
        f"the archive's member {name!r} {why}",
        at=str(archive),
        expected="files and folders alone",
        hint="unpack it by hand if you trust it",
    )
