"""Class names that can be told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def distinct_names(names: Sequence[str], keys: Sequence[object]) -> list[str]:
    """The names; those that occur more than once with their key behind them.

    Example:
        >>> distinct_names(["crane", "tench", "crane"], ["n02012849", "n01440764", "n03126707"])
        ['crane (n02012849)', 'tench', 'crane (n03126707)']
    """
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{name} ({key})"
        for name, key in zip(names, keys, strict=True)
    ]
