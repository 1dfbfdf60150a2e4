"""Records as arrays by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsoltool.datasets.mask_files import MaskFiles
from wsoltool.datasets.records import BoxTable, Names, Records


def to_columns(records: Records) -> dict[str, np.ndarray]:
    """All that records hold besides the masks' folder and level, by the columns' names."""
    columns: dict[str, np.ndarray | None] = {"labels": records.labels, "sizes": records.sizes}
    columns |= _names_to_columns("id", records.ids)
    if (boxes := records.boxes) is not None:
        columns |= {"boxes": boxes.boxes, "box_groups": boxes.offsets}
        columns |= {"box_labels": boxes.labels, "box_difficult": boxes.difficult}
    if (masks := records.masks) is not None:
        columns |= {"mask_groups": masks.offsets}
        columns |= _names_to_columns("mask", masks.masks)
        columns |= _names_to_columns("ignored", masks.ignored)
    if records.segments is not None:
        columns |= _names_to_columns("segment", records.segments)
    return {name: values for name, values in columns.items() if values is not None}


def _names_to_columns(prefix: str, names: Names) -> dict[str, np.ndarray]:
    text = np.frombuffer(names.text, np.uint8)
    return {f"{prefix}_text": text, f"{prefix}_offsets": np.asarray(names.offsets)}


def from_columns(
    columns: Mapping[str, np.ndarray], mask_root: Path | None, mask_level: int
) -> Records:
    """The records that :func:`to_columns` took apart, over the columns' own memory.

    Raises:
        KeyError: A column is missing.
    """
    boxes = masks = None
    if "boxes" in columns:
        boxes = BoxTable(
            columns["box_groups"],
            columns["boxes"],
            columns.get("box_labels"),
            columns.get("box_difficult"),
        )
    if "mask_groups" in columns and mask_root is not None:
        masks = MaskFiles(
            mask_root,
            _names(columns, "mask"),
            columns["mask_groups"],
            _names(columns, "ignored"),
            mask_level,
        )
    return Records(
        _names(columns, "id"),
        columns["labels"],
        columns.get("sizes"),
        boxes,
        masks,
        _names(columns, "segment") if "segment_text" in columns else None,
    )


def _names(columns: Mapping[str, np.ndarray], prefix: str) -> Names:
    return Names(columns[f"{prefix}_text"].data, columns[f"{prefix}_offsets"])
