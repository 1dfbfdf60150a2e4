"""What a stage leaves beside its artefacts: ``stage.json``, by which later runs know it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from wsoltool import __version__
from wsoltool.errors import CheckpointError, ConfigError, WorkDirError
from wsoltool.paths import file_sha256, whole_file

RECORD = "stage.json"
RUNNING, FINISHED = "running", "finished"
_FORMAT = "wsoltool stage 1"
_SHOWN_LETTERS = 60


class _Absent:
    """What stands where one of two settings has nothing."""

    def __repr__(self) -> str:
        return "(none)"


_ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file that a stage left: its size in bytes, and what it holds."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What is known of a stage that was begun.

    Attributes:
        name: Of the stage.
        settings: Whatever its artefacts follow from, as JSON has it.
        needs: Needed stage -> :attr:`identity` of what that one had left.
        artefacts: File -> what it held when the stage finished.
        state: ``running`` until it finished, also where it was stopped; then ``finished``.
        version: Of the toolbox.
    """

    name: str
    settings: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    artefacts: Mapping[str, Artefact] = field(default_factory=dict)
    state: str = RUNNING
    version: str = __version__

    @property
    def finished(self) -> bool:
        return self.state == FINISHED

    @property
    def identity(self) -> str:
        """Differs wherever settings, needed artefacts or artefacts differ; a SHA-256."""
        artefacts = {name: artefact.sha256 for name, artefact in self.artefacts.items()}
        told = [self.name, self.settings, self.needs, artefacts]
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def plain_settings(settings: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Settings as JSON gives them back: lists for tuples, strings for keys.

    Raises:
        ConfigError: Something in them is no plain data.
    """
    try:
        return json.loads(json.dumps(settings))
    except (TypeError, ValueError) as error:
        expected = "dicts, lists, strings, numbers, True, False and None"
        raise ConfigError(f"no plain data: {error}", at=at, expected=expected) from error


def write_record(folder: Path, record: StageRecord) -> None:
    """Write ``stage.json``, whole or not at all."""
    content = {"format": _FORMAT, **asdict(record)}
    with whole_file(folder / RECORD) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_record(folder: Path) -> StageRecord | None:
    """What ``stage.json`` says; None where the folder is empty or not there.

    Raises:
        CheckpointError: The file is damaged.
        WorkDirError: The folder holds files of something else.
    """
    path = folder / RECORD
    if not path.is_file():
        _refuse_strange(folder)
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        artefacts = {name: Artefact(**entry) for name, entry in content.pop("artefacts").items()}
        record = StageRecord(**content, artefacts=artefacts)
        if not _is_sound(record):
            raise ValueError("values of another kind")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise CheckpointError(
            f"the record of a stage cannot be read: {error}",
            at=str(path),
            expected="what wsoltool train wrote",
            hint=f"--redo {folder.name} runs the stage anew",
        ) from error
    return record


def _is_sound(record: StageRecord) -> bool:
    return (
        isinstance(record.name, str)
        and isinstance(record.settings, dict)
        and isinstance(record.needs, dict)
        and record.state in (RUNNING, FINISHED)
    )


def _refuse_strange(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise WorkDirError("a file stands where a stage's folder is to be", at=str(folder))
    # Of a record that was being written when the process was killed.
    parts = f".{RECORD}."
    if folder.is_dir() and any(not path.name.startswith(parts) for path in folder.iterdir()):
        raise WorkDirError(
            "the folder of a stage holds files of something else",
            at=str(folder),
            expected=f"nothing, or {RECORD} among them",
            hint="name another --work-dir, or move them away",
        )


def artefact_of(path: Path) -> Artefact:
    """Size and content of a file."""
    return Artefact(path.stat().st_size, file_sha256(path))


def is_unchanged(path: Path, artefact: Artefact) -> bool:
    """Whether a file is still there and holds what it held."""
    # The size first: it costs nothing.
    return path.is_file() and path.stat().st_size == artefact.size and artefact_of(path) == artefact


def differences(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Where two settings differ: dotted key, old and new value.

    Args:
        old: Plain data.
        new: Plain data.
        at: Dotted path of both.

    Example:
        >>> old = {"train_cfg": {"max_epochs": 2}, "scales": [1, 2]}
        >>> list(differences(old, {"train_cfg": {"max_epochs": 3}, "scales": [1], "seed": 0}))
        ['scales[1]: 2 -> (none)', 'seed: (none) -> 0', 'train_cfg.max_epochs: 2 -> 3']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
            yield from differences(before, after, f"{at}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (before, after) in enumerate(zip_longest(old, new, fillvalue=_ABSENT)):
            yield from differences(before, after, f"{at}[{index}]")
    elif old != new or type(old) is not type(new):
        yield f"{at}: {' -> '.join(_shown(old, new))}"


def _shown(old: Any, new: Any) -> tuple[str, str]:
    """Two values that differ, cut so that the first letter in which they do is among the shown."""
    before, after = repr(old), repr(new)
    pairs = enumerate(zip(before, after, strict=False))
    alike = next((i for i, (a, b) in pairs if a != b), min(len(before), len(after)))
    is_seen = max(len(before), len(after)) <= _SHOWN_LETTERS or alike < _SHOWN_LETTERS // 2
    start = 0 if is_seen else alike - _SHOWN_LETTERS // 3
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int) -> str:
    kept = f"... {text[start:]}" if start else text
    return kept if len(kept) <= _SHOWN_LETTERS else f"{kept[: _SHOWN_LETTERS - 4]} ..."
