"""What mask erasers would hide of an image; at test itself they hide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from wsoltool.models.backbones.base import Backbone
from wsoltool.models.contracts import MaskEraser
from wsoltool.models.erasing import mask_erasers
from wsoltool.models.insertion import Inserts
from wsoltool.models.modes import evaluating
from wsoltool.structures import Erasure, Hiding, Samples, View


@torch.no_grad()
def would_be_erased(
    backbone: Backbone, inserts: Inserts, images: Tensor, samples: Samples, view: View
) -> list[dict[str, Erasure]]:
    """What the mask erasers would hide of each image in training, by the name of their insert.

    The backbone runs once more if there is any, uncompiled: a picture is not worth a compilation.
    What an eraser hides is hidden from those that follow, as in training.

    Args:
        backbone: With the inserts on it.
        inserts: Those that are no mask erasers evaluate.
        images: ``(B, 3, H, W)`` normalised, as ``view`` shows them.
        samples: Of the same images.
        view: Is undone: the answer is not mirrored by it.

    Returns:
        One dict an image, in the order of the inserts, its maps ``(h, w)`` on the erasers' own
        grids; empty without mask erasers.
    """
    erasers = mask_erasers(inserts)
    found: list[dict[str, Erasure]] = [{} for _ in range(len(images))]
    if not erasers:
        return found
    with evaluating(backbone), mask_erasers_training(inserts), inserts.samples(samples):
        backbone.forward(images)
        for name, eraser in erasers.items():
            if eraser.hiding is not None:
                for own, erasure in zip(found, _erasures(eraser, eraser.hiding, view), strict=True):
                    own[name] = erasure
    return found


@contextmanager
def mask_erasers_training(network: nn.Module) -> Iterator[None]:
    """Within the block, the mask erasers of a network are in training mode, all else evaluates.

    What an eraser consists of evaluates, too: a BatchNorm within it, for example. Afterwards modes,
    erasers' records and their buffers are what they were.
    """
    erasers = [module for module in network.modules() if isinstance(module, MaskEraser)]
    before = [(e, e.hiding, [buffer.clone() for buffer in e.buffers()]) for e in erasers]
    with evaluating(network):
        try:
            for eraser in erasers:
                eraser.training, eraser.hiding = True, None
            yield
        finally:
            for eraser, hiding, values in before:
                eraser.hiding = hiding
                for buffer, value in zip(eraser.buffers(), values, strict=True):
                    buffer.copy_(value)


def _erasures(eraser: MaskEraser, hiding: Hiding, view: View) -> Iterator[Erasure]:
    """One image after the other."""
    kept = _on_cpu(hiding.kept, view)
    attention = None if hiding.attention is None else _on_cpu(hiding.attention, view)
    cases = [None] * len(kept) if hiding.cases is None else hiding.cases.tolist()
    for index, case in enumerate(cases):
        name = None if case is None else eraser.cases[case]
        yield Erasure(
            kept=kept[index].numpy(),
            hidden=1 - float(kept[index].mean()),
            attention=None if attention is None else attention[index].numpy(),
            case=name,
            meaning=eraser.meanings.get(name, "") if name else "",
        )


def _on_cpu(maps: Tensor, view: View) -> Tensor:
    return view.undo(maps).to("cpu", torch.float32)
