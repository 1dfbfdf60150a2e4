"""Checks of what makes the answer: fusions and box extractors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from wsoltool.functional.maps import resize_maps
from wsoltool.models.contracts import BoxExtractor, Fusion
from wsoltool.structures import BoxContext, Boxes, Size, View, ViewMaps
from wsoltool.testing.requirements import (
    Unchanged,
    require,
    require_finite,
    require_shape,
    seeded,
)


@seeded
def check_fusion(fusion: Fusion, branches: Sequence[str] = ("cam",)) -> None:
    """Check a fusion: its views, range and size of the fused map and of others, constant maps.

    Args:
        fusion: The component.
        branches: Names of the branches to make up.
    """
    require(isinstance(fusion, Fusion), f"{type(fusion).__name__} is no Fusion")
    views = fusion.views()
    require(bool(views) and all(isinstance(v, View) for v in views), "views() has no View")
    require(any(view.scores for view in views), "no view gives class scores")
    require(all(view.scale > 0 for view in views), "a view has no positive scale")
    grids = [tuple(max(2, round(side * v.scale)) for side in (9, 7)) for v in views]
    random = [
        ViewMaps(view, {name: torch.randn(3, *grid) for name in branches})
        for view, grid in zip(views, grids, strict=True)
    ]
    inputs = {f"{i} {name}": m for i, v in enumerate(random) for name, m in v.branches.items()}
    with Unchanged(inputs):
        fused = fusion.fuse(random, (30, 41))
        pictured = fusion.pictured(random, (30, 41))
    _check_fused("the fused map", fused)
    for name, shown in pictured.items():
        _check_fused(f"the pictured map {name!r}", shown)
    constant = [
        ViewMaps(v.view, {name: torch.full_like(m, 0.3) for name, m in v.branches.items()})
        for v in random
    ]
    zeros = torch.zeros(3, 30, 41)
    require(torch.equal(fusion.fuse(constant, (30, 41)), zeros), "constant maps give no zeros")


def _check_fused(what: str, maps: torch.Tensor) -> None:
    require_shape(what, maps, (3, 30, 41))
    require(maps.dtype == torch.float32, f"{what} is {maps.dtype}, not float32")
    require_finite(what, maps)
    require(bool((maps >= 0).all() and (maps <= 1).all()), f"{what} leaves [0, 1]")


@seeded
def check_box_extractor(
    extractor: BoxExtractor, channels: Mapping[str, int] | None = None, *, size: Size = (60, 80)
) -> None:
    """Check a box extractor on a blob, two blobs, noise, an empty and a full map.

    Args:
        extractor: The component.
        channels: Feature name -> channels, for what ``extractor.features`` asks.
        size: H, W of the map.
    """
    require(isinstance(extractor, BoxExtractor), f"{type(extractor).__name__} is no BoxExtractor")
    missing = set(extractor.features) - set(channels or {})
    require(not missing, f"give channels of {sorted(missing)} to the check")
    answers = []
    for name, drawn in _example_maps(size).items():
        before = drawn.copy()
        boxes = extractor(drawn, _box_context(drawn, channels or {}))
        require(np.array_equal(drawn, before), "the map was changed")
        _check_boxes(f"of the {name} map", boxes, size)
        answers.append(boxes)
    chosen = {boxes.thresholds is not None for boxes in answers if len(boxes)}
    require(len(chosen) < 2, "thresholds are named for some maps, and for others they are None")
    both = True in chosen and getattr(extractor, "threshold", None) is not None
    require(not both, "an extractor that chooses thresholds has an attribute `threshold` too")


def _example_maps(size: Size) -> dict[str, np.ndarray]:
    y, x = np.mgrid[: size[0], : size[1]] / np.array(size).reshape(2, 1, 1)

    def blob(cx: float, cy: float) -> np.ndarray:
        return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.02)

    maps = {
        "one-blob": blob(0.5, 0.5),
        "two-blob": np.maximum(blob(0.2, 0.3), 0.9 * blob(0.8, 0.7)),
        "noise": torch.rand(*size).numpy(),
        "empty": np.zeros(size),
        "full": np.ones(size),
    }
    return {name: value.astype(np.float32) for name, value in maps.items()}


def _box_context(drawn: np.ndarray, channels: Mapping[str, int]) -> BoxContext:
    height, width = drawn.shape
    raw = F.adaptive_avg_pool2d(torch.from_numpy(drawn)[None], (7, 9))
    return BoxContext(
        class_id=0,
        region=(0.0, 0.0, float(width), float(height)),
        maps=[ViewMaps(View(), {"cam": raw})],
        fused=lambda size: resize_maps(raw[0], size).numpy(),
        features={name: torch.rand(count, 7, 9) for name, count in channels.items()},
    )


def _check_boxes(where: str, boxes: Boxes, size: Size) -> None:
    require(isinstance(boxes, Boxes), f"the answer is {type(boxes).__name__}, not Boxes")
    xyxy, scores = np.asarray(boxes.xyxy), np.asarray(boxes.scores)
    require(xyxy.shape == (len(scores), 4), f"boxes {where} have shape {xyxy.shape}, not (N, 4)")
    require(scores.ndim == 1, f"scores {where} have shape {scores.shape}, not (N,)")
    floats = xyxy.dtype == scores.dtype == np.float32
    require(floats, f"boxes and scores {where} are {xyxy.dtype}, {scores.dtype}, not float32")
    finite = np.isfinite(xyxy).all() and np.isfinite(scores).all()
    require(bool(finite), f"boxes or scores {where} are not finite")
    positive = (xyxy[:, :2] < xyxy[:, 2:]).all()
    require(bool(positive), f"a box {where} has no area: x0 < x1 and y0 < y1 are asked")
    height, width = size
    inside = (xyxy >= 0).all() and (xyxy <= [width, height, width, height]).all()
    require(bool(inside), f"a box {where} leaves the image")
    require(bool((np.diff(scores) <= 0).all()), f"boxes {where} do not come surest first")
    if boxes.thresholds is not None:
        _check_thresholds(where, np.asarray(boxes.thresholds), len(scores))


def _check_thresholds(where: str, thresholds: np.ndarray, count: int) -> None:
    shape, dtype = thresholds.shape, thresholds.dtype
    require(shape == (count,), f"thresholds {where} have shape {shape}, not ({count},)")
    require(dtype == np.float32, f"thresholds {where} are {dtype}, not float32")
    inside = ((thresholds >= 0) & (thresholds <= 1)).all()  # NaN is not
    require(bool(inside), f"a threshold {where} is outside [0, 1]")
