"""Maps of the labelled classes as files, where no localization table is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wsoltool.errors import EvaluationError, WsolError
from wsoltool.evaluation.folder import write_map
from wsoltool.evaluation.further import AskingMetric
from wsoltool.evaluation.metric import Prediction
from wsoltool.evaluation.objects import image_classes
from wsoltool.evaluation.results import check_scored
from wsoltool.evaluation.scoring import label_of
from wsoltool.paths import class_file_name
from wsoltool.structures import Sample


class MapWriter(AskingMetric):
    """Writes maps and computes no figure.

    Files are arrays of the original image's size, float32 in [0, 1]. Of data sets with several
    classes an image each labelled class has one, ``<image id>/<index>_<class name>.npy`` (see
    :func:`wsoltool.paths.class_file_name`); an image without a label has none. Of others the one
    file is ``<image id>.npy``, as ``wsoltool evaluate`` reads it.

    Args:
        folder: Where to; folders of the ids are made below it.
        by_class: Whether images have several classes.
        collect_device: As in mmengine.
        collect_dir: As in mmengine.
    """

    def __init__(
        self,
        folder: str | Path,
        by_class: bool,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        # mmengine would warn about a missing prefix.
        super().__init__(collect_device, prefix="maps", collect_dir=collect_dir)
        self.prefix = None
        self.folder, self.by_class = Path(folder), by_class

    def asked_classes(self, sample: Sample, scores: np.ndarray) -> list[int]:
        return image_classes(sample)

    def process(self, data_batch: Any, data_samples: Sequence[Prediction]) -> None:
        """Write each image's maps.

        Raises:
            EvaluationError: A label is not known, or a file cannot be written.
        """
        for prediction in data_samples:
            image_id = prediction.sample.image_id
            try:
                for name, class_id in self._files(prediction).items():
                    values = prediction.map(class_id).astype(np.float32)
                    write_map(self.folder, name, values)
            except WsolError as error:
                raise error.located(image_id) from error
            self.results.append(image_id)

    def _files(self, prediction: Prediction) -> dict[str, int]:
        """The class of each map, by the map's name without ``.npy``."""
        sample = prediction.sample
        if not self.by_class:
            return {sample.image_id: label_of(sample)}
        if not np.ndim(sample.label) and sample.label < 0:
            raise EvaluationError(
                "image without a label",
                expected="known labels, whose maps are written",
                hint="wsoltool localize maps what the network sees in images without labels",
            )
        names = (self.dataset_meta or {}).get("classes")
        return {
            f"{sample.image_id}/{class_file_name(c, str(c) if names is None else names[c])}": c
            for c in image_classes(sample)
        }

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """No figure."""
        check_scored(results)
        return {}
