"""A prepared data set: the same items as its reader gives, and nothing copied to workers."""

from __future__ import annotations

import pickle
import shutil
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from wsoltool.datasets.collate import check_disjoint, collate
from wsoltool.datasets.image_data import Images
from wsoltool.datasets.index import Quarantined, write_index
from wsoltool.datasets.readers.folders import ImageFolders
from wsoltool.datasets.readers.metadata import WsolMetadata
from wsoltool.datasets.records import Names, Records
from wsoltool.datasets.splits import ids_sha256
from wsoltool.errors import ConfigError, DataError, ImageError, SupervisionError
from wsoltool.plugin.manager import build

SPLITS = {"train-weaksup": "ab", "train-fullsup": "cd", "test": "efg"}


def prepare(folder: Path, reader, root: Path, quarantined=None, **changed) -> Path:
    """What ``wsoltool prepare`` writes, without its checks."""
    home = reader.home(root)
    readings = {split: reader.read(home, split) for split in reader.splits()}
    facts = {
        "reader": type(reader).__name__,
        "options": {"fullsup_share": reader.fullsup_share, "test_share": reader.test_share},
        "image_root": reader.image_root(home),
        "mask_root": reader.mask_root(home),
        "box_convention": reader.box_convention,
        "exif": reader.exif,
        "classes": readings["test"].classes,
        "splits": {split: reading.records for split, reading in readings.items()},
        "quarantined": quarantined or {},
        "remarks": ["odd"],
    }
    write_index(folder, **{**facts, **changed})
    return folder


@pytest.fixture
def root(tmp_path, write_image) -> Path:
    """Seven images of 20 x 30 in metadata; a box is (1, 2) to (index + 3, 9)."""
    for split, names in SPLITS.items():
        folder = tmp_path / "src/metadata" / split
        folder.mkdir(parents=True)
        lines = {"image_ids": "{i}\n", "class_labels": "{i},{k}\n", "image_sizes": "{i},30,20\n"}
        lines["localization"] = "{i},1,2,{x},9\n"
        for file, line in lines.items():
            rows = [
                line.format(i=f"{n}/1.png", k="abcdefg".index(n) % 2, x="abcdefg".index(n) + 3)
                for n in names
            ]
            (folder / f"{file}.txt").write_text("".join(rows))
    for seed, name in enumerate("abcdefg"):
        write_image(tmp_path / f"src/images/{name}/1.png", (20, 30), seed)
    return tmp_path / "src"


@pytest.fixture
def reader() -> WsolMetadata:
    return WsolMetadata(box_convention="inclusive")


@pytest.fixture
def index(tmp_path, root, reader) -> Path:
    return prepare(tmp_path / "index", reader, root, {"test": [Quarantined("x.png", "empty")]})


def assert_same_items(first, second):
    assert len(first) == len(second)
    for (pixels, sample), (other_pixels, other) in zip(first, second, strict=True):
        np.testing.assert_array_equal(pixels, other_pixels)
        assert (sample.image_id, sample.label, sample.size) == (
            *(other.image_id, other.label),
            other.size,
        )
        assert (sample.truth is None) == (other.truth is None)
        if sample.truth is not None:
            np.testing.assert_array_equal(sample.truth.boxes, other.truth.boxes)
            written = other.truth.annotated_boxes
            np.testing.assert_array_equal(sample.truth.annotated_boxes, written)


@pytest.mark.parametrize("split", SPLITS)
def test_items_are_those_of_the_reader(index, root, reader, split):
    prepared, read = Images(split, index), Images(split, root, reader)
    assert_same_items(prepared, read)
    assert prepared.classes == read.classes
    assert prepared.metainfo == read.metainfo


