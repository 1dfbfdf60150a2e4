"""The hooks: one for each extension point, all implemented by functions in a plugin's face.

Every hook but the last answers with a list of classes. It is called once, when the plugin is first
named by a ``type='<plugin>.<Class>'`` in a config, never during training. A class must subclass the
base class named here, and its name must be unique in the plugin. Import the classes inside the
function, so that discovering the plugin imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from mmcv.transforms import BaseTransform
    from mmengine.config import Config
    from mmengine.evaluator import BaseMetric
    from mmengine.hooks import Hook

    from wsoltool.datasets.base import LocalizationDataset
    from wsoltool.datasets.readers.base import RecordReader
    from wsoltool.engine.stages import Stage, StagePlan
    from wsoltool.errors import WsolError
    from wsoltool.models.contracts import (
        Backbone,
        BatchAugmentation,
        BoxExtractor,
        CAMHead,
        Eraser,
        Fusion,
        Loss,
        MapSource,
        Pooling,
        Recalibration,
    )

hookspec = pluggy.HookspecMarker("wsoltool")


@hookspec
def wsoltool_backbones() -> list[type[Backbone]]:
    """Networks as named steps; config key ``model.backbone``."""


@hookspec
def wsoltool_recalibrations() -> list[type[Recalibration]]:
    """Shape-keeping modules for ``model.inserts``, active in training and at test."""


@hookspec
def wsoltool_erasers() -> list[type[Eraser]]:
    """Hiding modules for ``model.inserts``, active in training only; may look at labels."""


@hookspec
def wsoltool_batch_augmentations() -> list[type[BatchAugmentation]]:
    """Changes of the normalised training batch; config key ``model.batch_augmentations``."""


@hookspec
def wsoltool_cam_heads() -> list[type[CAMHead]]:
    """Scores, losses and raw maps from features; config key ``model.head``."""


@hookspec
def wsoltool_map_sources() -> list[type[MapSource]]:
    """Other origins of maps, usable with any head; config key ``model.map_source``."""


@hookspec
def wsoltool_fusions() -> list[type[Fusion]]:
    """Views of the image, and their maps made one; config key ``model.fusion``."""


@hookspec
def wsoltool_box_extractors() -> list[type[BoxExtractor]]:
    """Boxes from a localization map; config key ``model.boxes``."""


@hookspec
def wsoltool_losses() -> list[type[Loss]]:
    """Losses on class scores; the ``loss`` key of a head."""


@hookspec
def wsoltool_poolings() -> list[type[Pooling]]:
    """A feature map to one value a channel; the ``pooling`` key of a head."""


@hookspec
def wsoltool_datasets() -> list[type[LocalizationDataset]]:
    """Data sets; the ``dataset`` key of a dataloader."""


@hookspec
def wsoltool_readers() -> list[type[RecordReader]]:
    """How data sets lie on disk; the ``reader`` key of data set ``Images``, and `wsoltool prepare`.

    Subclass :class:`~wsoltool.datasets.readers.base.Reader`.
    """


@hookspec
def wsoltool_transforms() -> list[type[BaseTransform]]:
    """Image transforms; the ``pipeline`` key of a data set."""


@hookspec
def wsoltool_metrics() -> list[type[BaseMetric]]:
    """Metrics beside the evaluator's own table; config key ``metrics``.

    A :class:`~wsoltool.evaluation.further.FurtherMetric` says which classes' maps it needs, and is
    printed as a table; any other ``BaseMetric`` as lines, on maps of the label and the top class.
    (An :class:`~wsoltool.evaluation.further.AskingMetric` has lines, and says what it needs.)
    """


@hookspec
def wsoltool_runner_hooks() -> list[type[Hook]]:
    """mmengine hooks that act during training; config key ``custom_hooks``."""


@hookspec
def wsoltool_stages() -> list[type[Stage]]:
    """Steps of a training in stages; an entry of config key ``stages``."""


@hookspec
def wsoltool_stage_plans() -> list[type[StagePlan]]:
    """All the stages of a method out of a few options; config key ``stages``."""


@hookspec
def wsoltool_check_config(config: Config) -> list[WsolError]:
    """Problems of a config that only the plugin can see, found before data or weights load.

    Called for every plugin that the config names, with the whole config; answer an empty list when
    all is well. Do not change the config.
    """
