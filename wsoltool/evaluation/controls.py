"""Answers that look at no pixel, scored like the model: what a figure is worth beside them.

- whole image: the image as the box.
- centre box: a box about the centre. Where a row's threshold is fixed, it has half of the image's
  area; where the threshold was chosen (on train-fullsup, or on test as an oracle), its share of
  each side was chosen on the same images.
- centre Gaussian: a bump with a standard deviation of a quarter of each side, swept like a map.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from wsoltool.evaluation.protocols import Protocol
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.functional.boxes import centre_boxes, centre_gaussian, whole_box
from wsoltool.structures import Size

WHOLE, CENTRE, GAUSSIAN = "whole image", "centre box", "centre Gaussian"
CONTROLS = (WHOLE, CENTRE, GAUSSIAN)
SHARES = np.arange(1, 101) / 100
FIXED_SHARE = np.sqrt(0.5)

Answers = Callable[[Size], np.ndarray]


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

    def centred(shares: np.ndarray) -> Answers:
        return lambda size: protocol.answers(centre_boxes(size, shares), size)

    def bump(thresholds: np.ndarray) -> Answers:
        return lambda size: gaussian_boxes(protocol, size, thresholds)

    def score(answers: Answers) -> np.ndarray:
        return _best_iou(protocol, results, answers)

    whole = score(lambda size: protocol.answers(whole_box(size), size))
    centre = score(centred(SHARES))
    gaussian = score(bump(protocol.thresholds))
    at_threshold = None if fixed_threshold is None else score(bump(np.array([fixed_threshold])))
    return {
        WHOLE: BoxCurves(np.ones(1), whole, whole, whole[:, 0]),
        CENTRE: BoxCurves(SHARES, centre, centre, score(centred(np.array([FIXED_SHARE])))[:, 0]),
        GAUSSIAN: BoxCurves(
            protocol.thresholds,
            gaussian,
            gaussian,
            None if at_threshold is None else at_threshold[:, 0],
        ),
    }


def gaussian_boxes(protocol: Protocol, size: Size, thresholds: np.ndarray) -> np.ndarray:
    """``(T, 4)`` float64: the centre Gaussian's box at each threshold, in the protocol's terms.

    Its foreground is one region without holes, so the rows and columns that it reaches are the box.
    """
    frame = protocol.frame(size)
    values, cuts = protocol.levels(centre_gaussian(frame), thresholds)
    x0, x1 = _extent(values.max(axis=0) > cuts[:, None])
    y0, y1 = _extent(values.max(axis=1) > cuts[:, None])
    return protocol.outline(np.stack([x0, y0, x1, y1], axis=1).astype(np.float64), frame)


def _extent(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last True of each row ``(T, n)``; 0, 0 where there is none."""
    first = inside.argmax(axis=1)
    last = inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    return first, np.where(inside.any(axis=1), last, 0)


def _best_iou(protocol: Protocol, results: LocalizationResults, answers: Answers) -> np.ndarray:
    """``(N, S)`` float32: the best overlap of each of S answers."""
    cached = lru_cache(maxsize=256)(answers)
    rows = []
    for index in range(len(results)):
        size = results.size(index)
        targets = protocol.targets(results.truth(index), size)
        rows.append(protocol.best_iou(cached(size), targets).astype(np.float32))
    return np.stack(rows)
