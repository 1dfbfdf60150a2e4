"""How soon a large data set is there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measurement import Measurement, Target, alternate, compare
from wsoltool.datasets.image_data import Images
from wsoltool.datasets.index import write_index
from wsoltool.datasets.metadata_files import CLASS_LABELS, IMAGE_IDS, IMAGE_SIZES
from wsoltool.datasets.readers.metadata import WsolMetadata

IMAGES, CLASSES = 1_281_167, 1000  # of ILSVRC's training set


def open_index(quick: bool = False) -> Measurement:
    """A training split as large as ILSVRC's, to the data set that training asks; wall time.

    The reference reads the same ids, labels and sizes from wsolevaluation's text metadata. The
    files were just written, so that no disk is waited for.
    """
    images, rounds = (1000, 1) if quick else (IMAGES, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader = write_metadata(folder, images)
        write_prepared(folder, reader)
        figures = alternate(
            lambda: _seconds(lambda: Images("train-weaksup", folder / "index")),
            lambda: _seconds(lambda: Images("train-weaksup", folder, reader)),
            rounds,
        )
    return compare("open", "s", Target("ratio", above=10), *figures)


def write_metadata(folder: Path, images: int) -> WsolMetadata:
    """Text metadata of images of ILSVRC's names, in ``train-weaksup``; no image is there."""
    metadata = folder / "metadata" / "train-weaksup"
    metadata.mkdir(parents=True)
    (folder / "images").mkdir()
    labels = [index * CLASSES // images for index in range(images)]
    names = [f"train/n{k:08d}/n{k:08d}_{index}.JPEG" for index, k in enumerate(labels)]
    files = {
        IMAGE_IDS: names,
        CLASS_LABELS: [f"{name},{label}" for name, label in zip(names, labels, strict=True)],
        IMAGE_SIZES: [f"{name},500,375" for name in names],
    }
    for file, lines in files.items():
        (metadata / file).write_text("\n".join(lines))
    return WsolMetadata()


def write_prepared(folder: Path, reader: WsolMetadata) -> None:
    """The same as an index."""
    reading = reader.read(folder, "train-weaksup")
    write_index(
        folder / "index",
        reader="WsolMetadata",
        options={},
        image_root=folder / "images",
        mask_root=folder,
        box_convention=reader.box_convention,
        exif=reader.exif,
        classes=reading.classes,
        splits={"train-weaksup": reading.records},
        quarantined={},
    )


def _seconds(way: Callable[[], Images]) -> float:
    start = time.perf_counter()
    dataset = way()
    # A data set is there once the last image is.
    assert dataset.image_ids[len(dataset) - 1]
    return time.perf_counter() - start
