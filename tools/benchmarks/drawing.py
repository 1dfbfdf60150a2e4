"""How fast the embedded data set draws its images."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

from benchmarks.measurement import Measurement, Target, alternate, compare, cpu_rate, one_thread
from wsoltool.datasets.creatures import Creatures
from wsoltool.datasets.images import read_image


def draw_creatures(quick: bool = False) -> Measurement:
    """Images of 96 pixels drawn on one core, beside reading the same images from PNG files."""
    count, rounds = (8, 1) if quick else (400, 5)
    dataset = Creatures(length=count)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{index}.png") for index in range(count)]
        for index, path in enumerate(paths):
            cv2.imwrite(str(path), cv2.cvtColor(dataset.load(index), cv2.COLOR_RGB2BGR))
        figures = alternate(
            lambda: cpu_rate(lambda: [dataset.load(index) for index in range(count)], count),
            lambda: cpu_rate(lambda: [read_image(path) for path in paths], count),
            rounds,
        )
    return compare("creatures", "images/CPU s", Target("ours", above=500), *figures)
