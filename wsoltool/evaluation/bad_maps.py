"""Maps that cannot be scored: named by file, counted by kind, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wsoltool.errors import EvaluationError

MISSING, UNREADABLE, NOT_FLOAT, NOT_2D = "missing", "unreadable", "not float", "not 2-D"
EMPTY, NOT_FINITE, OUT_OF_RANGE, CONSTANT = "empty", "NaN or infinity", "outside [0, 1]", "constant"
KINDS = (MISSING, UNREADABLE, NOT_FLOAT, NOT_2D, EMPTY, NOT_FINITE, OUT_OF_RANGE, CONSTANT)
"""Of bad maps, in the order in which they are looked for."""
POLICIES = {
    "error": "give no figures",
    "miss": "counted as localised by nothing",
    "skip": "left out",
}
SHOWN = 20


@dataclass(frozen=True, slots=True)
class BadMap:
    """A map that cannot be scored.

    Attributes:
        image_id: Whose it is.
        kind: One of :data:`KINDS`.
        file: Below the map folder; where the map was expected if it is missing.
        detail: What exactly is wrong; may be empty.
    """

    image_id: str
    kind: str
    file: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.file}" + (f" ({self.detail})" if self.detail else "")


class BadMapError(EvaluationError):
    """A map that cannot be scored; its message is the detail of a :class:`BadMap`.

    Args:
        what: The detail.
        kind: One of :data:`KINDS`.
    """

    def __init__(self, what: str, kind: str) -> None:
        self.kind = kind
        super().__init__(what)

    def __reduce__(self) -> tuple:
        return type(self), (self.what, self.kind)


@dataclass(slots=True)
class BadMaps:
    """All bad maps of an evaluation.

    Attributes:
        root: The map folder.
        images: Of the split, good and bad.
        policy: A key of :data:`POLICIES`.
        maps: In the order of the images.
    """

    root: Path
    images: int
    policy: str
    maps: list[BadMap] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.maps)

    def counts(self) -> dict[str, int]:
        """How many of each kind that there is, in the order of :data:`KINDS`."""
        counted = Counter(bad.kind for bad in self.maps)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def note(self) -> str:
        """One line for a table's caption."""
        if not self.maps:
            return "Bad maps: none."
        return f"Bad maps: {self._numbers()}: {POLICIES[self.policy]}."

    def plain(self) -> dict[str, Any]:
        """For JSON: ``policy``, ``counts`` by kind, and ``maps`` (:class:`BadMap` by field)."""
        return {
            "policy": self.policy,
            "counts": self.counts(),
            "maps": [asdict(bad) for bad in self.maps],
        }

    def error(self) -> EvaluationError:
        """No figures: the first bad maps by name, and what can be done."""
        lines = [f"  {bad}" for bad in self.maps[:SHOWN]]
        if len(self.maps) > SHOWN:
            lines.append(f"  and {len(self.maps) - SHOWN} more; --json FILE lists all")
        return EvaluationError(
            "\n".join([f"{self._numbers()} cannot be scored", *map(printable, lines)]),
            at=str(self.root),
            expected="for every image a float array (h, w) in [0, 1], <image id>.npy",
            hint=self._hint(),
        )

    def _numbers(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        return f"{len(self.maps)} of {self.images} maps ({kinds})"

    def _hint(self) -> str:
        hints = {
            MISSING: "a map's name is the image id of the metadata, folders included",
            NOT_FLOAT: "save floats: an 8-bit map is divided by 255",
            NOT_2D: "save one map an image, that of its true class",
            OUT_OF_RANGE: "--normalise scales each map to [0, 1]",
        }
        told = [hints[kind] for kind in self.counts() if kind in hints]
        choice = "--bad-maps miss counts such images as localised by nothing, skip leaves them out"
        return "; ".join([*told, choice])


def printable(text: str) -> str:
    """Text without what a terminal cannot encode: file names may hold any byte."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(names: Iterable[str], limit: int = 5) -> str:
    """The first names, and how many there are besides."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return printable(", ".join(names[:limit])) + more
