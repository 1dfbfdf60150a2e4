"""Which split an image belongs to, where several are made from one part of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from wsoltool.errors import ConfigError

SPLITS = ("train-weaksup", "train-fullsup", "test")


def check_share(what: str, share: object) -> None:
    """Raise unless a share is a number in [0, 1)."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ConfigError(f"{what} is {share!r}", expected="a number in [0, 1)")


def fraction(image_id: str) -> float:
    """A number in [0, 1) that follows from the id alone, spread evenly over ids.

    Example:
        >>> round(fraction("train/cat/1.jpg"), 6)
        0.203457
    """
    text = image_id.encode("utf-8", "surrogateescape")
    return int.from_bytes(sha256(text).digest()[:6], "big") / 2**48


def belongs(image_id: str, split: str, shares: Mapping[str, float]) -> bool:
    """Whether an image falls into a split.

    Args:
        image_id: Its id.
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        shares: Split -> the share of the images that it takes from train-weaksup, which keeps the
            rest; empty where all belong to the split.
    """
    if not shares:
        return True
    place = fraction(image_id)
    for taker, share in shares.items():
        if place < share:
            return taker == split
        place -= share
    return split == "train-weaksup"
