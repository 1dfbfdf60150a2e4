"""What the evaluation keeps of an image's pixels where it has a mask: how many, by score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.protocols import Protocol
from wsoltool.functional.boxes import centre_gaussian
from wsoltool.functional.pixels import OBJECT, found_above, found_from, score_histograms
from wsoltool.structures import Size, Truth

MODEL, GAUSSIAN = "model", "gaussian"
ANSWERS = (MODEL, GAUSSIAN)
"""Whose pixels are counted; those of the whole image follow from either."""


@dataclass(slots=True)
class ImagePixels:
    """The pixels of one map against the mask.

    Attributes:
        histograms: ``(2, T + 2)`` int32, object and background, by score: see
            :func:`wsoltool.functional.pixels.score_histograms`.
        fixed: ``(4,)`` int32 TP, FP, FN, TN strictly above the fixed threshold; None without one.
    """

    histograms: np.ndarray
    fixed: np.ndarray | None


@dataclass(slots=True)
class PixelCounts:
    """The pixels of N images' maps against their masks.

    Attributes:
        thresholds: ``(T,)`` float64, the edges of the histograms' bins.
        histograms: ``(N, 2, T + 2)`` int32.
        fixed: ``(N, 4)`` int32, or None where there is no fixed threshold.
    """

    thresholds: np.ndarray
    histograms: np.ndarray
    fixed: np.ndarray | None

    def __len__(self) -> int:
        return len(self.histograms)

    def select(self, index: np.ndarray) -> PixelCounts:
        """The images at ``index``, a mask or indices."""
        fixed = None if self.fixed is None else self.fixed[index]
        return PixelCounts(self.thresholds, self.histograms[index], fixed)

    def found(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels at or above each threshold and 1: :func:`~wsoltool.functional.pixels.found_from`.

        Returns:
            ``(n, 2, T + 1)`` and ``(n, 2)`` float64 of the images at ``rows``.
        """
        return found_from(self.histograms[rows])

    def at(self, column: int) -> np.ndarray:
        """``(N, 2, 1)`` float64: pixels of the object and the background at one threshold."""
        return self.histograms[..., column + 1 :].sum(axis=-1, keepdims=True, dtype=np.float64)

    def at_fixed(self) -> PixelCounts:
        """The fixed threshold as the only one: the same counts, in the form of histograms."""
        assert self.fixed is not None
        hits, errors, misses, rest = self.fixed.T
        zeros = np.zeros_like(hits)
        histograms = [[misses, hits, zeros], [rest, errors, zeros]]
        return PixelCounts(np.zeros(1), np.array(histograms).transpose(2, 0, 1), self.fixed)

    def whole(self) -> PixelCounts:
        """The whole image as the answer: every pixel has a score of 1."""
        histograms = np.zeros((len(self), 2, 3), dtype=np.int64)
        histograms[..., -1] = self.histograms.sum(axis=-1, dtype=np.int64)
        everything = histograms[..., -1]
        fixed = np.concatenate([everything, np.zeros_like(everything)], axis=1)
        return PixelCounts(np.zeros(1), histograms, fixed)


Pixels = dict[str, dict[str, PixelCounts]]  # protocol -> who answers


def count_pixels(
    protocol: Protocol,
    localization_map: np.ndarray,
    truth: Truth,
    size: Size,
    fixed_threshold: float | None,
) -> dict[str, ImagePixels]:
    """Count the pixels of the model's map, and of the centre Gaussian, in the protocol's frame.

    Args:
        protocol: Gives the frame and the thresholds.
        localization_map: ``(H, W)`` in [0, 1], of the frame's size.
        truth: With a mask.
        size: Of the original image.
        fixed_threshold: The box extractor's, or None.

    Raises:
        EvaluationError: The mask shows no object, or it or the map cannot be used.
    """
    if truth.mask is None or not (truth.mask == OBJECT).any():
        raise EvaluationError(
            "mask without an object's pixel", expected="pixels of value 1 in every scored mask"
        )
    mask = protocol.mask(truth, size)
    answers = {MODEL: localization_map, GAUSSIAN: _gaussian(protocol.frame(size))}
    return {
        who: ImagePixels(
            score_histograms(scores, mask, protocol.thresholds),
            None if fixed_threshold is None else found_above(scores, mask, fixed_threshold),
        )
        for who, scores in answers.items()
    }


@lru_cache(maxsize=4)
def _gaussian(frame: Size) -> np.ndarray:
    return centre_gaussian(frame)


def stack_pixels(
    image_ids: Sequence[str],
    items: Sequence[dict[str, dict[str, ImagePixels]] | None],
    thresholds: Mapping[str, np.ndarray],
) -> Pixels | None:
    """Gather the pixels of single images; None where no image has a mask.

    Raises:
        EvaluationError: Some images have a mask and some have none.
    """
    counted = [item for item in items if item is not None]
    if not counted:
        return None
    if len(counted) < len(items):
        raise EvaluationError(
            f"{len(items) - len(counted)} of {len(items)} images have no mask",
            at=image_ids[next(index for index, item in enumerate(items) if item is None)],
            expected="masks for all images of a split, or for none",
        )
    return {
        protocol: {
            who: _stack([item[protocol][who] for item in counted], np.asarray(grid))
            for who in ANSWERS
        }
        for protocol, grid in thresholds.items()
    }


def _stack(items: Sequence[ImagePixels], thresholds: np.ndarray) -> PixelCounts:
    fixed = [item.fixed for item in items if item.fixed is not None]
    return PixelCounts(
        thresholds,
        np.stack([item.histograms for item in items]),
        np.stack(fixed) if fixed else None,
    )


def select_pixels(pixels: Pixels | None, index: np.ndarray) -> Pixels | None:
    """The images at ``index``, a mask or indices."""
    if pixels is None:
        return None
    return {
        protocol: {who: counts.select(index) for who, counts in own.items()}
        for protocol, own in pixels.items()
    }


def pixel_arrays(pixels: Pixels | None) -> Iterator[tuple[str, np.ndarray]]:
    """Named arrays for a file; the thresholds are those of the protocol's curves."""
    for protocol, own in (pixels or {}).items():
        for who, counts in own.items():
            yield f"{protocol}.pixels.{who}.histograms", counts.histograms
            if counts.fixed is not None:
                yield f"{protocol}.pixels.{who}.fixed", counts.fixed


def pixels_from_arrays(
    arrays: Mapping[str, np.ndarray], thresholds: Mapping[str, np.ndarray]
) -> Pixels | None:
    """What :func:`pixel_arrays` named; None where a file has none of it."""
    if not any(".pixels." in name for name in arrays):
        return None
    return {
        protocol: {
            who: PixelCounts(
                grid,
                arrays[f"{protocol}.pixels.{who}.histograms"],
                arrays.get(f"{protocol}.pixels.{who}.fixed"),
            )
            for who in ANSWERS
        }
        for protocol, grid in thresholds.items()
    }
