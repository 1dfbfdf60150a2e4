"""Checks for plugin authors: does a component keep its contract?

Each function runs a component on small random tensors, in training and evaluation where that
matters, and raises AssertionError naming the first breach of what
:mod:`wsoltool.models.contracts` asks; :func:`check_reader` reads a small copy of a data set. Use
them in a plugin's tests beside tests of the maths::

    from wsoltool.testing import check_head

    def test_contract():
        check_head(MyHead(channels={"last": 8}, num_classes=4), {"last": 8})

The checks fix torch's seed within themselves and restore the generator's state. They leave modules
in evaluation mode.
"""

from wsoltool.testing.answers import check_box_extractor, check_fusion
from wsoltool.testing.backbones import check_backbone
from wsoltool.testing.heads import check_head, check_loss, check_map_source
from wsoltool.testing.modules import (
    check_batch_augmentation,
    check_eraser,
    check_pooling,
    check_recalibration,
)
from wsoltool.testing.readers import check_reader
from wsoltool.testing.samples import random_samples

__all__ = [
    "check_backbone",
    "check_batch_augmentation",
    "check_box_extractor",
    "check_eraser",
    "check_fusion",
    "check_head",
    "check_loss",
    "check_map_source",
    "check_pooling",
    "check_reader",
    "check_recalibration",
    "random_samples",
]
