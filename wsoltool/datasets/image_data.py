"""The data set of image files: read by a reader, or opened from what ``wsoltool prepare`` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from wsoltool.datasets.base import Transform
from wsoltool.datasets.image_files import ImageFiles
from wsoltool.datasets.index import INDEX, Index, open_index
from wsoltool.datasets.provenance import Provenance, made_shares
from wsoltool.datasets.readers.base import RecordReader
from wsoltool.datasets.records import Problem, Records
from wsoltool.errors import ConfigError, DataError, WsolError


class Images(ImageFiles):
    """A data set as its authors publish it, your own photos, or what was prepared of either.

    Where ``data_root`` holds an index that ``wsoltool prepare`` wrote, that is opened, so a config
    needs another ``data_root`` and nothing else: a million images are there in milliseconds, and
    ids, labels and boxes stay in files that all loading workers share, however they are started.

    Args:
        split: ``train-weaksup``, ``train-fullsup`` or ``test``.
        data_root: The data set's folder, or the folder of its index.
        reader: How it lies on disk: ``dict(type="CUB200")``, ``dict(type="ImageFolders")`` ...;
            `wsoltool plugins core` lists them. An index needs none; if one is given, it must be
            the one that the index was made with.
        pipeline: Transforms, see :class:`LocalizationDataset`.
        images: Where the images of an index are now, if they were moved; relative to
            ``data_root``.
        masks: The same for the files of masks and segments.

    Raises:
        ConfigError: The data set has no such split, there is neither reader nor index, or the
            index was made otherwise.
        DataError: A file is missing or wrong, or an image that is listed cannot be used.
    """

    def __init__(
        self,
        split: str,
        data_root: str | Path,
        reader: RecordReader | None = None,
        pipeline: Sequence[Transform] = (),
        images: str | Path | None = None,
        masks: str | Path | None = None,
    ) -> None:
        root = Path(data_root)
        # Without a reader it must be an index: what is wrong with it is then told.
        self.index = open_index(root) if reader is None or (root / INDEX).is_file() else None
        self.mask_folder = None if masks is None else root / masks
        self._shares: dict[str, float] = {}
        if self.index is not None:
            if reader is not None:
                _check_same(self.index, reader)
            image_root = self.index.image_root if images is None else root / images
            super().__init__(split, pipeline, **self._indexed(self.index, split, image_root))
            self.index_digest = self.index.digest
            self._check_folders()
        else:
            assert reader is not None
            _check_not_moved(root, images, masks)
            super().__init__(split, pipeline, **_read(reader, root, split))
            self._shares = made_shares(vars(reader))

    @cached_property
    def provenance(self) -> Provenance:
        if self.index is not None:
            return Provenance.of_index(self.index, self.split)
        return replace(Provenance.of(self.image_ids), shares=self._shares)

    def verify(self) -> None:
        """Compare the split's files of the index with what was written, byte by byte."""
        if self.index is not None:
            self.index.verify(self.split)

    def _indexed(self, index: Index, split: str, image_root: Path) -> dict[str, Any]:
        """What :class:`ImageFiles` is to be made of."""
        return {
            "image_root": image_root,
            "classes": index.classes,
            "records": _open(index, split, self.mask_folder),
            "box_convention": index.box_convention,
            "exif": index.exif,
            "segment_root": self.mask_folder or index.mask_root,
        }

    def __getstate__(self) -> dict[str, Any]:
        left = () if self.index is None else ("records", "image_ids")
        return {key: value for key, value in self.__dict__.items() if key not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.index is not None:
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
                    expected="the folder that the index was made of",
                    hint=f"if it was moved, give its place: {option}='/new/place'",
                )


def _read(reader: RecordReader, root: Path, split: str) -> dict[str, Any]:
    """What :class:`ImageFiles` is to be made of."""
    home = reader.home(root)
    reading = reader.read(home, split)
    if reading.problems:
        raise problem_of_many(reading.problems)
    return {
        "image_root": reader.image_root(home),
        "classes": reading.classes,
        "records": reading.records,
        "box_convention": reader.box_convention,
        "exif": reader.exif,
        "segment_root": reader.mask_root(home),
    }


def _check_not_moved(root: Path, images: object, masks: object) -> None:
    if images is not None or masks is not None:
        raise ConfigError(
            "images and masks are for an index whose files were moved",
            at=str(root),
            expected=f"an {INDEX}, which `wsoltool prepare` writes",
        )


def problem_of_many(problems: Sequence[Problem]) -> WsolError:
    """The first problem's error, which tells how many there are."""
    error = problems[0].error
    many = "it" if len(problems) == 1 else f"all {len(problems)} such images"
    way = f"`wsoltool prepare` lists {many}, and can go on without them"
    error.hint = f"{error.hint}; {way}" if error.hint else way
    return error


def _check_same(index: Index, reader: RecordReader) -> None:
    """Raise unless an index was made with this very reader."""
    name = type(reader).__name__
    made, wanted = index.reader.rpartition(".")[2], _options(reader)
    found = _options(type(reader)(**index.options)) if made == name else {}
    if made != name or found != wanted:
        differ = {key: value for key, value in wanted.items() if found.get(key, value) != value}
        said = " ".join(f"{key}={json.dumps(value)}" for key, value in differ.items())
        raise ConfigError(
            f"the index was made with {index.reader}({_shown(index.options)}), the config's reader"
            f" is {name}" + (f" with {said}" if said else ""),
            at=str(index.folder / INDEX),
            expected="the reader and the options that `wsoltool prepare` was given",
            hint="prepare the data set again as the config says, or take the reader out of it",
        )


def _options(reader: RecordReader) -> dict[str, Any]:
    """A reader's options as JSON has them, for which lists and tuples are one."""
    return json.loads(json.dumps(asdict(reader), default=str))


def _shown(options: Any) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in options.items())


def _open(index: Index, split: str, mask_folder: Path | None) -> Records:
    records = index.records(split)
    if mask_folder is None or records.masks is None:
        return records
    return replace(records, masks=replace(records.masks, root=mask_folder))
