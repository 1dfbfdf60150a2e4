"""A data set seen by groups of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.provenance import Provenance
from wsoltool.errors import DataError
from wsoltool.structures import Truth
from wsoltool_plugins.class_grouping.grouping import Grouping, read_groups


class GroupedClasses(LocalizationDataset):
    """The images of another data set, their classes replaced by the groups that hold them.

    An image has the label of every group that one of its classes is in; so do its boxes and
    segments. Two objects of one group stay two boxes. Images, splits, ids and transforms are those
    of the data set.

    Args:
        dataset: The data set of single classes.
        groups: The file that ``class_grouping.ClusterClasses`` wrote.
        level: 1 for the first grouping in the file, 2 for the next; 0 for the classes themselves.

    Attributes:
        dataset: The data set of single classes.
        group_ids: ``(K,)`` int64: the group of each class.

    Raises:
        DataError: The file cannot be used, is of other classes, or has no such level.
    """

    def __init__(self, dataset: LocalizationDataset, groups: str | Path, level: int) -> None:
        super().__init__(dataset.split, dataset.pipeline)
        grouping = read_groups(groups)
        _check_classes(dataset, grouping, str(groups))
        self.dataset = dataset
        self.group_ids = np.array(grouping.ids(level), np.int64)
        self.classes = grouping.names(level)
        self.multi_label = dataset.multi_label
        self.index_digest = dataset.index_digest
        # Of segments: 0 is the background, class c is c + 1, and -1, the last, is ignored.
        self._segment_labels = np.array([0, *(self.group_ids + 1), -1], np.int16)

    @property
    def image_ids(self) -> Sequence[str]:  # type: ignore[override]
        # Not kept here: a data set may leave its ids out of what goes to loading workers.
        return self.dataset.image_ids

    @cached_property
    def provenance(self) -> Provenance:
        return self.dataset.provenance

    def verify(self) -> None:
        self.dataset.verify()

    def load(self, index: int) -> np.ndarray:
        """The image, ``(H, W, 3)`` uint8 RGB."""
        return self.dataset.load(index)

    def label(self, index: int) -> int | np.ndarray:
        """Index of the group; or ``(number of groups,)`` float32 multi-hot, the union."""
        label = self.dataset.label(index)
        if not isinstance(label, np.ndarray):
            return label if label < 0 else int(self.group_ids[label])
        grouped = np.zeros(len(self.classes), np.float32)
        np.maximum.at(grouped, self.group_ids, label)
        return grouped

    def read_truth(self, index: int) -> Truth:
        """Boxes and masks as they are, with labels and segments by group."""
        truth = self.dataset.truth(index)
        labels, segments = truth.labels, truth.segments
        return replace(
            truth,
            labels=None if labels is None else self.group_ids[labels],
            segments=None if segments is None else self._segment_labels[segments],
        )


def _check_classes(dataset: LocalizationDataset, grouping: Grouping, at: str) -> None:
    found = list(dataset.classes)
    if found == list(grouping.classes):
        return
    pairs = zip(grouping.classes, found, strict=False)
    differ = next(((a, b) for a, b in pairs if a != b), None)
    shown = f", {differ[0]!r} where the data set has {differ[1]!r}" if differ else ""
    raise DataError(
        f"the groups are of {len(grouping.classes)} classes{shown}",
        at=at,
        expected=f"groups of the data set's {len(found)} classes in their order",
        hint="group the classes of this data set",
    )
