"""What several commands read from their arguments."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console

from wsoltool.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_WORDS = {"true": True, "false": False}


def config_of(arguments: argparse.Namespace) -> Config:
    """The command's config with its ``--cfg-options`` applied."""
    from wsoltool.config import load_config

    return load_config(arguments.config, parse_options(arguments.cfg_options))


def figures_console() -> Console:
    """Where tables of figures go: as wide as the terminal, or 120 characters in a file.

    Lines that name files are for ``print``: brackets in a path are no markup, nor is it wrapped.
    """
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 120
    return console


def parse_options(options: Iterable[str], flag: str = "--cfg-options") -> dict[str, Any]:
    """``KEY=VALUE`` strings as a dict, see :func:`parse_value`.

    Args:
        options: The strings.
        flag: The command's option that they follow, for messages.

    Raises:
        ConfigError: One is no ``KEY=VALUE``, or its brackets do not match.
    """
    values = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not key or not equals:
            raise ConfigError(f"{flag} {option!r}", expected="KEY=VALUE")
        try:
            values[key] = parse_value(text)
        except ConfigError as error:
            raise error.located(f"{flag} {option}") from None
    return values


def parse_value(text: str) -> Any:
    """A value as it is typed into a shell.

    Numbers, ``None``, ``True``, brackets and quoted strings are read as Python has them, commas
    make a list, and all else is a string, spaces included.

    Raises:
        ConfigError: Brackets or quotes do not match.

    Example:
        >>> parse_value("1.0,1.5"), parse_value("[tight, (1, 2)]"), parse_value("/my photos/x")
        ([1.0, 1.5], ['tight', (1, 2)], '/my photos/x')
    """
    text = text.strip()
    items = _split(text)
    if len(items) > 1:
        return [parse_value(item) for item in items if item.strip()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if text[:1] in ("(", "[") and text.endswith(_CLOSING[text[0]]):
            inner = [parse_value(item) for item in _split(text[1:-1]) if item.strip()]
            return tuple(inner) if text[0] == "(" else inner
        return _WORDS.get(text, text)


def _split(text: str) -> list[str]:
    """The parts between the commas that no bracket and no quote encloses."""
    parts, open_brackets, quote = [""], [], ""
    for character in text:
        begins = parts[-1].rstrip()[-1:] in "([{,:"  # an item, in which marks have a meaning
        if quote:
            quote = "" if character == quote and not parts[-1].endswith("\\") else quote
        elif character in "'\"" and begins:
            quote = character
        elif character in _CLOSING and begins:
            open_brackets.append(_CLOSING[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        elif character == "," and not open_brackets:
            parts.append("")
            continue
        parts[-1] += character
    if open_brackets or quote:
        raise ConfigError(f"{text!r} lacks a closing {quote or open_brackets[-1]}")
    return parts
