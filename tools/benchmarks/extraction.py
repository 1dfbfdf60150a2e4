"""What a choice of the threshold for each image costs, beside a fixed threshold."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.measurement import Measurement, Target, alternate, compare, one_thread
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.contracts import BoxExtractor
from wsoltool.models.fusion import SingleView
from wsoltool.plugin.manager import build
from wsoltool.structures import BoxContext, View, ViewMaps

CHANNELS, GRID, SIDE, IMAGES = 512, 14, 224, 20
#: Milliseconds of a core for an image.
BUDGET = Target("ours", below=3)
FIXED = ThresholdBoxes(threshold=0.2)
Scene = tuple[np.ndarray, BoxContext]


def run_two_stage(quick: bool = False) -> list[Measurement]:
    """Two-stage boxes, of cells and of pixels, beside boxes of a fixed threshold."""
    with one_thread(), torch.no_grad():
        scenes = draw_scenes(2 if quick else IMAGES)
        return [_measure(cut, scenes, 1 if quick else 30) for cut in ("cells", "pixels")]


def draw_scenes(count: int) -> list[Scene]:
    """Maps ``(224, 224)`` of one blob over noise, and contexts with features of the same blob."""
    generator = torch.Generator().manual_seed(0)
    return [_draw_scene(generator) for _ in range(count)]


def _draw_scene(generator: torch.Generator) -> Scene:
    centre_x, centre_y, spread = (0.3 + 0.4 * torch.rand(3, generator=generator)).tolist()
    axis = (torch.arange(GRID) + 0.5) / GRID
    blob = torch.exp(-((axis - centre_x) ** 2 + (axis[:, None] - centre_y) ** 2) / spread**2 * 4)
    kinds = torch.randn(2, CHANNELS, generator=generator).relu()  # object, background
    noise = torch.randn(CHANNELS, GRID, GRID, generator=generator).abs()
    features = torch.einsum("kc,khw->chw", kinds, torch.stack([blob, 1 - blob])) + 0.5 * noise
    raw = (blob + 0.1 * torch.rand(GRID, GRID, generator=generator))[None]
    return _fused(raw, (SIDE, SIDE)), _context(raw, features)


def _context(raw: Tensor, features: Tensor) -> BoxContext:
    return BoxContext(
        class_id=0,
        region=(0.0, 0.0, float(SIDE), float(SIDE)),
        maps=[ViewMaps(View(), {"cam": raw})],
        fused=lambda size: _fused(raw, size),
        features={"last": features},
    )


def _fused(raw: Tensor, size: tuple[int, int]) -> np.ndarray:
    return SingleView().fuse([ViewMaps(View(), {"cam": raw})], size)[0].numpy()


def check_boxes(extractor: BoxExtractor, scenes: list[Scene]) -> None:
    """Raise AssertionError unless every image has one box, and a threshold chosen for it alone."""
    found = [extractor(*scene) for scene in scenes]
    assert [len(boxes) for boxes in found] == [1] * len(scenes), "an image without its box"
    thresholds = {boxes.thresholds.item() for boxes in found}
    assert len(thresholds) > 1, f"every image is cut at {thresholds}"


def _measure(cut: str, scenes: list[Scene], rounds: int) -> Measurement:
    settings = {"type": "revisited_cam.TwoStageBoxes", "cut": cut}
    two_stage = build("box extractor", settings, "boxes")
    check_boxes(two_stage, scenes)
    ours, reference = (partial(_time, extractor, scenes) for extractor in (two_stage, FIXED))
    figures = alternate(ours, reference, rounds)
    return compare(f"two-stage {cut}", "CPU ms", BUDGET, *figures)


def _time(extractor: BoxExtractor, scenes: list[Scene]) -> float:
    """Milliseconds of a core for an image."""
    start = time.thread_time()
    for scene in scenes:
        extractor(*scene)
    return 1000 * (time.thread_time() - start) / len(scenes)