def test_masks_and_segments_of_a_reader_survive(tmp_path, write_image):
    """Masks lie elsewhere; ``masks`` says where."""
    for name in ("1.png", "2.png"):
        write_image(tmp_path / "src/images" / name)
        write_image(tmp_path / "src/masks" / name)
    for split, name in (("train-weaksup", "1.png"), ("test", "2.png")):
        folder = tmp_path / "src/metadata" / split
        folder.mkdir(parents=True)
        for file, line in (("image_ids", name), ("class_labels", f"{name},0")):
            (folder / f"{file}.txt").write_text(line)
        (folder / "localization.txt").write_text(f"{name},{name},{name}")
    reader = WsolMetadata(masks="masks", parts={"train-weaksup": "train-weaksup", "test": "test"})
    index = prepare(tmp_path / "index", reader, tmp_path / "src")
    expected = Images("test", tmp_path / "src", reader).truth(0)
    np.testing.assert_array_equal(Images("test", index).truth(0).mask, expected.mask)
    (tmp_path / "src/masks").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="the folder of the mask files does not exist") as caught:
        Images("test", index)
    assert "masks='/new/place'" in caught.value.hint
    moved = Images("test", index, masks=tmp_path / "moved")
    np.testing.assert_array_equal(moved.truth(0).mask, expected.mask)
    again = pickle.loads(pickle.dumps(moved))
    np.testing.assert_array_equal(again.truth(0).mask, expected.mask)


def test_boxes_of_train_weaksup_are_not_there(index):
    dataset = Images("train-weaksup", index)
    with pytest.raises(SupervisionError):
        dataset.truth(0)
    with pytest.raises(DataError, match="has no boxes"):
        dataset.read_truth(0)


def test_it_knows_where_it_comes_from(index, root, reader):
    prepared = Images("test", index).provenance
    ids = ["e/1.png", "f/1.png", "g/1.png"]
    assert prepared.plain() == {
        "images": 3,
        "ids_sha256": ids_sha256(ids),
        "quarantined": 1,
        "remarks": ["odd"],
        "shares": {},
    }
    assert Images("train-weaksup", index).provenance.quarantined == 0
    read = Images("test", root, reader).provenance
    assert read.ids_sha256 == prepared.ids_sha256
    assert (read.quarantined, read.remarks) == (None, ())


def test_shares_are_told(tmp_path, write_image):
    for index in range(24):
        write_image(tmp_path / f"src/a/{index}.png")
    reader = ImageFolders(fullsup_share=0.25, test_share=0.3)
    folder = prepare(tmp_path / "index", reader, tmp_path / "src")
    shares = {"train-fullsup": 0.25, "test": 0.3}
    assert Images("train-weaksup", tmp_path / "src", reader).provenance.shares == shares
    assert Images("train-weaksup", folder).provenance.shares == shares


def test_splits_of_one_index_are_known_to_be_apart(index, monkeypatch):
    sets = [Images(split, index) for split in SPLITS]
    monkeypatch.setattr(Names, "__iter__", None)
    check_disjoint(sets)


def test_moved_images_are_found_by_their_new_place(index, root):
    pixels = Images("test", index)[0][0]
    (root / "images").rename(root.parent / "moved")
    with pytest.raises(DataError, match="the folder of the images does not exist") as caught:
        Images("test", index)
    assert caught.value.at == str(root / "images")
    assert "images='/new/place'" in caught.value.hint
    for place in (root.parent / "moved", "../moved"):
        np.testing.assert_array_equal(Images("test", index, images=place)[0][0], pixels)


def test_another_photo_in_an_images_place_is_refused(index, root, write_image):
    write_image(root / "images/e/1.png", (21, 30))
    with pytest.raises(DataError, match="the image has 30 x 21 pixels, its record says 30 x 20"):
        Images("test", index)[0]


def test_a_folder_without_index_and_a_missing_split_are_named(index, root):
    with pytest.raises(DataError, match="holds no index"):
        Images("test", root)
    content = (index / "index.json").read_text().replace('"train-fullsup"', '"else"')
    (index / "index.json").write_text(content)
    with pytest.raises(DataError, match="no split train-fullsup"):
        Images("train-fullsup", index)


def test_configs_build_it(index):
    config = {"type": "Images", "split": "test", "pipeline": [{"type": "Resize", "size": 8}]}
    dataset = build("data set", config, "test_dataloader.dataset", data_root=index)
    assert dataset[0][0].shape == (8, 8, 3)


