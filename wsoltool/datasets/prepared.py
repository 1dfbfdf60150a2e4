"""A data set that ``wsoltool prepare`` has checked, opened from its index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from wsoltool.datasets.base import Transform
from wsoltool.datasets.image_files import ImageFiles
from wsoltool.datasets.index import Index, open_index
from wsoltool.datasets.provenance import Provenance
from wsoltool.datasets.records import Records
from wsoltool.errors import DataError


class Prepared(ImageFiles):
    """A split of an index that ``wsoltool prepare`` wrote.

    Ids, labels and boxes stay in files that all loading workers share: a million images are there
    in milliseconds, and workers are sent no copy of them, however they are started.

    Args:
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        data_root: The index's folder, which ``wsoltool prepare`` wrote to.
        pipeline: Transforms, see :class:`LocalizationDataset`.
        images: Where the images are now, if they were moved; relative to ``data_root``.
        masks: The same for the files of masks and segments.

    Raises:
        DataError: The folder holds no index or a damaged one, or none of this split; or the
            images are not where they were.
    """

    def __init__(
        self,
        split: str,
        data_root: str | Path,
        pipeline: Sequence[Transform] = (),
        images: str | Path | None = None,
        masks: str | Path | None = None,
    ) -> None:
        root = Path(data_root)
        self.index = open_index(root)
        self.mask_folder = None if masks is None else root / masks
        super().__init__(
            split,
            pipeline,
            image_root=self.index.image_root if images is None else root / images,
            classes=self.index.classes,
            records=_open(self.index, split, self.mask_folder),
            box_convention=self.index.box_convention,
            exif=self.index.exif,
            segment_root=self.mask_folder or self.index.mask_root,
        )
        self.index_digest = self.index.digest
        self._check_folders()

    @cached_property
    def provenance(self) -> Provenance:
        return Provenance.of_index(self.index, self.split)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("records", "image_ids")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.records = _open(self.index, self.split, self.mask_folder)
        self.image_ids = self.records.ids

    def _check_folders(self) -> None:
        wanted = {("images", "images"): self.image_root}
        if self.records.masks is not None:
            wanted["mask files", "masks"] = self.records.masks.root
        if self.records.segments is not None:
            wanted["segmentations", "masks"] = self.segment_root
        for (what, option), folder in wanted.items():
            if not folder.is_dir():
                raise DataError(
                    f"the folder of the {what} does not exist",
                    at=str(folder),
                    expected=f"the folder that the index in {self.index.folder} was made of",
                    hint=f"if it was moved, give its place: {option}='/new/place'",
                )


def _open(index: Index, split: str, mask_folder: Path | None) -> Records:
    records = index.records(split)
    if mask_folder is None or records.masks is None:
        return records
    return replace(records, masks=replace(records.masks, root=mask_folder))
