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
    if not isinstance(data, Mapping) or not all(isinstance(e, Mapping) for e in data.values()):
        return False
    counts = [entry.get(key) for entry in data.values() for key in ("images", "quarantined")]
    return all(isinstance(count, int | None) for count in counts) and all(
        isinstance(entry.get("images"), int) for entry in data.values()
    )


def quarantine_lines(data: DataEntries) -> list[str]:
    """A line for each split that images were left out of.

    Example:
        >>> quarantine_lines({"test": {"images": 5791, "quarantined": 3}})
        ['test: 5,791 images, 3 left out by wsoltool prepare (quarantine)']
    """
    return [
        f"{split}: {entry['images']:,} images, {entry['quarantined']:,} left out by"
        " wsoltool prepare (quarantine)"
        for split, entry in data.items()
        if entry.get("quarantined")
    ]


def difference_lines(a: DataEntries, b: DataEntries) -> list[str]:
    """What two evaluations of the same images had beside them that was not the same.

    Example:
        >>> difference_lines(
        ...     {"train-weaksup": {"images": 9, "ids_sha256": "1"}},
        ...     {"train-weaksup": {"images": 8, "ids_sha256": "2"}},
        ... )
        ['A and B were trained on different images (train-weaksup: 9 and 8).']
    """
    return [
        f"A and B were {role} different images"
        f" ({split}: {a[split]['images']:,} and {b[split]['images']:,})."
        for split, role in ROLES.items()
        if split in a and split in b and a[split].get("ids_sha256") != b[split].get("ids_sha256")
    ]
