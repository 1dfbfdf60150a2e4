"""Fetching one file over HTTP: in pieces where it was cut off, checked by its checksum."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wsoltool.errors import DataError, WsolError

#: Shows how many bytes of how many are there; None where the server does not say.
Shown = Callable[[int, "int | None"], None]

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5  # in a row that bring nothing
_AGAIN = "run the same command to go on where it stopped"


def fetch(url: str, md5: str, path: Path, shown: Shown, pause: float = 1.0) -> None:
    """Fetch a file; what an earlier call left behind is not fetched again.

    ``<name>.part`` holds what has arrived, ``<name>.part.json`` which version of the server's file
    that is. A connection that breaks is made anew, a few times.

    Args:
        url: Where it lies.
        md5: Its checksum in hexadecimal digits.
        path: Where it goes, once it is complete and right.
        shown: Is told of progress.
        pause: Seconds before the second try, twice as many before the third, and so on.

    Raises:
        DataError: There is no connection or no such file, the disk is full, or the content is not
            the expected one; nothing is kept of the latter.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError("only http and https addresses are fetched", at=url)
    part = _Part(path)
    tries = 0
    while True:
        before = part.size()
        try:
            _fetch_rest(url, part, shown)
            break
        except (OSError, http.client.HTTPException) as error:
            tries = 1 if part.size() > before else tries + 1
            if tries >= _TRIES:
                raise _no_connection(url, error) from error
            time.sleep(pause * tries)
    part.finish(url, md5)


class _Part:
    """What has arrived of a file."""

    def __init__(self, path: Path) -> None:
        self.whole = path
        self.path = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """The server's name for the version of which a part has arrived."""
        try:
            noted = json.loads(self.note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return noted.get("validator") if isinstance(noted, dict) else None

    def begin(self, url: str, validator: str | None) -> None:
        """Forget what has arrived, and note what comes now."""
        self.path.unlink(missing_ok=True)
        self.note.write_text(json.dumps({"url": url, "validator": validator}), "utf-8")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def finish(self, url: str, md5: str) -> None:
        """Give the complete file its name, or remove it."""
        found = md5_of(self.path)
        if found != md5.lower():
            size = self.size()
            self.forget()
            raise DataError(
                f"the file that arrived has {size:,} bytes and the md5 sum {found}",
                at=url,
                expected=f"md5 {md5}",
                hint="it was removed; fetch it again, and if that does not help, the file was"
                " changed where it lies",
            )
        self.path.replace(self.whole)
        self.note.unlink(missing_ok=True)


def md5_of(path: Path) -> str:
    """A file's md5 sum in hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetch_rest(url: str, part: _Part, shown: Shown) -> None:
    """Make one connection and append what it brings.

    Raises:
        OSError: The connection fails or ends early.
        DataError: The server refuses, or the disk is too small.
    """
    have, validator = part.size(), part.validator()
    headers = {"User-Agent": "wsoltool", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    if have and validator:
        headers["If-Range"] = validator  # another version of the file is sent as a whole
    response = _open(url, headers, part)
    if response is None:
        return
    with response:
        if response.status != 206:
            part.begin(url, _strong_validator(response))
            have = 0
        elif _start(response) != have:
            raise OSError("the server sent another range than it was asked for")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        _check_space(part.path.parent, total, have, url)
        with part.path.open("ab") as file:
            _append(response, file, have, total, shown)


def _open(url: str, headers: dict[str, str], part: _Part) -> Any:
    """The server's answer; None where nothing is left to come."""
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            if error.headers.get("Content-Range") == f"bytes */{part.size()}":
                return None
            part.forget()
            raise OSError("what had arrived was longer than the file") from error
        if error.code == 429 or error.code >= 500:
            raise OSError(f"the server answers {error.code} {error.reason}") from error
        raise DataError(
            f"the server answers {error.code} {error.reason}",
            at=url,
            hint="the address may have changed: fetch the file by hand, see the data set's page",
        ) from error


def _append(response: Any, file: Any, have: int, total: int | None, shown: Shown) -> None:
    while block := response.read1(_BLOCK):
        try:
            file.write(block)
        except OSError as error:
            raise DataError(
                f"the file cannot be written: {error.strerror}", at=file.name, hint=_AGAIN
            ) from error
        have += len(block)
        shown(have, total)
    if total is not None and have < total:
        raise OSError(f"the connection ended {total - have:,} bytes early")


def _start(response: Any) -> int | None:
    """The first byte that a partial answer holds."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else None


def _strong_validator(response: Any) -> str | None:
    """What names the version of the server's file exactly."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _check_space(folder: Path, total: int | None, have: int, url: str) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and total - have > free:
        raise DataError(
            f"{(total - have) / 1e9:.2f} GB are to come, the disk has {free / 1e9:.2f} GB free",
            at=str(folder),
            hint=f"free some space, or give another SRC; {url} needs room to be unpacked too",
        )


def _no_connection(url: str, error: Exception) -> WsolError:
    reason = getattr(error, "reason", None) or error
    return DataError(
        f"the file cannot be fetched: {reason}", at=url, hint=f"check the network; {_AGAIN}"
    )
