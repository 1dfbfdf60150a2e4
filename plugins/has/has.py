"""Hide-and-Seek, section 3.1 of Singh and Lee, ICCV 2017 (arXiv:1704.04232)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from wsoltool.config import plain
from wsoltool.errors import ConfigError
from wsoltool.models.contracts import BatchAugmentation
from wsoltool.structures import Samples


class HideAndSeek(BatchAugmentation):
    """Divide every training image into a grid of square tiles and hide each at random.

    Hidden pixels become 0 after normalisation, the data's mean colour, so that
    activations are distributed as on the whole images seen at test. Labels stay.

    Args:
        grid_size: Side of a tile in **pixels** of the network's input (not the number of tiles),
            or several of which each image draws one; 0 leaves the image whole. Tiles at the right
            and bottom edge may be cut. The paper uses 16, 32, 44, 56, or (0, 16, 32, 44, 56)
            for "mixed"; wsolevaluation's default is 4.
        probability: Chance of every tile to be hidden, for itself.

    Raises:
        ConfigError: A value out of range.
    """

    def __init__(self, grid_size: int | Sequence[int], probability: float = 0.5) -> None:
        sizes = tuple(grid_size) if isinstance(grid_size, Sequence) else (grid_size,)
        if not sizes or not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise ConfigError(f"grid_size={grid_size!r}", expected="pixels: integers of 0 or more")
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability={probability!r}", expected="0 <= value <= 1")
        self.grid_sizes = sizes
        self.probability = float(probability)

    def __call__(self, images: Tensor, samples: Samples) -> tuple[Tensor, Samples]:
        """``(B, 3, H, W)`` normalised images, tiles zeroed; the samples as they are."""
        count, _, height, width = images.shape
        hidden = self.hidden_pixels(count, (height, width), images.device)
        return images.masked_fill(hidden[:, None], 0), samples

    def hidden_pixels(
        self, batch_size: int, size: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Tensor:
        """``(B, H, W)`` bool: draw the pixels to hide, for images of ``size`` (H, W)."""
        if not any(self.grid_sizes):
            return torch.zeros(batch_size, *size, dtype=torch.bool, device=device)
        choices = torch.tensor(self.grid_sizes, device=device)
        drawn = choices[torch.randint(len(choices), (batch_size,), device=device)]
        finest = min(side for side in self.grid_sizes if side)
        sides = drawn.where(drawn > 0, finest)  # a whole image takes any grid, hidden nowhere
        rows, columns = (torch.arange(n, device=device) // sides[:, None] for n in size)
        grid = [-(-n // finest) for n in size]
        hidden = torch.rand(batch_size, *grid, device=device) < self.probability
        hidden &= (drawn > 0)[:, None, None]
        image = torch.arange(batch_size, device=device)[:, None, None]
        return hidden[image, rows[:, :, None], columns[:, None, :]]


def grid_problems(config: Config) -> list[ConfigError]:
    """Tiles that are no smaller than the training images: one tile would hide everything."""
    side = _image_side(plain(config.get("train_dataloader", {})).get("dataset", {}))
    problems = []
    for index, entry in enumerate(plain(config.model).get("batch_augmentations", ())):
        grid = entry.get("grid_size", 0) if entry.get("type") == "has.HideAndSeek" else 0
        largest = max(grid) if isinstance(grid, list | tuple) else grid
        if side is not None and largest >= side:
            problems.append(
                ConfigError(
                    f"tiles of {largest} pixels hide whole images of {side} pixels",
                    at=f"model.batch_augmentations[{index}].grid_size",
                    expected="a tile's side in pixels, well below the image's",
                )
            )
    return problems


def _image_side(dataset: Mapping[str, Any]) -> int | None:
    """The shorter side of the network's input, where the config says it."""
    sizes = [step["size"] for step in dataset.get("pipeline", ()) if "size" in step]
    size = sizes[-1] if sizes else dataset.get("image_size")
    sides = size if isinstance(size, list | tuple) else [size]
    return min((side for side in sides if isinstance(side, int)), default=None)
