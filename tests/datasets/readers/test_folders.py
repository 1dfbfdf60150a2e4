"""Photos in folders named by class."""

from __future__ import annotations

import logging

import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.folders import ImageFolders
from wsoltool.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path, write_image):
    for name in ("train/dog/b.jpg", "train/dog/a.PNG", "train/cat/1.jpeg", "train/cat/old/2.jpg"):
        write_image(tmp_path / name)
    return tmp_path


def folder_set(split, root, folder="", **options) -> Images:
    """A data set whose splits all lie in one folder."""
    parts = dict.fromkeys(("train-weaksup", "test"), folder)
    return Images(split, root, ImageFolders(parts=parts, **options))


def refusal(*args, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        folder_set("train-weaksup", *args, **options)
    return caught.value


def test_classes_and_images_are_sorted(root):
    dataset = folder_set("train-weaksup", str(root), "train")
    assert dataset.classes == ("cat", "dog")
    ids = ["train/cat/1.jpeg", "train/cat/old/2.jpg", "train/dog/a.PNG", "train/dog/b.jpg"]
    assert list(dataset.image_ids) == ids
    assert [dataset.label(i) for i in range(4)] == [0, 0, 1, 1]
    image, sample = dataset[3]
    assert image.shape == (20, 30, 3)
    assert (sample.image_id, sample.label, sample.truth) == ("train/dog/b.jpg", 1, None)


def test_class_folders_directly_below_the_root(root):
    dataset = folder_set("train-weaksup", str(root / "train"))
    assert dataset.image_ids[0] == "cat/1.jpeg"


def test_boxes_are_needed_to_score(root):
    with pytest.raises(DataError, match="wsoltool localize") as caught:
        folder_set("test", str(root), "train")
    assert caught.value.at == "train/cat/1.jpeg"


def test_a_list_of_classes_fixes_the_order(root):
    dataset = folder_set("train-weaksup", str(root), "train", classes=["dog", "cat"])
    assert dataset.classes == ("dog", "cat")
    assert [dataset.label(i) for i in range(4)] == [0, 0, 1, 1]
    assert dataset.image_ids[0] == "train/dog/a.PNG"


@pytest.mark.parametrize(
    ("classes", "what", "hint"),
    [
        (["dog", "cats"], "'cats' is a class without folder", "did you mean 'cat'?"),
        (["dog"], "'cat' is a folder that the list of classes does not name", None),
        (["dog", "cat", "dog"], "'dog' is twice in the list", None),
    ],
)
def test_a_list_of_classes_names_every_folder(root, classes, what, hint):
    error = refusal(str(root), "train", classes=classes)
    assert what in error.what
    assert error.hint == hint


def test_other_files_are_counted_and_hidden_ones_ignored(root, write_image, caplog):
    cat = root / "train/cat"
    for name in ("notes.txt", "old/More.TXT", "README", ".DS_Store"):
        (cat / name).write_text("x")
    write_image(cat / ".thumbnails/1.jpg")
    write_image(cat / ".2.jpg")
    write_image(root / "train/.hidden/3.jpg")
    write_image(root / "train/stray.jpg")
    with caplog.at_level(logging.WARNING):
        dataset = folder_set("train-weaksup", str(root), "train")
    assert len(dataset) == 4
    assert "skipped 3 files of other kinds: .txt (2), no extension (1)" in caplog.text
    assert "1 images lie beside the class folders" in caplog.text


def test_clean_folders_are_silent(root, caplog):
    folder_set("train-weaksup", str(root), "train")
    assert not caplog.records


def test_an_empty_class_is_named(root):
    (root / "train/emu").mkdir()
    error = refusal(str(root), "train")
    assert error.at == f"{root}/train/emu"
    (root / "train/emu/1.heic").write_text("x")
    assert ".heic (1)" in refusal(str(root), "train").what


def test_roots_that_are_missing_empty_or_hold_splits(root, tmp_path):
    assert "does not exist" in refusal(str(root), "trian").what
    (tmp_path / "empty").mkdir()
    assert "no class folders" in refusal(str(tmp_path / "empty")).what
    (tmp_path / "empty").rmdir()
    error = refusal(str(root))
    assert "look like splits" in error.what
    assert error.hint == "choose one of them with parts={'train-weaksup': 'train'}"


def test_links(root):
    (root / "train/cat/loop").symlink_to(root / "train", target_is_directory=True)
    (root / "train/wolf").symlink_to(root / "train/dog", target_is_directory=True)
    dataset = folder_set("train-weaksup", str(root), "train")
    assert dataset.classes == ("cat", "dog", "wolf")
    assert [dataset.label(i) for i in range(len(dataset))] == [0, 0, 1, 1, 2, 2]


def test_names_that_are_not_ascii(tmp_path, write_image):
    write_image(tmp_path / "Vögel/größe 猫.jpg")
    dataset = folder_set("train-weaksup", str(tmp_path))
    assert dataset.classes == ("Vögel",)
    assert dataset[0][1].image_id == "Vögel/größe 猫.jpg"


def test_unknown_splits(root):
    with pytest.raises(ConfigError, match="no split train"):
        folder_set("train", str(root), "train")
