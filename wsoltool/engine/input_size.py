"""The size at which a config's network sees an image, found without the data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from wsoltool.config import innermost_dataset
from wsoltool.datasets.base import run_pipeline
from wsoltool.engine.dataloaders import build_pipeline
from wsoltool.errors import ConfigError
from wsoltool.plugin.manager import catalogue
from wsoltool.registry import constructor_arguments
from wsoltool.structures import Size

PHOTO: Size = (375, 500)
"""The commonest size of a photo in ILSVRC and PASCAL VOC."""


@dataclass(frozen=True, slots=True)
class InputSize:
    """A size, and where it comes from.

    Attributes:
        size: (height, width) of what the network is given.
        source: In words.
    """

    size: Size
    source: str

    def __str__(self) -> str:
        return f"{self.size[0]} x {self.size[1]}, {self.source}"


def size_in_training(config: Mapping[str, Any]) -> InputSize:
    """What the train pipeline makes of a photo; the test pipeline's answer where there is none.

    Raises:
        ConfigError: The config has neither.
    """
    return _first_size(config, ("train_dataloader", "test_dataloader"))


def size_at_test(config: Mapping[str, Any]) -> InputSize:
    """What the test pipeline makes of a photo; the train pipeline's answer where there is none.

    Raises:
        ConfigError: The config has neither.
    """
    return _first_size(config, ("test_dataloader", "train_dataloader"))


def parse_size(values: Sequence[int], at: str) -> InputSize:
    """One or two lengths as they were typed.

    Raises:
        ConfigError: There are more.

    Example:
        >>> print(parse_size([224], "--size"))
        224 x 224, from --size
    """
    if len(values) > 2:
        expected = "a side length, or height and width"
        raise ConfigError(f"{len(values)} lengths make no size", at=at, expected=expected)
    return InputSize((values[0], values[-1]), f"from {at}")


def _first_size(config: Mapping[str, Any], loaders: Sequence[str]) -> InputSize:
    for loader in loaders:
        if loader in config:
            return pipeline_size(config, loader)
    raise ConfigError(
        "nothing says how large the network's input is",
        expected="train_dataloader or test_dataloader, whose pipeline makes it",
        hint="give --size SIDE, or --size HEIGHT WIDTH",
    )


def pipeline_size(config: Mapping[str, Any], loader: str) -> InputSize:
    """What the pipeline of a loader makes of a blank image.

    The blank is a photo of 375 x 500 pixels, or an image of the size that the data set makes
    itself: one that has an argument ``image_size`` (side length, or height and width). What a
    transform draws at random follows from a fixed seed.

    Raises:
        WsolError: A transform that cannot be built, or cannot take such an image.
    """
    dataset, at = innermost_dataset(config[loader]["dataset"], f"{loader}.dataset")
    own = _image_size(dataset, f"{at}.type")
    height, width = own or PHOTO
    blank = np.zeros((height, width, 3), np.uint8)
    with fixed_seed():
        results = run_pipeline(blank, build_pipeline(config, loader), f"{at}.pipeline")
    shown = results["img"].shape[:2]
    kind = "an image" if own else "a photo"
    name = loader.removesuffix("_dataloader")
    return InputSize(shown, f"from the {name} pipeline for {kind} of {height} x {width}")


def _image_size(dataset: Mapping[str, Any], at: str) -> Size | None:
    cls = catalogue().resolve(("data set",), dataset["type"], at)
    argument = constructor_arguments(cls).get("image_size")
    if argument is None:
        return None
    size = dataset.get("image_size", argument.default)
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


@contextmanager
def fixed_seed(seed: int = 0) -> Iterator[None]:
    """Draw from numpy's global generator as after a seed, and leave it as if nothing was drawn."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
