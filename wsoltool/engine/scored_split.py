"""The truth that maps are scored on: text metadata of a split, or a prepared index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wsoltool.datasets.image_sizes import header_sizes
from wsoltool.datasets.index import INDEX, Index, open_index
from wsoltool.datasets.metadata_files import IMAGE_IDS, IMAGE_SIZES, read_metadata
from wsoltool.datasets.provenance import Provenance
from wsoltool.datasets.records import Records
from wsoltool.datasets.splits import SPLITS
from wsoltool.errors import ConfigError, DataError

ANY_CLASS = 2**31 - 1  # what a split calls its classes; it need not have all of them


@dataclass(frozen=True, slots=True)
class SplitSource:
    """Where a split's truth is read.

    Attributes:
        folder: Of wsolevaluation text metadata; or ``DST/<split>``, where ``wsoltool prepare`` has
            written an index to ``DST``.
        masks: Folder of the mask files; None for boxes, or for an index that says where they are.
        images: Folder of the images, for their sizes where nothing else tells.
        box_convention: Of the annotation; None: what the index says, ``exclusive`` for text.
    """

    folder: Path
    masks: Path | None = None
    images: Path | None = None
    box_convention: str | None = None


@dataclass(frozen=True, slots=True)
class ScoredSplit:
    """A split as it is scored.

    Attributes:
        name: The folder's, where that is a split's, else ``test``.
        records: With boxes or masks; without sizes where nothing tells them.
        box_convention: ``exclusive`` or ``inclusive``.
        provenance: Which images these are.
    """

    name: str
    records: Records
    box_convention: str
    provenance: Provenance


def read_split(source: SplitSource, squashes: bool) -> ScoredSplit:
    """A split's truth, with the sizes of its images.

    Args:
        source: Where.
        squashes: All frames that maps are scored in are the same for all images: sizes of masks
            may then stand for those of images.

    Raises:
        DataError: The folder is none of the two kinds, or its files cannot be used.
        ConfigError: The index is of another box convention.
    """
    split = _read(source)
    records = split.records
    if records.sizes is not None:
        return split
    if records.masks is not None and squashes:
        # In such a frame an image is what its masks are, at whatever resolution.
        return replace(split, records=replace(records, sizes=records.masks.sizes()))
    hint = "--images DIR reads the sizes from the headers of the image files"
    if records.masks is not None:
        hint += "; --protocol wsolevaluation alone needs none, for it squashes images and masks"
    raise DataError(
        f"{IMAGE_SIZES} is missing or empty, and boxes need the images' sizes",
        at=str(source.folder / IMAGE_SIZES),
        expected="lines of image id,width,height",
        hint=hint,
    )


def _read(source: SplitSource) -> ScoredSplit:
    folder = source.folder
    if (folder / IMAGE_IDS).is_file():
        return _read_text(source)
    if folder.name in SPLITS and (folder.parent / INDEX).is_file():
        return _read_index(source, open_index(folder.parent))
    splits = sorted(path.parent.name for path in folder.glob(f"*/{IMAGE_IDS}"))
    if (folder / INDEX).is_file():
        splits = [split for split in open_index(folder).splits if split != "train-weaksup"]
    raise DataError(
        f"the metadata folder has no {IMAGE_IDS}",
        at=str(folder),
        expected="one split's folder, of text or of an index that wsoltool prepare wrote",
        known=splits,
        hint=f"--metadata {folder / splits[0]}" if splits else None,
    )


def _read_text(source: SplitSource) -> ScoredSplit:
    convention = source.box_convention or "exclusive"
    records = read_metadata(
        source.folder,
        with_boxes=True,
        box_convention=convention,
        num_classes=ANY_CLASS,
        mask_root=source.masks,
        image_root=source.images,
    )
    name = source.folder.name if source.folder.name in SPLITS else "test"
    return ScoredSplit(name, records, convention, Provenance.of(records.ids))


def _read_index(source: SplitSource, index: Index) -> ScoredSplit:
    name = source.folder.name
    if source.box_convention not in (None, index.box_convention):
        raise ConfigError(
            f"boxes are to be {source.box_convention}, those of the index are"
            f" {index.box_convention}",
            at=str(index.folder),
            hint="leave --box-convention out",
        )
    records = index.records(name)
    if records.boxes is None and records.masks is None:
        raise DataError(
            f"split {name} of the index has neither boxes nor masks",
            at=str(source.folder),
            expected="a split to score",
            known=[s for s in index.splits if s != "train-weaksup"],
        )
    if records.labels.ndim == 2:
        raise DataError(
            "the images have several labels; maps in files are those of one class an image",
            at=str(source.folder),
            expected="a data set with one label an image",
        )
    if source.masks is not None and records.masks is not None:
        records = replace(records, masks=replace(records.masks, root=source.masks))
    if records.sizes is None and source.images is not None:
        records = replace(records, sizes=header_sizes(source.images, records.ids))
    return ScoredSplit(name, records, index.box_convention, Provenance.of_index(index, name))
