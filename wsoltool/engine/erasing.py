"""Tells after every epoch what mask erasers did with its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from wsoltool.engine.hooks import tell
from wsoltool.errors import ConfigError
from wsoltool.models.contracts import MaskEraser
from wsoltool.models.erasing import HIDDEN_AREA, mask_erasers


class ErasingHook(Hook):
    """Writes a line for each mask eraser into the log: shares of its cases, and the hidden area.

    They are means over all images that the epoch has trained on, those of all processes. After
    the last epoch people are told too, and what to do about erasers that hide nothing.

    Raises:
        ConfigError: After the first step, where the attention of an eraser is negative: thresholds
            at shares of its maximum then mean nothing.
    """

    def __init__(self) -> None:
        self._checked = False
        self._sums: dict[str, Tensor] = {}
        self._images = 0

    def before_train_epoch(self, runner: Runner) -> None:
        self._sums, self._images = {}, 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        if not self._checked:
            check_attention(_erasers(runner))
            self._checked = True
        images = len(data_batch["samples"])
        self._images += images
        outputs = outputs or {}
        for name in _figures(_erasers(runner)):
            if name in outputs:
                # Summed where it is: a number asked of a GPU in every step would wait for it.
                share = images * outputs[name].detach().double()
                self._sums[name] = share + self._sums[name] if name in self._sums else share

    def after_train_epoch(self, runner: Runner) -> None:
        if not self._sums:
            return
        means, last = self._means(), runner.epoch + 1 == runner.max_epochs
        for name, eraser in _erasers(runner).items():
            figures = {key: means[key] for key in _figures({name: eraser}) if key in means}
            if not figures:
                continue
            line = f"epoch {runner.epoch + 1}, {_line(name, eraser, figures)}"
            if not last:
                runner.logger.info(line)
                continue
            tell(runner, line)
            if not figures[f"{name}/{HIDDEN_AREA}"]:
                tell(runner, _idle(name, eraser))

    def _means(self) -> dict[str, float]:
        """The shares over all images of all processes, the same in each."""
        sums = torch.stack([*self._sums.values()]).cpu()
        sums = torch.cat([sums, sums.new_tensor([self._images])])
        all_reduce(sums)
        *totals, images = sums.tolist()
        return {name: total / images for name, total in zip(self._sums, totals, strict=True)}


def check_attention(erasers: Mapping[str, MaskEraser]) -> None:
    """Raise ConfigError if an eraser's attention of the last batch is negative somewhere."""
    for name, eraser in erasers.items():
        attention = None if eraser.hiding is None else eraser.hiding.attention
        if attention is not None and attention.min() < 0:
            raise ConfigError(
                f"{type(eraser).__name__} at {name} looks at negative activations",
                at="model.inserts",
                expected="an insert point behind a ReLU, such as relu5_3 for conv5_3",
                hint="wsoltool complexity CONFIG --points lists them",
            )


def _erasers(runner: Runner) -> dict[str, MaskEraser]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return mask_erasers(getattr(model, "inserts", None))


def _figures(erasers: dict[str, MaskEraser]) -> list[str]:
    """Names in the log, as :func:`~wsoltool.models.erasing.erasing_figures` gives them."""
    return [f"{name}/{key}" for name, e in erasers.items() for key in (*e.cases, HIDDEN_AREA)]


def _line(name: str, eraser: MaskEraser, figures: dict[str, float]) -> str:
    cases = [case for case in eraser.cases if f"{name}/{case}" in figures]
    shares = ", ".join(f"{case} {figures[f'{name}/{case}']:.1%}" for case in cases)
    area = f"{figures[f'{name}/{HIDDEN_AREA}']:.1%} of the area hidden"
    told = f"{shares} of the images; {area}" if cases else area
    return f"{type(eraser).__name__} at {name}: {told}".replace("%", " %")


def _idle(name: str, eraser: MaskEraser) -> str:
    return (
        f"{type(eraser).__name__} at {name} hides nothing: the last epoch trained as without it."
        " Its thresholds may not suit maps of this size: change them or its place in model.inserts"
    )
