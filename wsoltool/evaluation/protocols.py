"""The named ways to compare a map with the true boxes; every table says which one it followed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np

from wsoltool.errors import ConfigError, EvaluationError, check_choice
from wsoltool.functional.boxes import box_iou, scale_boxes
from wsoltool.functional.sweep import (
    THRESHOLDS,
    Sweeps,
    grey_levels,
    tight_sweeps,
    wsolevaluation_sweeps,
)
from wsoltool.structures import Size, Truth


class Protocol(ABC):
    """A frame, the truth in it, and the rules that turn maps into boxes and boxes into overlap.

    Attributes:
        name: As configs and tables call it.
        description: One line for the table.
        inclusive: x1 and y1 belong to a box when overlaps are counted.
        squashes: The frame is the same for images of every size.
        thresholds: ``(T,)`` float64, those of :meth:`sweep`.
    """

    name: str
    description: str
    inclusive: bool
    squashes: bool
    thresholds: np.ndarray = THRESHOLDS

    @abstractmethod
    def frame(self, size: Size) -> Size:
        """The size at which the map of an image of ``size`` is asked for."""

    @abstractmethod
    def targets(self, truth: Truth, size: Size) -> np.ndarray:
        """``(M, 4)`` float64: the true boxes in the frame, in this protocol's convention."""

    def mask(self, truth: Truth, size: Size) -> np.ndarray:
        """The true mask in the frame: the nearest pixels of its file where sizes differ.

        A nearest pixel is one instance's, another's or ignored, whenever it is picked: this is the
        benchmark's union of resized instances, and its ignored pixels without them.

        Returns:
            ``(H, W)`` uint8: 1 object, 0 background, 255 ignored.

        Raises:
            EvaluationError: The truth has no mask.
        """
        if truth.mask is None or truth.mask.ndim != 2 or not truth.mask.size:
            raise EvaluationError("image without a mask", expected="a mask (H, W)")
        height, width = self.frame(size)
        if truth.mask.shape == (height, width):
            return truth.mask
        return cv2.resize(truth.mask, (width, height), interpolation=cv2.INTER_NEAREST)

    @abstractmethod
    def answers(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        """``(N, 4)`` boxes, original pixels, x1 y1 exclusive, as this protocol would score them."""

    def sweep(
        self,
        localization_map: np.ndarray,
        truth: Truth,
        size: Size,
        thresholds: np.ndarray | None = None,
    ) -> Sweeps:
        """Best IoU at each threshold: ``largest`` and ``all``, ``(T,)`` float64 each.

        Args:
            localization_map: ``(H, W)`` in [0, 1], of the frame's size.
            truth: At least one box.
            size: Of the original image.
            thresholds: ``(T,)`` float64 in [0, 1); :attr:`thresholds` by default.

        Raises:
            EvaluationError: The map does not fill the frame, or cannot be swept.
        """
        self.check_map(localization_map, size)
        grid = self.thresholds if thresholds is None else thresholds
        return self.sweeps(localization_map, self.targets(truth, size), grid)

    @abstractmethod
    def sweeps(
        self, localization_map: np.ndarray, targets: np.ndarray, thresholds: np.ndarray
    ) -> Sweeps:
        """What :meth:`sweep` answers, of a map that fills the frame and the true boxes in it."""

    @abstractmethod
    def levels(self, values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A map in [0, 1] as this protocol compares it, and ``(T,)`` what must be exceeded."""

    @abstractmethod
    def outline(self, boxes: np.ndarray, frame: Size) -> np.ndarray:
        """``(N, 4)`` boxes of pixels in the frame, x1 y1 exclusive, in this convention."""

    def best_iou(self, boxes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """``(N,)`` float64: each answer's best overlap with a target."""
        return box_iou(boxes, targets, self.inclusive).max(axis=1)

    def check_map(self, localization_map: np.ndarray, size: Size) -> None:
        """Raise when a map does not fill the frame."""
        if localization_map.shape != self.frame(size):
            raise EvaluationError(
                f"localization map of shape {localization_map.shape}",
                expected=f"{self.frame(size)}, the {self.name} frame of an image of size {size}",
            )


class WsolEvaluation(Protocol):
    """The benchmark of Choe et al., CVPR 2020 (arXiv:2001.07437), bit-compatible.

    The image is squashed to 224 x 224. True boxes are the annotation's own numbers, scaled and
    truncated, and compared as if x1 and y1 were inside them. Boxes of maps are a pixel larger than
    the regions that they surround, and holes have boxes too.
    """

    name = "wsolevaluation"
    description = (
        "224 x 224 frame, 256 grey levels, threshold relative to the brightest, contours "
        "(largest by polygon area; holes count), boxes one pixel larger, inclusive IoU"
    )
    inclusive = True
    squashes = True
    side = 224

    def frame(self, size: Size) -> Size:
        return (self.side, self.side)

    def targets(self, truth: Truth, size: Size) -> np.ndarray:
        return np.trunc(scale_boxes(truth.annotated_boxes, size, self.frame(size)))

    def answers(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        frame = self.frame(size)
        return self.outline(np.trunc(scale_boxes(boxes, size, frame)), frame)

    def sweeps(
        self, localization_map: np.ndarray, targets: np.ndarray, thresholds: np.ndarray
    ) -> Sweeps:
        return wsolevaluation_sweeps(localization_map, targets, thresholds)

    def levels(self, values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return grey_levels(values, thresholds)

    def outline(self, boxes: np.ndarray, frame: Size) -> np.ndarray:
        return np.minimum(boxes, [frame[1], frame[0], frame[1] - 1, frame[0] - 1])


class Tight(Protocol):
    """What a user of the boxes would measure: exact boxes in the original image."""

    name = "tight"
    description = (
        "original image size, absolute threshold, 8-connected components (largest by pixel count; "
        "holes ignored), tight boxes, half-open IoU"
    )
    inclusive = False
    squashes = False

    def frame(self, size: Size) -> Size:
        return (int(size[0]), int(size[1]))

    def targets(self, truth: Truth, size: Size) -> np.ndarray:
        return np.asarray(truth.boxes, dtype=np.float64)

    def answers(self, boxes: np.ndarray, size: Size) -> np.ndarray:
        return np.asarray(boxes, dtype=np.float64)

    def sweeps(
        self, localization_map: np.ndarray, targets: np.ndarray, thresholds: np.ndarray
    ) -> Sweeps:
        return tight_sweeps(localization_map, targets, thresholds)

    def levels(self, values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(values, dtype=np.float64), np.asarray(thresholds, dtype=np.float64)

    def outline(self, boxes: np.ndarray, frame: Size) -> np.ndarray:
        return np.asarray(boxes, dtype=np.float64)


PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (Tight(), WsolEvaluation())}


def get_protocol(name: str) -> Protocol:
    """The protocol called ``name``.

    Raises:
        ConfigError: There is none.
    """
    check_choice(f"unknown evaluation protocol {name!r}", name, PROTOCOLS)
    return PROTOCOLS[name]


def get_protocols(names: Sequence[str]) -> tuple[Protocol, ...]:
    """Several protocols, in the order of their names.

    Raises:
        ConfigError: There is no such protocol, none is named, or one twice.
    """
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise ConfigError(
            f"protocols is {names!r}",
            expected="a list of different protocol names, at least one",
        )
    return tuple(get_protocol(name) for name in names)
