"""What the top file of an index says of each split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsoltool.datasets.index_files import ColumnFile


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An image that was left out because it cannot be used.

    Attributes:
        image: Its id.
        reason: Why, for people to read.
    """

    image: str
    reason: str


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """What the index says of a split without opening its columns.

    Attributes:
        images: How many can be used.
        boxes: How many these have; None where the split has none, or may not read them.
        quarantined: How many images were left out.
        ids_sha256: See :func:`~wsoltool.datasets.splits.ids_sha256`.
        mask_root: The folder of the mask files; None where there are none.
        mask_level: Grey level above which a mask's pixels are the object's.
        columns: Column -> its file.
        reasons: The file of what was left out and why; None where that is nothing.
    """

    images: int
    boxes: int | None
    quarantined: int
    ids_sha256: str
    mask_root: Path | None
    mask_level: int
    columns: Mapping[str, ColumnFile]
    reasons: ColumnFile | None

    def files(self) -> list[ColumnFile]:
        """All files of the split."""
        return [*self.columns.values(), *([] if self.reasons is None else [self.reasons])]

    def as_json(self, place: Callable[[Path], str]) -> dict[str, Any]:
        """Plain data; ``place`` says how a path is written."""
        return {
            "images": self.images,
            "boxes": self.boxes,
            "quarantined": self.quarantined,
            "ids_sha256": self.ids_sha256,
            "mask_root": None if self.mask_root is None else place(self.mask_root),
            "mask_level": self.mask_level,
            "columns": {name: file.as_json() for name, file in self.columns.items()},
            "reasons": None if self.reasons is None else self.reasons.as_json(),
        }

    @classmethod
    def of_json(cls, entry: Mapping[str, Any], folder: Path) -> SplitFacts:
        """What :meth:`as_json` wrote, for an index in ``folder``."""
        root, reasons = entry["mask_root"], entry["reasons"]
        return cls(
            images=entry["images"],
            boxes=entry["boxes"],
            quarantined=entry["quarantined"],
            ids_sha256=entry["ids_sha256"],
            mask_root=None if root is None else (folder / root).resolve(),
            mask_level=entry["mask_level"],
            columns={name: ColumnFile.of_json(file) for name, file in entry["columns"].items()},
            reasons=None if reasons is None else ColumnFile.of_json(reasons),
        )
