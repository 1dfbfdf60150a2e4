"""Which split an image belongs to, where several are made from one part of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from wsoltool.errors import ConfigError, DataError

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
            rest.
    """
    place = fraction(image_id)
    for taker, share in shares.items():
        if place < share:
            return taker == split
        place -= share
    return split == "train-weaksup"


def ids_sha256(image_ids: Sequence[str]) -> str:
    """A fingerprint of a set of images, whatever their order.

    sha256 over the ids in UTF-8, sorted by their bytes, each followed by a newline: what
    ``LC_ALL=C sort ids.txt | sha256sum`` prints for a file with an id on every line.

    Example:
        >>> ids_sha256(["b.jpg", "a.jpg"])[:12]
        'ae991490ddec'
    """
    lines = sorted(image_id.encode("utf-8", "surrogateescape") for image_id in image_ids)
    return sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def check_apart(
    first: str, first_ids: Sequence[str], second: str, second_ids: Sequence[str]
) -> None:
    """Refuse an image that belongs to two splits, by its id.

    Args:
        first: A split's name.
        first_ids: Its image ids.
        second: Another split's name.
        second_ids: Its image ids.

    Raises:
        DataError: An id is in both.
    """
    fewer, more = sorted((first_ids, second_ids), key=len)
    known = set(fewer)
    shared = sorted({image_id for image_id in more if image_id in known})
    if shared:
        raise DataError(
            f"{len(shared)} images are in both {first} and {second}: " + ", ".join(shared[:3]),
            expected="splits without common images",
            hint="take them out of one split; scores on training images mean nothing",
        )
