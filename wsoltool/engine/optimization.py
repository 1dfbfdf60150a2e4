"""Mixed precision that also runs where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from torch import nn


class Bfloat16OptimWrapper(OptimWrapper):
    """Forward in bfloat16 by autocast; weights, gradients and updates in float32.

    bfloat16 has float32's range, so no loss scaling is needed.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
