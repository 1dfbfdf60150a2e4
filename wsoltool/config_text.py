"""Configs written down as Python, in their own order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from mmengine.config import Config

_WIDTH = 100


class OrderedConfig(Config):
    """A config whose text keeps the order of its keys, which is that of groups of inserts.

    mmengine's own sorts the keys of every dict, and takes seconds for long configs.
    """

    @property
    def pretty_text(self) -> str:
        """The config as Python, which :func:`~wsoltool.config.load_config` reads back."""
        return python_text(self.to_dict())


def python_text(tree: Mapping[str, Any]) -> str:
    """One assignment for each key, in lines of at most 100 characters where that can be.

    Args:
        tree: Identifiers and what they hold: dicts, lists, tuples, strings, numbers and None.

    Example:
        >>> print(python_text({"work_dir": "runs", "model": {"type": "Localizer", "inserts": ()}}))
        work_dir = 'runs'
        model = dict(type='Localizer', inserts=())
        <BLANKLINE>
    """
    return "".join(_text(f"{key} = ", value, _WIDTH) + "\n" for key, value in tree.items())


def _text(label: str, value: Any, width: int) -> str:
    flat = label + _flat(value)
    if len(flat) < width or not value or not isinstance(value, (Mapping, list, tuple)):
        return flat
    opening, items, closing = _parts(value)
    rows = ",\n".join(_text(name, item, width - 4) for name, item in items)
    inside = rows.replace("\n", "\n    ")
    return f"{label}{opening}\n    {inside},\n{closing}"


def _flat(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        opening, items, closing = _parts(value)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return opening + ", ".join(label + _flat(item) for label, item in items) + comma + closing
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Opening, (label, item) of each, closing."""
    if not isinstance(value, Mapping):
        opening, closing = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        return opening, [("", item) for item in value], closing
    if all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in value):
        return "dict(", [(f"{key}=", item) for key, item in value.items()], ")"
    return "{", [(f"{key!r}: ", item) for key, item in value.items()], "}"
