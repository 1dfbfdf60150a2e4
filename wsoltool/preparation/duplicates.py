"""The same picture in two splits: as the same file, or nearly the same to the eye."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from wsoltool.datasets.images import read_bytes, read_image
from wsoltool.preparation.fingerprints import near_pairs, similarity, thumbnail

#: Correlation of thumbnails from which two pictures with close fingerprints are near-duplicates.
SIMILAR = 0.95


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells a split's usable images from each other.

    Attributes:
        images: Their ids.
        digests: ``(N,)`` uint64 hashes of the files, see
            :class:`~wsoltool.preparation.facts.Facts`.
        fingerprints: ``(N, 2)`` uint64 perceptual hashes; None where pixels were not decoded.
    """

    images: Sequence[str]
    digests: np.ndarray
    fingerprints: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of different splits.

    Attributes:
        split: Of the first.
        image: The first one's id.
        other_split: Of the second.
        other_image: The second one's id.
        bits: That their fingerprints differ in.
        similarity: Correlation of their thumbnails.
    """

    split: str
    image: str
    other_split: str
    other_image: str
    bits: int = 0
    similarity: float = 1.0


def same_files(traces: Mapping[str, Traces], root: Path) -> list[Pair]:
    """Images whose files are equal byte by byte to one of a later split.

    Args:
        traces: Split -> its images, in the order of the splits.
        root: The folder that ids are paths below.
    """
    pairs = []
    for split, other_split in combinations(traces, 2):
        first, second = traces[split], traces[other_split]
        rows: dict[int, list[int]] = {}
        common = np.isin(second.digests, first.digests)
        for row in np.flatnonzero(common).tolist():
            rows.setdefault(int(second.digests[row]), []).append(row)
        for row in np.flatnonzero(np.isin(first.digests, second.digests)).tolist():
            image = first.images[row]
            others = [second.images[other] for other in rows[int(first.digests[row])]]
            if copy := _copy_of(image, others, root):
                pairs.append(Pair(split, image, other_split, copy))
    return pairs


def _copy_of(image: str, others: Sequence[str], root: Path) -> str | None:
    """The first of ``others`` that is the same file."""
    content = read_bytes(root / image, "image")
    return next((o for o in others if read_bytes(root / o, "image") == content), None)


def copies_by_splits(pairs: Sequence[Pair]) -> Iterator[str]:
    """In words, how many images of a split are the same files as images of another.

    Example:
        >>> list(copies_by_splits([Pair("train-weaksup", "a.jpg", "test", "b.jpg")]))
        ['1 image of train-weaksup is the same file as an image of test']
    """
    for (split, other), count in Counter((p.split, p.other_split) for p in pairs).items():
        if count == 1:
            yield f"1 image of {split} is the same file as an image of {other}"
        else:
            yield f"{count:,} images of {split} are the same files as images of {other}"


def near_duplicates(
    traces: Mapping[str, Traces], root: Path, exif: bool, bits: int, workers: int
) -> list[Pair]:
    """Pairs of images from different splits that look nearly the same, the most similar first.

    Close fingerprints alone are no proof: skies and plain backgrounds share them. So the pictures
    of every such pair are read again, and their thumbnails must correlate.

    Args:
        traces: Split -> its images, with fingerprints.
        root: The folder that ids are paths below.
        exif: Images are turned as their EXIF orientation says.
        bits: That fingerprints may differ in.
        workers: Threads.
    """
    pairs = [pair for names in combinations(traces, 2) for pair in _close(traces, *names, bits)]
    images = sorted({image for pair in pairs for image in (pair.image, pair.other_image)})
    with ThreadPoolExecutor(workers) as pool:
        read = pool.map(lambda image: thumbnail(read_image(root / image, exif)), images)
        thumbs = dict(zip(images, read, strict=True))
    found = []
    for pair in pairs:
        alike = similarity(thumbs[pair.image], thumbs[pair.other_image])
        if alike >= SIMILAR:
            found.append(replace(pair, similarity=alike))
    return sorted(found, key=lambda pair: (-pair.similarity, pair.bits))


def _close(traces: Mapping[str, Traces], split: str, other: str, bits: int) -> Iterator[Pair]:
    """Pairs of two splits whose fingerprints are close."""
    first, second = traces[split], traces[other]
    assert first.fingerprints is not None
    assert second.fingerprints is not None
    for row, column, apart in near_pairs(first.fingerprints, second.fingerprints, bits).tolist():
        yield Pair(split, first.images[row], other, second.images[column], apart)
