"""Answers that look at no pixel, scored like the model: what a figure is worth beside them.

- whole image: the image as the box.
- centre box: a box about the centre. Where a row's threshold is fixed, it has half of the image's
  area; where the threshold was chosen (on train-fullsup, or on test as an oracle), its share of
  each side was chosen on the same images.
- centre Gaussian: a bump with a standard deviation of a quarter of each side, swept like a map.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wsoltool.evaluation.protocols import Protocol
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.functional.boxes import centre_boxes, centre_gaussian_profiles
from wsoltool.structures import Size

WHOLE, CENTRE, GAUSSIAN = "whole image", "centre box", "centre Gaussian"
CONTROLS = (WHOLE, CENTRE, GAUSSIAN)
SHARES = np.arange(1, 101) / 100
FIXED_SHARE = np.sqrt(0.5)


def control_curves(
    protocol: Protocol, results: LocalizationResults, fixed_threshold: float | None
) -> dict[str, BoxCurves]:
    """Every control on the same images under the same protocol.

    Args:
        protocol: Gives the frame and the IoU.
        results: The images.
        fixed_threshold: The threshold of the model's box extractor, for the Gaussian's fixed box;
            None if it has none: the Gaussian then has no fixed box either.
    """
    at_threshold = np.array([] if fixed_threshold is None else [fixed_threshold])
    best = _best_iou(protocol, results, at_threshold)
    ends = np.cumsum([1, len(SHARES), 1, len(protocol.thresholds)])
    whole, centre, centre_fixed, gaussian, gaussian_fixed = np.split(best, ends, axis=1)
    return {
        WHOLE: BoxCurves(np.ones(1), whole, whole, whole[:, 0]),
        CENTRE: BoxCurves(SHARES, centre, centre, centre_fixed[:, 0]),
        GAUSSIAN: BoxCurves(
            protocol.thresholds,
            gaussian,
            gaussian,
            None if fixed_threshold is None else gaussian_fixed[:, 0],
        ),
    }


def gaussian_boxes(protocol: Protocol, frame: Size, thresholds: np.ndarray) -> np.ndarray:
    """``(T, 4)`` float64: the centre Gaussian's box at each threshold, in the protocol's terms.

    Its foreground is one region without holes, so the rows and columns that it reaches are the box.
    """
    (x0, x1), (y0, y1) = (
        _extent(*protocol.levels(profile, thresholds))
        for profile in centre_gaussian_profiles(frame)
    )
    return protocol.outline(np.stack([x0, y0, x1, y1], axis=1).astype(np.float64), frame)


def _extent(profile: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last value of ``(n,)`` above each of ``(T,)`` cuts; 0, 0 if none."""
    first = np.searchsorted(np.maximum.accumulate(profile), cuts, side="right")
    after = np.searchsorted(np.maximum.accumulate(profile[::-1]), cuts, side="right")
    found = first < len(profile)
    return np.where(found, first, 0), np.where(found, len(profile) - after, 0)


def _best_iou(
    protocol: Protocol, results: LocalizationResults, at_threshold: np.ndarray
) -> np.ndarray:
    """``(N, S)`` float32: the best overlap of each of S answers.

    In this order: the whole image; the centre box at each share; at the fixed share; the Gaussian
    at each of the protocol's thresholds; at each of ``at_threshold``.
    """
    shares = np.concatenate([[1.0], SHARES, [FIXED_SHARE]])
    thresholds = np.concatenate([protocol.thresholds, at_threshold])
    gaussian = lru_cache(maxsize=1)(
        lambda frame: _runs(gaussian_boxes(protocol, frame, thresholds))
    )
    best = np.empty((len(results), len(shares) + len(thresholds)), dtype=np.float32)
    for index in np.lexsort(results.sizes.T):  # images of one size after the other
        size = results.size(index)
        centred = protocol.answers(centre_boxes(size, shares), size)
        swept, places = gaussian(protocol.frame(size))
        boxes, targets = (
            np.concatenate([centred, swept]),
            protocol.targets(results.truth(index), size),
        )
        found = protocol.best_iou(boxes, targets)
        best[index, : len(shares)] = found[: len(shares)]
        best[index, len(shares) :] = found[len(shares) :][places]
    return best


def _runs(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(R, 4)`` boxes without repetitions in a row, and ``(T,)`` the place of each of T there."""
    differs = boxes[1:] != boxes[:-1]
    first = np.ones(len(boxes), dtype=bool)
    first[1:] = differs[:, 0] | differs[:, 1] | differs[:, 2] | differs[:, 3]
    return boxes[first], np.cumsum(first) - 1
