"""Does a reader keep the contract of :mod:`wsoltool.datasets.readers.base`?"""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.base import RecordReader
from wsoltool.datasets.records import Reading
from wsoltool.testing.requirements import require


def check_reader(reader: RecordReader, root: str | Path) -> None:
    """Read every split of a small, sound copy of the data set, twice.

    Class names are unique and equal in all splits; ids are plain paths of files that exist, no
    image is in two splits, and reading again answers the same; train-weaksup holds no box, the
    other splits hold boxes or masks; every image can be loaded with what is known of it.

    Args:
        reader: The reader.
        root: The data set's folder, with a few images.

    Raises:
        AssertionError: A breach of the contract, or an image that the reader reports as a problem.
        DataError: A file cannot be read.
    """
    require(pickle.loads(pickle.dumps(reader)) == reader, "the reader changes when pickled")
    require(bool(reader.splits()), "the reader has no split")
    home = reader.home(Path(root))
    readings = {split: reader.read(home, split) for split in reader.splits()}
    seen: dict[str, str] = {}
    for split, reading in readings.items():
        where = f"{type(reader).__name__}, {split}"
        _check_classes(where, reading, next(iter(readings.values())))
        _check_ids(where, reading, reader.image_root(home))
        for image_id in reading.records.ids:
            other = seen.setdefault(image_id, split)
            require(other == split, f"{where}: {image_id!r} is in {other} too")
        again = reader.read(home, split)
        require(again.records.ids == reading.records.ids, f"{where}: another order when read again")
        _check_truth(where, split, reading)
        images = Images(split, root, reader)
        for index in range(len(images)):
            images[index]


def _check_classes(where: str, reading: Reading, first: Reading) -> None:
    names = reading.classes
    require(all(isinstance(n, str) and n for n in names), f"{where}: a class without name")
    require(len(set(names)) == len(names), f"{where}: two classes of one name")
    require(names == first.classes, f"{where}: other classes than the first split has")


def _check_ids(where: str, reading: Reading, image_root: Path) -> None:
    if reading.problems:
        problem = reading.problems[0]
        raise AssertionError(f"{where}: {problem.image!r} is a problem: {problem.error}")
    require(len(reading.records) > 0, f"{where}: no image")
    for image_id in reading.records.ids:
        path = PurePosixPath(image_id)
        plain = "\\" not in image_id and not path.is_absolute() and ".." not in path.parts
        require(plain and str(path) == image_id, f"{where}: {image_id!r} is no plain path")
        require((image_root / path).is_file(), f"{where}: there is no file {image_id!r}")


def _check_truth(where: str, split: str, reading: Reading) -> None:
    records = reading.records
    has_truth = records.boxes is not None or records.masks is not None
    if split == "train-weaksup":
        require(not has_truth and records.segments is None, f"{where}: boxes in train-weaksup")
    else:
        require(has_truth, f"{where}: neither boxes nor masks")
