"""Stacked images to normalised ones, on the device and a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from wsoltool.errors import ConfigError, DataError
from wsoltool.models.contracts import BatchAugmentation


class Preprocessor(BaseDataPreprocessor):
    """Moves, normalises and, in training, augments a batch.

    Args:
        mean: Per RGB channel, in grey levels 0..255.
        std: Likewise.
        batch_augmentations: Applied in order to normalised training batches.
        channels_last: Keep the batch in the memory format that convolutions on CPUs and on tensor
            cores prefer; the values are the same.

    Attributes:
        mean: As given.
        std: As given.

    Raises:
        ConfigError: ``mean`` or ``std`` is not three finite numbers, or ``std`` not positive.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        batch_augmentations: Sequence[BatchAugmentation] = (),
        channels_last: bool = True,
    ) -> None:
        super().__init__(non_blocking=True)
        means, deviations = _channels("mean", mean), _channels("std", std)
        if not (deviations > 0).all():
            raise ConfigError(f"Preprocessor: std is {std!r}", expected="numbers above 0")
        self.batch_augmentations = tuple(batch_augmentations)
        self.channels_last = channels_last
        self.mean, self.std = means.flatten().tolist(), deviations.flatten().tolist()
        # One multiply-add an element: x / std - mean / std.
        scale = 1.0 / deviations
        shift = -means * scale
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("shift", shift.float(), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """``inputs`` uint8 ``(B, H, W, 3)`` RGB to float32 ``(B, 3, H, W)``.

        At test ``inputs`` may be a list of images of different sizes; they are answered as a list
        of ``(1, 3, H, W)`` tensors.

        Raises:
            DataError: Training images of different sizes.
        """
        inputs, samples = data["inputs"], data["samples"].to(self.device)
        if isinstance(inputs, Tensor):
            images = self.normalize(inputs)
            for augmentation in self.batch_augmentations if training else ():
                images, samples = augmentation(images, samples)
            return {"inputs": images, "samples": samples}
        if training:
            sizes = sorted({tuple(image.shape[:2]) for image in inputs})
            raise DataError(
                f"training images of different sizes in one batch: {sizes[:4]}",
                at="train_dataloader.dataset.pipeline",
                expected="one size",
                hint="end the pipeline with Resize or a crop",
            )
        return {"inputs": [self.normalize(image[None]) for image in inputs], "samples": samples}

    def normalize(self, images: Tensor) -> Tensor:
        """``(B, H, W, 3)`` uint8 to ``(B, 3, H, W)`` float32."""
        images = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if not self.channels_last:
            images = images.contiguous()
        return torch.addcmul(self.shift, images.float(), self.scale)


def _channels(name: str, values: Sequence[float]) -> Tensor:
    """``(1, 3, 1, 1)`` float64 of three numbers."""
    try:
        numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
    except (TypeError, ValueError):
        numbers = torch.empty(0)
    if len(numbers) != 3 or not numbers.isfinite().all():
        raise ConfigError(
            f"Preprocessor: {name} is {values!r}", expected="a number for each of red, green, blue"
        )
    return numbers.view(1, 3, 1, 1)
