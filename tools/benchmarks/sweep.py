"""How fast a map is swept over all thresholds, beside the obvious loop over them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.measurement import Measurement, Target, alternate, compare, cpu_rate, one_thread
from wsoltool.functional.boxes import box_iou
from wsoltool.functional.sweep import THRESHOLDS, tight_sweep, wsolevaluation_sweep

SIDE, GRID = 224, 14
TRUTH = np.array([[50, 60, 160, 170]])
Sweep = Callable[[np.ndarray], np.ndarray]


def sweep_all_contours(quick: bool = False) -> Measurement:
    """Boxes of all contours (MaxBoxAccV2) of the wsolevaluation protocol."""
    return _measure(
        "sweep-all",
        lambda values: wsolevaluation_sweep(values, TRUTH, "all"),
        lambda values: sweep_contours_plainly(values, TRUTH, "all"),
        quick,
    )


def sweep_largest_contour(quick: bool = False) -> Measurement:
    """The box of the largest contour (MaxBoxAcc) of the wsolevaluation protocol."""
    return _measure(
        "sweep-largest",
        lambda values: wsolevaluation_sweep(values, TRUTH, "largest"),
        lambda values: sweep_contours_plainly(values, TRUTH, "largest"),
        quick,
    )


def sweep_tight(quick: bool = False) -> Measurement:
    """The box of the largest component of the tight protocol."""
    return _measure(
        "sweep-tight",
        lambda values: tight_sweep(values, TRUTH, "largest"),
        lambda values: sweep_components_plainly(values, TRUTH),
        quick,
    )


def _measure(name: str, ours: Sweep, plain: Sweep, quick: bool) -> Measurement:
    """Maps of 224 x 224 through 1000 thresholds, one core; both ways answer the same numbers."""
    count, rounds = (2, 1) if quick else (20, 5)
    maps = [cam_like_map(np.random.default_rng(index)) for index in range(count)]
    with one_thread():
        for values in maps:
            np.testing.assert_array_equal(ours(values), plain(values))
        figures = alternate(
            lambda: cpu_rate(lambda: [ours(values) for values in maps], count),
            lambda: cpu_rate(lambda: [plain(values) for values in maps], count),
            rounds,
        )
    return compare(name, "maps/CPU s", Target("ratio", above=20), *figures)


def cam_like_map(rng: np.random.Generator) -> np.ndarray:
    """``(224, 224)`` float32 in [0, 1]: one to three bumps and noise on 14 x 14 cells, enlarged."""
    y, x = np.mgrid[:GRID, :GRID] / GRID
    cells = 0.15 * rng.random((GRID, GRID))
    for _ in range(rng.integers(1, 4)):
        (top, left), (tall, wide) = rng.uniform(0.2, 0.8, 2), rng.uniform(0.06, 0.2, 2)
        bump = np.exp(-(((y - top) / tall) ** 2) - ((x - left) / wide) ** 2)
        cells += rng.uniform(0.4, 1) * bump
    values = cv2.resize(cells.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    values -= values.min()
    return values / values.max()


def sweep_contours_plainly(values: np.ndarray, truth: np.ndarray, kind: str) -> np.ndarray:
    """The obvious way: a mask, its contours and their boxes at every threshold.

    Only the overlap is computed for all boxes at once, as anybody with numpy would.
    """
    levels = (values.astype(np.float64) * 255).astype(np.uint8)
    brightest, last = float(levels.max()), levels.shape[0] - 1
    boxes, starts = [], []
    for threshold in THRESHOLDS:
        cut = int(threshold * brightest)
        mask = cv2.threshold(levels, cut, 255, cv2.THRESH_BINARY)[1]
        contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        if kind == "largest" and contours:
            contours = [max(contours, key=cv2.contourArea)]
        starts.append(len(boxes))
        for x, y, width, height in map(cv2.boundingRect, contours):
            boxes.append((x, y, min(x + width, last), min(y + height, last)))
        if not contours:
            boxes.append((0, 0, 0, 0))
    return np.maximum.reduceat(box_iou(np.array(boxes), truth, inclusive=True)[:, 0], starts)


def sweep_components_plainly(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The obvious way: the largest connected component at every threshold."""
    values = values.astype(np.float64)
    boxes = np.zeros((len(THRESHOLDS), 4))
    for index, threshold in enumerate(THRESHOLDS):
        mask = (values > threshold).view(np.uint8)
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
        if len(stats):
            x, y, width, height, _ = stats[stats[:, 4].argmax()]
            boxes[index] = x, y, x + width, y + height
    return box_iou(boxes, truth)[:, 0]
