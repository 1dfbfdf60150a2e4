"""The entry ``data`` of figures and checkpoints: which images were scored and trained on.

Split -> ``images``, ``ids_sha256``, ``quarantined``, ``remarks``, ``shares``; see
:class:`wsoltool.datasets.provenance.Provenance`, which writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DataEntries = Mapping[str, Mapping[str, Any]]
ROLES = {"train-weaksup": "trained on", "train-fullsup": "their thresholds chosen on"}


def are_data_entries(data: object) -> bool:
    """Whether what was read from a file can be used as such an entry."""
    return isinstance(data, Mapping) and all(map(_is_entry, data.values()))


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("images"), int)
        and isinstance(entry.get("quarantined"), int | None)
        and isinstance(entry.get("remarks", []), list)
    )


def data_lines(data: DataEntries) -> list[str]:
    """What whoever reads results must know of their images: what was left out, what was odd.

    Example:
        >>> test = {"images": 91, "quarantined": 3, "remarks": ["1 copy"]}
        >>> for line in data_lines({"test": test}):
        ...     print(line)
        test: 91 images, 3 left out by wsoltool prepare (quarantine)
        data set: 1 copy
    """
    left_out = [
        f"{split}: {entry['images']:,} images, {entry['quarantined']:,} left out by"
        " wsoltool prepare (quarantine)"
        for split, entry in data.items()
        if entry.get("quarantined")
    ]
    # All splits of one index have the same remarks.
    remarks = dict.fromkeys(r for entry in data.values() for r in entry.get("remarks", ()))
    return [*left_out, *(f"data set: {remark}" for remark in remarks)]


def difference_lines(
    a: DataEntries, b: DataEntries, names: tuple[str, str] = ("A", "B")
) -> list[str]:
    """What two evaluations of the same images had beside them that was not the same.

    Args:
        a: Of one.
        b: Of the other.
        names: What the lines call them.

    Example:
        >>> difference_lines(
        ...     {"train-weaksup": {"images": 9, "ids_sha256": "1"}},
        ...     {"train-weaksup": {"images": 8, "ids_sha256": "2"}},
        ... )
        ['A and B were trained on different images (train-weaksup: 9 and 8).']
    """
    return [
        f"{names[0]} and {names[1]} were {role} different images"
        f" ({split}: {a[split]['images']:,} and {b[split]['images']:,})."
        for split, role in ROLES.items()
        if split in a and split in b and a[split].get("ids_sha256") != b[split].get("ids_sha256")
    ]
