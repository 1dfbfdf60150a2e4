"""Files of weights, local or downloaded: tensors by name, and nothing that could run code."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch
from safetensors.torch import load_file
from torch import Tensor

from wsoltool.errors import CheckpointError, ConfigError
from wsoltool.paths import data_home, file_sha256

StateDict = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model")
_SCHEMES = ("https", "http", "file")


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a ``.safetensors`` or torch file, on the CPU; no code in it is run.

    Raises:
        CheckpointError: Missing, damaged, or holding anything but tensors by name.
    """
    if not path.is_file():
        raise CheckpointError(
            "no such weights file",
            at=str(path),
            hint=f"relative paths start at {data_home()} (environment variable WSOLTOOL_DATA)",
        )
    # A damaged file can fail anywhere in the readers, with any exception.
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"weights file cannot be read: {type(error).__name__}: {first_line(error)}",
            at=str(path),
            expected="a whole file of plain tensors",
            hint="fetch it again; files with pickled objects are refused: they can run code",
        ) from error
    return _tensors_of(content, path)


def _tensors_of(content: object, path: Path) -> StateDict:
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        what = f"the file holds no state dict but {type(content).__name__}"
        raise CheckpointError(what, at=str(path), expected="tensors by name")
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(
            "the file holds more than tensors: " + ", ".join(others[:10]),
            at=str(path),
            expected="tensors by name, at the top or under " + " or ".join(_WRAPPERS),
        )
    return dict(content)


def check_source(url: object, sha256: object) -> None:
    """Refuse what is no address of a file, or no hash.

    Raises:
        ConfigError: With the value and what it should be.
    """
    parts = urlsplit(url) if isinstance(url, str) else None
    named = _file_name(str(url)) not in ("", ".", "..")
    if parts is None or parts.scheme not in _SCHEMES or not named:
        what = f"pretrained: url={url!r}"
        raise ConfigError(
            what, expected="'https://.../<name of the file>'; http: and file: work too"
        )
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(sha256)):
        raise ConfigError(f"pretrained: sha256={sha256!r}", expected="64 hexadecimal digits")


def fetch_state_dict(url: str, sha256: str | None = None) -> StateDict:
    """The tensors of a file behind an address, downloaded once.

    It is kept in ``checkpoints`` in torch's hub folder (``$TORCH_HOME/hub``), in a folder for its
    address: two files of the same name are never mistaken for each other. Only a file that is
    whole, readable and of the right hash gets there.

    Args:
        url: ``https``, ``http`` or ``file``; a name that ends with ``.safetensors`` says that it
            is no torch file.
        sha256: Of the file, 64 hexadecimal digits; checked at every use.

    Raises:
        CheckpointError: It cannot be had, was cut short, has another hash, or cannot be read.
    """
    address = hashlib.sha256(url.encode()).hexdigest()[:12]
    target = Path(torch.hub.get_dir()) / "checkpoints" / address / _file_name(url)
    if target.is_file():
        remedy = f"delete {target}, and it is fetched again"
        return _checked(target, url, sha256, remedy)
    # Of its own for each process; the suffix tells the format.
    partial = target.with_name(f"{os.getpid()}.partial-{target.name}")
    try:
        _download(url, partial, target)
        state = _checked(partial, url, sha256, "the download may have been cut short: try again")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return state


def _download(url: str, partial: Path, target: Path) -> None:
    # Offline, refused by the server, no space: each its own exception type.
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(partial), progress=True)
    except Exception as error:
        raise CheckpointError(
            f"the weights cannot be had: {type(error).__name__}: {first_line(error)}",
            at=url,
            hint=f"put the file at {target} yourself, or give it with pretrained=dict(file=...)",
        ) from error


def _checked(path: Path, url: str, sha256: str | None, remedy: str) -> StateDict:
    """The tensors of a file that came from ``url``."""
    if sha256 is not None and (found := file_sha256(path)) != sha256.lower():
        raise CheckpointError(
            f"the weights' SHA-256 is {found}",
            at=url,
            expected=sha256.lower(),
            hint=f"{remedy}; or the file behind the address was changed",
        )
    try:
        return read_state_dict(path)
    except CheckpointError as error:
        raise CheckpointError(
            error.what, at=url, expected=error.expected, hint=f"{remedy}; {error.hint}"
        ) from error


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def first_line(error: Exception) -> str:
    """What an exception says, without what follows."""
    return (str(error).splitlines() or [""])[0]
