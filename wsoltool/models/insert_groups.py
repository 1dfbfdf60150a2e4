"""``model.inserts`` of a config: a list of inserts, or named groups that can be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wsoltool.errors import ConfigError, unknown_keys

_KEYS = ("at", "module")
_INSERT = "dict(at=..., module=dict(type=...))"
_INSERTS = f"[{_INSERT}], or dict(group=...) with an insert, a list of them or None"


def insert_entries(inserts: Any, at: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The inserts in the order in which they act at a point: that of the groups, then the lists'.

    Args:
        inserts: A list of inserts; or a dict of groups, each an insert, a list of inserts, or
            None, which leaves the group out; or None. The ``at`` of an insert is a point, a glob,
            or a list of them.
        at: Config path of ``inserts``.

    Returns:
        (config path, insert) of each.

    Raises:
        ConfigError: The first of :func:`insert_problems`.

    Example:
        >>> norm = dict(at="stage1", module=dict(type="BatchNorm"))
        >>> groups = dict(bn=[norm, norm], sa=norm, extra=None)
        >>> [path for path, insert in insert_entries(groups, "model.inserts")]
        ['model.inserts.bn[0]', 'model.inserts.bn[1]', 'model.inserts.sa']
    """
    for problem in insert_problems(inserts, at):
        raise problem
    return list(_entries(inserts, at))


def insert_problems(inserts: Any, at: str) -> Iterator[ConfigError]:
    """What is wrong with the shape of ``inserts``; their points and components are not looked up.

    Args:
        inserts: The config's value.
        at: Its config path.
    """
    if isinstance(inserts, Mapping):
        yield from _group_problems(inserts, at)
        if any(key in _KEYS for key in inserts):
            return
    elif inserts is not None and not isinstance(inserts, (list, tuple)):
        yield ConfigError(f"inserts is {inserts!r}", at=at, expected=_INSERTS)
        return
    for here, entry in _entries(inserts, at):
        yield from _entry_problems(entry, here)


def _group_problems(groups: Mapping[Any, Any], at: str) -> Iterator[ConfigError]:
    for name, group in groups.items():
        here = f"{at}.{name}"
        if name in _KEYS:
            what = f"a group of inserts cannot be named {name!r}"
            hint = "a single insert stands in a list, or under its group's name"
            yield ConfigError(what, at=here, expected=_INSERTS, hint=hint)
        elif not isinstance(name, str) or not name.isidentifier():
            expected = "letters, digits and _, so that --cfg-options can name it"
            yield ConfigError(f"a group of inserts is named {name!r}", at=here, expected=expected)
        elif isinstance(group, (Mapping, list, tuple)) and not group:
            hint = "None leaves a group out"
            yield ConfigError(f"the group {name!r} is empty", at=here, expected=_INSERT, hint=hint)


def _entries(inserts: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(inserts, Mapping):
        for name, group in inserts.items():
            here = f"{at}.{name}"
            if isinstance(group, (list, tuple)):
                yield from _entries(group, here)
            elif group is not None and group != {}:
                yield here, group
    else:
        for index, entry in enumerate(inserts or ()):
            yield f"{at}[{index}]", entry


def _entry_problems(entry: Any, at: str) -> Iterator[ConfigError]:
    if not isinstance(entry, Mapping):
        yield ConfigError(f"{entry!r} is no insert", at=at, expected=_INSERT)
        return
    yield from unknown_keys(entry, _KEYS, f"{at}.")
    for key in _KEYS:
        if key not in entry:
            yield ConfigError(f"an insert has no {key}", at=at, expected=_INSERT)
    points = entry.get("at", "")
    several = isinstance(points, (list, tuple)) and points
    if not all(isinstance(point, str) for point in (points if several else [points])):
        expected = "an insert point, or a list of them"
        yield ConfigError(f"at is {points!r}", at=f"{at}.at", expected=expected)