def test_it_is_pickled_without_what_its_files_hold(tmp_path):
    """An index of 1e5 images, 30 bytes each in ids alone."""
    (tmp_path / "images").mkdir()
    ids = Names.of(f"n01440764/n01440764_{index:06d}.JPEG" for index in range(100_000))
    records = Records(ids, np.arange(100_000) % 7, np.full((100_000, 2), 9))
    facts = {"reader": "X", "options": {}, "box_convention": "exclusive", "exif": False}
    roots = {"image_root": tmp_path / "images", "mask_root": tmp_path}
    classes = [f"class {index}" for index in range(1000)]
    write_index(
        tmp_path / "i",
        **facts,
        **roots,
        classes=classes,
        splits={"train-weaksup": records},
        quarantined={},
    )
    dataset = Images("train-weaksup", tmp_path / "i")
    content = pickle.dumps(dataset)
    assert len(content) < 100_000
    again = pickle.loads(content)
    assert again.image_ids == dataset.image_ids == ids
    np.testing.assert_array_equal(again.records.labels, records.labels)
    assert again.image_ids[99_999] == "n01440764/n01440764_099999.JPEG"
    assert again.classes == dataset.classes
    assert again.index_digest == dataset.index_digest
    assert isinstance(again.records.labels.base, np.memmap)


def test_an_index_that_was_replaced_meanwhile_is_noticed(index, root, reader):
    content = pickle.dumps(Images("test", index))
    pickle.loads(content)
    shutil.rmtree(index)
    other = Records(Names.of(["new.png"]), np.zeros(1, np.int64))
    prepare(index, reader, root, splits={"test": other})
    with pytest.raises(DataError, match="run `wsoltool prepare` again"):
        pickle.loads(content)


@pytest.mark.parametrize("method", [m for m in get_all_start_methods() if m != "forkserver"])
def test_workers_load_it_however_they_start(index, method):
    dataset = Images("test", index)
    loader = DataLoader(
        dataset, batch_size=3, num_workers=1, collate_fn=collate, multiprocessing_context=method
    )
    (batch,) = loader
    assert [sample.image_id for sample in batch["samples"]] == ["e/1.png", "f/1.png", "g/1.png"]
    for row, (pixels, _) in enumerate(dataset):
        np.testing.assert_array_equal(batch["inputs"][row].numpy(), pixels)


def test_a_config_with_its_reader_opens_the_index(tmp_path, root):
    reader = WsolMetadata(parts={s: s for s in SPLITS})
    made = {"parts": {split: split for split in SPLITS}}
    folder = prepare(tmp_path / "own", reader, root, options=made)
    dataset = Images("test", folder, reader)
    assert dataset.index_digest == Images("test", folder).index_digest
    assert list(dataset.image_ids) == list(Images("test", root, reader).image_ids)


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (WsolMetadata(box_convention="inclusive"), 'WsolMetadata with box_convention="inclusive"'),
        (ImageFolders(), "ImageFolders"),
    ],
)
def test_an_index_of_another_reader_is_refused(tmp_path, root, reader, said):
    folder = prepare(tmp_path / "own", WsolMetadata(), root, options={})
    with pytest.raises(ConfigError) as caught:
        Images("test", folder, reader)
    assert f"made with WsolMetadata(), the config's reader is {said}" in caught.value.what
    assert caught.value.at == str(folder / "index.json")


def test_places_are_of_moved_files_alone(root):
    with pytest.raises(ConfigError, match="for an index whose files were moved"):
        Images("test", root, WsolMetadata(), images="elsewhere")


def test_a_broken_image_points_to_the_command_that_finds_all(tmp_path, root, index, reader):
    read, prepared = Images("test", root, reader), Images("test", index)
    read.path(0).write_bytes(b"")
    for dataset, told in ((read, True), (prepared, False)):
        with pytest.raises(ImageError) as caught:
            dataset[0]
        assert ("`wsoltool prepare` finds all such files" in caught.value.hint) == told


def test_damage_of_the_index_is_found_by_verify(root, index, reader):
    Images("test", root, reader).verify()
    dataset = Images("test", index)
    dataset.verify()
    path = next((index / "test").glob("labels-*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(DataError, match="does not hold what was written") as caught:
        dataset.verify()
    assert caught.value.at == str(path)
    Images("train-weaksup", index).verify()
