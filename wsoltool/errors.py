"""The project's one exception tree: what, where, what was expected, what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import partial
from typing import TypeGuard


def near_name(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``name`` was most likely meant to be, or None."""
    candidates = list(candidates)
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return by_lower[close[0]]
    same_tail = [c for c in candidates if c.rpartition(".")[2].lower() == name.lower()]
    return same_tail[0] if same_tail else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint line for a misspelled name, or None when nothing is near."""
    near = near_name(name, candidates)
    return f"did you mean {near!r}?" if near else None


class WsolError(Exception):
    """An expected failure, printed by the tools without a traceback.

    Args:
        what: One line that says what is wrong.
        at: File, file:line or configuration path.
        expected: What would have been accepted.
        known: Names that exist, shown when one was not found.
        hint: What to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        at: str | None = None,
        expected: str | None = None,
        known: Iterable[str] = (),
        hint: str | None = None,
    ) -> None:
        self.what, self.at, self.expected, self.hint = what, at, expected, hint
        self.known = tuple(known)
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        details = {
            "at": self.at,
            "expected": self.expected,
            "known": ", ".join(self.known),
            "hint": self.hint,
        }
        lines += [f"  {key}: {text}" for key, text in details.items() if text]
        return "\n".join(lines)

    def __reduce__(self) -> tuple:
        # Errors raised in data-loading workers are pickled: keep every field.
        state = {key: getattr(self, key) for key in ("at", "expected", "known", "hint")}
        return partial(type(self), **state), (self.what,)

    def located(self, at: str) -> WsolError:
        """The same error with ``at`` filled in where it was still empty."""
        self.at = self.at or at
        return self


class ConfigError(WsolError, ValueError):
    """A configuration that cannot be run."""


class ConfigProblems(ConfigError):
    """Every problem that the preflight check found, reported at once."""

    def __init__(self, problems: Iterable[WsolError], at: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in the configuration", at=at)

    def __str__(self) -> str:
        return "\n\n".join([super().__str__(), *map(str, self.problems)])

    def __reduce__(self) -> tuple:
        return type(self), (self.problems, self.at)


def check_choice(
    what: str,
    value: object,
    known: Iterable[object],
    *,
    at: str | None = None,
    hint: str | None = None,
    error: type[WsolError] = ConfigError,
) -> None:
    """Refuse a value that is none of the known ones.

    Args:
        what: One line that says what is wrong.
        value: Anything; True and False are no choices, though Python takes them for 1 and 0.
        known: The values that exist.
        at: File, file:line or configuration path.
        hint: What to do where no known value is near.
        error: What is raised.

    Raises:
        WsolError: ``error``, with the known values and the near one.

    Example:
        >>> check_choice("unknown split 'tset'", "tset", ("train", "test"))
        Traceback (most recent call last):
            ...
        wsoltool.errors.ConfigError: unknown split 'tset'
          known: train, test
          hint: did you mean 'test'?
    """
    known = tuple(known)
    if isinstance(value, bool) or value not in known:
        names = [str(choice) for choice in known]
        raise error(what, at=at, known=names, hint=did_you_mean(str(value), names) or hint)


def check_number(
    name: str,
    value: object,
    lowest: float = 0.0,
    highest: float = math.inf,
    *,
    error: type[WsolError] = ConfigError,
) -> None:
    """Refuse a value that is no finite number within bounds; True and False are no numbers.

    Args:
        name: What it is called, with its component: ``DualHiding: peak``.
        value: Anything.
        lowest: The least that is allowed.
        highest: The most.
        error: What is raised.

    Raises:
        WsolError: ``error``.

    Example:
        >>> check_number("Selection: target", 1.5, highest=1)
        Traceback (most recent call last):
            ...
        wsoltool.errors.ConfigError: Selection: target=1.5
          expected: a number from 0 to 1
    """
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and lowest <= number <= highest):
        open_ended = math.isinf(highest)
        bounds = f"of {lowest:g} or more" if open_ended else f"from {lowest:g} to {highest:g}"
        raise error(f"{name}={value!r}", expected=f"a number {bounds}")


def is_whole(value: object, lowest: int | None = None) -> TypeGuard[int]:
    """Whether ``value`` is an integer of ``lowest`` or more; True and False are none.

    Example:
        >>> is_whole(3), is_whole(True), is_whole(0, lowest=1)
        (True, False, False)
    """
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return lowest is None or value >= lowest


def unknown_keys(
    node: Iterable[object], known: Iterable[str], prefix: str, hint: str | None = None
) -> Iterator[ConfigError]:
    """An error for each key of a dict that nothing reads, in the dict's order.

    Args:
        node: The dict.
        known: The keys that are read.
        prefix: Configuration path of the dict with a dot behind it; empty at the top.
        hint: What to do where no known key is near.

    Example:
        >>> print(*unknown_keys({"lr": 0.1, "epoch": 3}, ("lr", "epochs"), "schedule."))
        unknown key 'epoch'
          at: schedule.epoch
          known: lr, epochs
          hint: did you mean 'epochs'?
    """
    known = tuple(known)
    for key in node:
        if key not in known:
            near = did_you_mean(str(key), known)
            yield ConfigError(
                f"unknown key {key!r}", at=f"{prefix}{key}", known=known, hint=near or hint
            )


class UnknownComponentError(WsolError, LookupError):
    """A ``type`` that no plugin and not the core offers."""


class PluginError(WsolError, ImportError):
    """A plugin that cannot be loaded; the same error every time it is named."""


class ShapeError(WsolError, ValueError):
    """Tensors whose shapes do not fit each other."""


class DataError(WsolError, ValueError):
    """A data set that cannot be used as it is."""


class ImageError(DataError, OSError):
    """An image file that is missing, damaged or of an unsupported kind."""


class SupervisionError(WsolError, RuntimeError):
    """A box was asked for where only image labels may be read."""


class CheckpointError(WsolError, RuntimeError):
    """A checkpoint that is unsafe, damaged or of another model."""


class EvaluationError(WsolError, ValueError):
    """Maps, boxes or results that cannot be scored, or a table that contradicts itself."""


class ManualError(WsolError, ValueError):
    """A plugin's README or file of figures in another form than tests of it read."""


class WorkDirError(WsolError, OSError):
    """A folder that cannot be written."""
