"""The core's erasers, and what is told of any; those that look at the image are in plugins."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import drop_block2d

from wsoltool.errors import ConfigError
from wsoltool.models.contracts import Eraser, MaskEraser
from wsoltool.structures import Samples

#: The figure that every mask eraser has, beside its cases.
HIDDEN_AREA = "hidden area"


class Dropout(Eraser):
    """Hides single values, drawn one by one (Srivastava et al., JMLR 2014).

    What is left is divided by 1 - ``probability``, as by torch's dropout. The standard benchmark's
    InceptionV3 has it before each of the two convolutions that it adds.

    Args:
        probability: Chance of every value to be hidden; 1 hides everything.
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ConfigError(f"Dropout: probability={probability!r}", expected="0 to 1")
        self.probability = probability

    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        return F.dropout(features, self.probability, training=True)


class DropBlock(Eraser):
    """Hides random squares, drawn for each channel alone (Ghiasi et al., NeurIPS 2018).

    What is left is scaled up so that the mean over the batch stays (arXiv:1810.12890,
    Algorithm 1). On a map smaller than ``block_size``, the square is the largest odd one that
    the map holds.

    Args:
        probability: Share of the cells to hide, roughly: squares may overlap.
        block_size: Side of a square in cells, odd.
    """

    def __init__(self, probability: float = 0.1, block_size: int = 7) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ConfigError(f"DropBlock: probability={probability!r}", expected="0 to 1")
        if block_size < 1 or block_size % 2 == 0:
            what = f"DropBlock: block_size={block_size!r}"
            raise ConfigError(what, expected="an odd number of cells: a square has a centre")
        self.probability, self.block_size = probability, block_size

    def erase(self, features: Tensor, samples: Samples) -> Tensor:
        side = min(self.block_size, *features.shape[-2:])
        side -= 1 - side % 2
        # The mask is made in float32: in float16 its sum overflows, and all would be hidden.
        ones = torch.ones_like(features, dtype=torch.float32)
        return features * drop_block2d(ones, self.probability, side).to(features.dtype)


def mask_erasers(inserts: nn.ModuleDict | None) -> dict[str, MaskEraser]:
    """Those of the inserts, by name, that tell what they hide; None for no inserts."""
    named = () if inserts is None else inserts.items()
    return {name: insert for name, insert in named if isinstance(insert, MaskEraser)}


def erasing_figures(inserts: nn.ModuleDict | None) -> dict[str, Tensor]:
    """What mask erasers in training did with the last batch, for the log.

    Args:
        inserts: By name; None for none.

    Returns:
        Scalars in [0, 1] by ``<insert>/<case>``, the share of images of each case, and
        ``<insert>/hidden area``, the share of all positions that is hidden.

    Example:
        >>> erasing_figures(None)
        {}
    """
    figures: dict[str, Tensor] = {}
    for name, eraser in mask_erasers(inserts).items():
        hiding = eraser.hiding
        if not eraser.training or hiding is None:
            continue
        if hiding.cases is not None:
            shares = {case: hiding.cases == index for index, case in enumerate(eraser.cases)}
            figures |= {f"{name}/{case}": own.float().mean() for case, own in shares.items()}
        figures[f"{name}/{HIDDEN_AREA}"] = 1 - hiding.kept.float().mean()
    return figures
