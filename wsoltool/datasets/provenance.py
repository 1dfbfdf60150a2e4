"""Which images a result is about: how many, which, and what was left out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wsoltool.datasets.index import Index
from wsoltool.datasets.splits import ids_sha256


@dataclass(frozen=True, slots=True)
class Provenance:
    """The images of one split, as results and checkpoints name them.

    Attributes:
        images: How many.
        ids_sha256: Their fingerprint, see :func:`~wsoltool.datasets.splits.ids_sha256`.
        quarantined: How many ``wsoltool prepare`` left out; None where the data set was not
            prepared, so that nothing was.
        remarks: What ``wsoltool prepare`` found odd about the data set.
        shares: Split -> the share of the training images that it was made of, where a split has no
            images of its own.
    """

    images: int
    ids_sha256: str
    quarantined: int | None = None
    remarks: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, image_ids: Sequence[str]) -> Provenance:
        """Of images that nothing more is known of."""
        return cls(len(image_ids), ids_sha256(image_ids))

    @classmethod
    def of_index(cls, index: Index, split: str) -> Provenance:
        """Of a split that was prepared."""
        facts = index.facts(split)
        shares = made_shares(index.options)
        return cls(facts.images, facts.ids_sha256, facts.quarantined, index.remarks, shares)

    def plain(self) -> dict[str, Any]:
        """The attributes as plain data, for JSON and checkpoints."""
        return {
            "images": self.images,
            "ids_sha256": self.ids_sha256,
            "quarantined": self.quarantined,
            "remarks": list(self.remarks),
            "shares": dict(self.shares),
        }


def made_shares(options: Mapping[str, Any]) -> dict[str, float]:
    """The shares among a reader's options, without those that are 0."""
    shares = {"train-fullsup": options.get("fullsup_share"), "test": options.get("test_share")}
    return {split: share for split, share in shares.items() if share}
