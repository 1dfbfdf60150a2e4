"""Perceptual hashes, and the search for close ones against trying all pairs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.preparation import fingerprints
from wsoltool.preparation.fingerprints import fingerprint, near_pairs, similarity, thumbnail


def picture(seed: int, size=(60, 90)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def test_a_thumbnail_averages_areas():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 200
    np.testing.assert_array_equal(thumbnail(image), np.full((32, 32), 100))


def test_bits_of_a_single_bright_cell():
    thumb = np.zeros((32, 36), np.uint8)  # nine columns of four, eight rows of four
    thumb[4:8, 8:12] = 90  # cell (1, 2) is brighter than its right neighbour, and no other
    rows, _ = fingerprint(thumb)
    assert rows == 1 << (8 * 1 + 2)
    _, columns = fingerprint(np.ascontiguousarray(thumb.T))
    assert columns == 1 << (8 * 1 + 2)


def bits_apart(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    rows, columns = (bin(a ^ b).count("1") for a, b in zip(first, second, strict=True))
    return rows, columns


@pytest.mark.parametrize("seed", range(5))
def test_other_sizes_and_compression_change_few_bits(seed):
    image = picture(seed)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], 1)
    smaller = cv2.resize(image, (45, 30), interpolation=cv2.INTER_AREA)
    for other in (jpeg, smaller):
        assert max(bits_apart(*map(fingerprint, map(thumbnail, (image, other))))) <= 3
        assert similarity(thumbnail(image), thumbnail(other)) > 0.99
    stranger = picture(seed + 100)
    assert min(bits_apart(*map(fingerprint, map(thumbnail, (image, stranger))))) > 8
    assert similarity(thumbnail(image), thumbnail(stranger)) < 0.6


def test_similarity_is_a_correlation():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (32, 32), dtype=np.uint8) for _ in range(2))
    assert similarity(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert similarity(a, 255 - a) == pytest.approx(-1)


def brute_force(first, second, bits):
    found = []
    for i, a in enumerate(first.tolist()):
        for j, b in enumerate(second.tolist()):
            rows, columns = bits_apart(a, b)
            if rows <= bits and columns <= 2 * bits:
                found.append([i, j, rows])
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 11))
def test_all_close_pairs_are_found(seed, bits):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2**64, (40, 2), dtype=np.uint64)
    second = first[rng.integers(0, 40, 30)]
    for row in second:  # flips up to 13 bits of each hash, so that many lie at the border
        for column in range(2):
            for bit in rng.choice(64, rng.integers(0, 14), replace=False).tolist():
                row[column] ^= np.uint64(1 << bit)
    assert near_pairs(first, second, bits).tolist() == brute_force(first, second, bits)


def test_pairs_are_the_same_in_small_chunks(monkeypatch):
    flat = np.zeros((30, 2), np.uint64)
    whole = near_pairs(flat, flat[:20], 3)
    assert len(whole) == 600
    monkeypatch.setattr(fingerprints, "_CHUNK", 7)
    np.testing.assert_array_equal(near_pairs(flat, flat[:20], 3), whole)


def test_no_fingerprints():
    none = np.zeros((0, 2), np.uint64)
    assert near_pairs(none, none, 3).shape == (0, 3)
