"""Made-up samples."""

from __future__ import annotations

import torch

from wsoltool.structures import Sample, Samples, Size


def random_samples(
    batch_size: int, num_classes: int, labels: str = "index", size: Size = (32, 32)
) -> Samples:
    """Samples with random labels.

    Args:
        batch_size: B.
        num_classes: K.
        labels: ``index`` for ``(B,)`` int64, ``soft`` or ``multi_hot`` for ``(B, K)`` float32.
        size: (height, width) of the images.
    """
    if labels == "index":
        values = torch.randint(num_classes, (batch_size,))
    elif labels == "soft":
        values = torch.rand(batch_size, num_classes).softmax(dim=1)
    elif labels == "multi_hot":
        values = (torch.rand(batch_size, num_classes) < 0.5).float()
    else:
        raise ValueError(f"labels={labels!r}: expected index, soft or multi_hot")
    height, width = size
    region = (0.0, 0.0, float(width), float(height))
    items = [
        Sample(f"image-{i}", value.item() if value.ndim == 0 else value.numpy(), size, region)
        for i, value in enumerate(values)
    ]
    return Samples(values, tuple(items))
