"""Perceptual hashes of images, and pairs of them that differ in few bits.

A difference hash tells, for neighbouring cells of a coarse grey picture, which one is brighter. It
survives other sizes, compression and brightness, so that near-duplicates differ in few of its bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import cv2
import numpy as np

#: Bits that two fingerprints may differ in, at most, for the search in bands to be fast.
MOST_BITS = 11
_BANDS, _BAND_BITS = 4, 16
_CHUNK = 1 << 22  # candidate pairs that are held in memory at once
_SIDE = 32
_COUNTS = np.unpackbits(np.arange(2**16, dtype=">u2").view(np.uint8)).reshape(-1, 16).sum(1)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """``(32, 32)`` uint8 grey, each pixel the mean of its area of ``(H, W, 3)`` uint8 RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def fingerprint(thumb: np.ndarray) -> tuple[int, int]:
    """Two hashes of 64 bits of a :func:`thumbnail`: of differences along rows, along columns.

    Bit ``8 y + x`` of the first is set where cell (y, x) of 8 x 9 cells is brighter than the one
    to its right; the second is that of the transposed picture.

    Example:
        >>> ramp = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))
        >>> fingerprint(ramp), fingerprint(ramp[:, ::-1]) == (2**64 - 1, 0)
        ((0, 0), True)
    """
    return _difference_hash(thumb), _difference_hash(np.ascontiguousarray(thumb.T))


def _difference_hash(thumb: np.ndarray) -> int:
    cells = cv2.resize(thumb, (9, 8), interpolation=cv2.INTER_AREA)
    brighter = cells[:, :-1] > cells[:, 1:]
    return int.from_bytes(np.packbits(brighter, bitorder="little").tobytes(), "little")


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation in [-1, 1] of two :func:`thumbnail` s.

    A picture without contrast has none; two of them are 1 where they are equally bright.

    Example:
        >>> grey = np.full((32, 32), 7, np.uint8)
        >>> similarity(grey, grey), similarity(grey, grey + 1)
        (1.0, 0.0)
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    if not scale:
        return float(np.array_equal(first, second))
    return float(np.clip((a * b).sum() / scale, -1, 1))


def near_pairs(first: np.ndarray, second: np.ndarray, bits: int) -> np.ndarray:
    """Pairs of fingerprints, one of each array, whose row and column hashes are both close.

    The row hashes are cut into four bands. Of at most ``bits`` differing bits one band holds at
    most ``bits // 4``, so looking up all values that close to each band finds every pair.

    Args:
        first: ``(N, 2)`` uint64, see :func:`fingerprint`.
        second: ``(M, 2)`` uint64.
        bits: From 0 to :data:`MOST_BITS`: the most bits that the row hashes differ in. Column
            hashes may differ in twice as many.

    Returns:
        ``(P, 3)`` int64: row of ``first``, row of ``second``, bits that their row hashes differ
        in; sorted, every pair once.
    """
    found = [np.empty((0, 3), np.int64)]
    for band in range(_BANDS):
        for rows, columns in _candidates(_band(first, band), _band(second, band), bits // _BANDS):
            apart = _bits_set(first[rows] ^ second[columns])
            close = (apart[:, 0] <= bits) & (apart[:, 1] <= 2 * bits)
            found.append(np.stack([rows, columns, apart[:, 0]], axis=1)[close])
    return np.unique(np.concatenate(found), axis=0)


def _bits_set(values: np.ndarray) -> np.ndarray:
    """``(P, 2)`` int64: how many bits of ``(P, 2)`` uint64 are 1."""
    return _COUNTS[values.view(np.uint16).reshape(len(values), 2, 4)].sum(axis=2, dtype=np.int64)


def _band(fingerprints: np.ndarray, band: int) -> np.ndarray:
    """``(N,)`` int64 in [0, 65536): one quarter of the row hashes."""
    shifted = fingerprints[:, 0] >> np.uint64(band * _BAND_BITS)
    return (shifted & np.uint64(2**_BAND_BITS - 1)).astype(np.int64)


def _candidates(
    first: np.ndarray, second: np.ndarray, radius: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows, chunk by chunk, whose bands ``(N,)`` and ``(M,)`` differ in few bits."""
    order = np.argsort(first, kind="stable")
    starts = np.searchsorted(first[order], np.arange(2**_BAND_BITS + 1))
    for flips in _flips(radius):
        begin, end = starts[second ^ flips], starts[(second ^ flips) + 1]
        yield from _expanded(order, begin, end - begin)


def _flips(radius: int) -> list[int]:
    """All values of a band with at most ``radius`` bits set."""
    positions = range(_BAND_BITS)
    sets = (chosen for count in range(radius + 1) for chosen in combinations(positions, count))
    return [sum(1 << bit for bit in chosen) for chosen in sets]


def _expanded(
    order: np.ndarray, begin: np.ndarray, counts: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs ``(order[begin[j] + i], j)`` for i below ``counts[j]``, in chunks of bounded size."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for low in range(0, total, _CHUNK):
        places = np.arange(low, min(low + _CHUNK, total))
        columns = np.searchsorted(ends, places, side="right")
        within = places - (ends - counts)[columns]
        yield order[begin[columns] + within], columns
