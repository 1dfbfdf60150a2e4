"""Mirroring."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from wsoltool.errors import ConfigError


class RandomFlip(BaseTransform):
    """Mirror the image left to right, sometimes.

    Random numbers come from numpy's global generator.

    Args:
        prob: How often, in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"RandomFlip: prob is {prob!r}", expected="a number in [0, 1]")
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if np.random.random() < self.prob:
            results["img"] = cv2.flip(np.ascontiguousarray(results["img"]), 1)
            results["flip"] = not results["flip"]
        return results
