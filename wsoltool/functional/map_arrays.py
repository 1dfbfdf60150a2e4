"""Stored localization maps as arrays: resizing, and scaling to [0, 1], without torch."""

from __future__ import annotations

import cv2
import numpy as np

from wsoltool.errors import EvaluationError, ShapeError, check_choice
from wsoltool.functional.boxes import Size

FILTERS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}

# Resizing a constant map leaves up to about 22 rounding steps of difference between its pixels
# (bicubic, summed over scales): below this many steps of its largest value a map is constant.
CONSTANT_STEPS = 64


def fit_map(
    values: np.ndarray, size: Size, interpolation: str = "bilinear", normalise: bool = False
) -> np.ndarray:
    r"""Bring a map to a frame, and its values to [0, 1].

    Nothing is resized where the map has the size already. Bicubic overshoots: without
    normalisation the values are clipped. Shrinking is not antialiased. ``bicubic`` and
    ``normalise`` together are what the wsolevaluation benchmark (Choe et al., CVPR 2020) does.

    .. math:: \hat M(x, y) = \frac{M(x, y) - \min M}{\max (M - \min M)}

    Args:
        values: ``(h, w)`` floats up to 1e300 in magnitude; in [0, 1] unless they are normalised.
        size: (height, width) of the frame.
        interpolation: ``bilinear`` or ``bicubic``.
        normalise: Min-max, after resizing.

    Returns:
        ``(height, width)`` float64 in [0, 1].

    Raises:
        ConfigError: Unknown ``interpolation``.
        ShapeError: ``values`` is not ``(h, w)``, or it or ``size`` is empty.
        EvaluationError: ``normalise``, and the map is constant once it is resized.

    Example:
        >>> fit_map(np.array([[1.0, 3.0]]), (1, 4), normalise=True).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    check_interpolation(interpolation)
    if values.ndim != 2 or not values.size or min(size) < 1:
        raise ShapeError(
            f"cannot bring a map of shape {values.shape} to {tuple(size)}",
            expected="(h, w) and a size with sides of 1 or more",
        )
    fitted: np.ndarray = np.ascontiguousarray(values, dtype=np.float64)
    if values.shape != tuple(size):
        width_height = (size[1], size[0])
        fitted = cv2.resize(fitted, width_height, interpolation=FILTERS[interpolation])
    if normalise:
        return _minmax(fitted)
    # Bilinear too: its weights may sum to slightly more than 1.
    return np.clip(fitted, 0.0, 1.0)


def check_interpolation(name: str) -> None:
    """Raise ConfigError unless ``name`` is a way of resizing maps."""
    check_choice(f"unknown interpolation {name!r}", name, FILTERS)


def _minmax(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    span = high - low
    if span <= CONSTANT_STEPS * np.finfo(np.float64).eps * max(abs(low), abs(high)):
        height, width = values.shape
        raise EvaluationError(f"{high:g} everywhere once resized to {width} x {height}")
    return (values - low) / span
