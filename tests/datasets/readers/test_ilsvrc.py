"""ILSVRC in its layouts: ids, labels, names, boxes read late, and every defect."""

from __future__ import annotations

import logging

import pytest
from PIL import Image

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.ilsvrc import ILSVRC
from wsoltool.datasets.readers.voc_xml import VocObject
from wsoltool.errors import ConfigError, DataError, SupervisionError
from wsoltool.testing import check_reader
from wsoltool.testing.voc_trees import (
    SYNSETS,
    write_ilsvrc_tree,
    write_photo,
    write_segments,
    write_voc_xml,
)

TENCH, CRANE, OTHER_CRANE = SYNSETS
BOX = VocObject(TENCH, (4, 6, 50, 40))


def ilsvrc_set(split, root, **options) -> Images:
    return Images(split, root, ILSVRC(**options))


def read(root, split="test", **options):
    reader = ILSVRC(**options)
    return reader.read(reader.home(root), split)


@pytest.fixture
def plain(tmp_path):
    write_ilsvrc_tree(tmp_path, "plain")
    return tmp_path


def test_training_images(ilsvrc_tree):
    dataset = ilsvrc_set("train-weaksup", ilsvrc_tree)
    wnids = [wnid for wnid in SYNSETS for _ in range(3)]
    expected = [f"train/{w}/{w}_{i % 3}.JPEG" for i, w in enumerate(wnids)]
    assert list(dataset.image_ids) == expected
    assert dataset.records.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset[8][0].shape == (48, 64, 3)
    assert dataset.records.boxes is None
    with pytest.raises(SupervisionError):
        dataset.truth(0)


def test_validation_images(ilsvrc_tree):
    dataset = ilsvrc_set("test", ilsvrc_tree)
    in_folders = (ilsvrc_tree / "val" / TENCH).is_dir()
    labels = [0, 0, 1, 1, 2, 2] if in_folders else [0, 1, 2, 0, 1, 2]
    assert dataset.records.labels.tolist() == labels
    assert (
        dataset.image_ids[0] == "val/" + f"{TENCH}/" * in_folders + "ILSVRC2012_val_00000001.JPEG"
    )
    image, sample = dataset[5]
    assert sample.size == image.shape[:2] == (48, 64)
    # The files' own numbers, as wsolevaluation takes them.
    assert sample.truth.boxes.tolist() == sample.truth.annotated_boxes.tolist() == [[6, 6, 50, 40]]


def test_the_contract(ilsvrc_tree):
    check_reader(ILSVRC(), ilsvrc_tree)


def test_names_come_from_the_synset_list(tmp_path):
    write_ilsvrc_tree(tmp_path, "official")
    names = ("tench", f"crane ({CRANE})", f"crane ({OTHER_CRANE})")
    for root in ("", "ILSVRC", "ILSVRC/Data/CLS-LOC"):
        dataset = ilsvrc_set("test", tmp_path / root)
        assert dataset.classes == names
        assert dataset.image_ids[0] == "val/ILSVRC2012_val_00000001.JPEG"
        assert len(dataset.truth(0).boxes) == 1


def test_without_a_list_names_are_wnids(plain):
    assert ilsvrc_set("test", plain).classes == tuple(SYNSETS)
    (plain / "synset_words.txt").write_text("\n".join(f"{w} {n}" for w, n in SYNSETS.items()))
    assert ilsvrc_set("test", plain).classes[0] == "tench"


def test_the_list_replaces_missing_training_images(tmp_path):
    images = write_ilsvrc_tree(tmp_path, "official")
    (images / "train").rename(tmp_path / "elsewhere")
    assert ilsvrc_set("test", tmp_path).records.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_weaksup_opens_no_annotation(ilsvrc_tree):
    for path in ilsvrc_tree.rglob("*.xml"):
        path.write_text("damaged")
    assert len(ilsvrc_set("train-weaksup", ilsvrc_tree)) == 9


def test_boxes_of_training_images_are_read_where_truth_is_needed(ilsvrc_tree):
    reading = read(ilsvrc_tree, "train-fullsup", parts={"train-fullsup": "train"})
    assert [name[-7:] for name in reading.records.ids] == ["_0.JPEG"] * 3
    assert reading.records.boxes.boxes.tolist() == [[4 + i, 6, 50, 40] for i in range(3)]
    assert reading.records.sizes.tolist() == [[48, 64]] * 3
    assert len(reading.problems) == 6, "images without annotation"
    assert "does not exist" in reading.problems[0].error.what
    assert reading.problems[0].error.at.endswith(f"train/{TENCH}/{TENCH}_1.xml")


def test_a_share_for_fullsup_reads_annotations_of_its_images_alone(ilsvrc_tree):
    share = {"fullsup_share": 0.5}
    kept, taken = (read(ilsvrc_tree, f"train-{s}", **share) for s in ("weaksup", "fullsup"))
    assert not kept.problems
    ids = [*kept.records.ids, *taken.records.ids, *(p.image for p in taken.problems)]
    assert sorted(ids) == sorted(ilsvrc_set("train-weaksup", ilsvrc_tree).image_ids)
    assert 0 < len(taken.records) + len(taken.problems) < 9


def test_training_boxes_of_other_classes_are_left_out(plain):
    path = plain / f"bbox_train/{TENCH}/{TENCH}_0.xml"
    other, human = VocObject(CRANE, (1, 1, 2, 2)), VocObject("Scottish_deerhound", (7, 8, 9, 10))
    write_voc_xml(path, [BOX, other, human])
    parts = {"train-fullsup": "train"}
    boxes = read(plain, "train-fullsup", parts=parts).records.boxes
    assert boxes[0].tolist() == [[4, 6, 50, 40], [7, 8, 9, 10]]
    write_voc_xml(path, [other])
    error = read(plain, "train-fullsup", parts=parts).problems[0].error
    assert error.what == "the image has neither box nor mask"


@pytest.mark.parametrize("folder", ["bbox_val", "val_xml", "ILSVRC2012_bbox_val_v3/val", "val"])
def test_annotations_in_usual_folders(plain, folder):
    (plain / "bbox_val").rename(plain / "xml")
    target = plain / folder
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((plain / "xml").iterdir()):
        path.rename(target / path.name)
    assert len(ilsvrc_set("test", plain).truth(0).boxes) == 1


def test_annotations_in_an_unusual_folder_are_named(plain):
    (plain / "bbox_val").rename(plain / "mine")
    with pytest.raises(DataError, match="annotations of val are in none") as caught:
        ilsvrc_set("test", plain)
    assert "Annotations/CLS-LOC/val, " in caught.value.expected
    assert "boxes={'val': 'folder'}" in caught.value.hint
    assert len(ilsvrc_set("test", plain, boxes={"val": "mine"})) == 6
    with pytest.raises(DataError, match="folder of annotations does not exist") as caught:
        ilsvrc_set("test", plain, boxes={"val": "yours"})
    assert caught.value.expected == "yours"


def test_some_classes_alone(ilsvrc_tree):
    options = {"wnids": [OTHER_CRANE, TENCH]}
    training = ilsvrc_set("train-weaksup", ilsvrc_tree, **options)
    assert training.records.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert training.image_ids[0].startswith(f"train/{OTHER_CRANE}")
    test = ilsvrc_set("test", ilsvrc_tree, **options)
    labels = dict(zip((name[-6] for name in test.image_ids), test.records.labels, strict=True))
    assert labels == {"1": 1, "3": 0, "4": 1, "6": 0}
    assert ILSVRC(**options).published("train") is None


def test_published_counts():
    assert (ILSVRC().published("train"), ILSVRC().published("val")) == (1281167, 50000)
    assert not ILSVRC().downloads, "needs registration"


def test_a_class_folder_that_is_missing_would_shift_labels(tmp_path):
    images = write_ilsvrc_tree(tmp_path, "official")
    (images / "train" / CRANE).rename(tmp_path / CRANE)
    with pytest.raises(DataError) as caught:
        ilsvrc_set("train-weaksup", tmp_path)
    assert caught.value.what == f"{CRANE} is a class without folder"
    assert caught.value.at == str(images / "train")
    assert "wnids" in caught.value.hint
    (tmp_path / CRANE).rename(images / "train" / CRANE)
    (images / "train/n09999999").mkdir()
    with pytest.raises(DataError, match="n09999999 is a folder, but not in the synset list"):
        ilsvrc_set("train-weaksup", tmp_path)


def test_a_class_folder_that_is_empty(plain):
    for path in (plain / "train" / CRANE).iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no image") as caught:
        ilsvrc_set("train-weaksup", plain)
    assert caught.value.at == str(plain / "train" / CRANE)


def test_stray_files_and_loops_of_links(plain, caplog):
    train = plain / "train"
    (train / "readme.txt").write_text("x")
    (train / "__MACOSX").mkdir()
    (train / TENCH / ".DS_Store").write_text("x")
    with caplog.at_level(logging.WARNING):
        assert len(ilsvrc_set("train-weaksup", plain)) == 9
        assert not caplog.records
        (train / TENCH / "list.txt").write_text("x")
        (train / TENCH / "loop").symlink_to(train, target_is_directory=True)
        assert len(ilsvrc_set("train-weaksup", plain)) == 9
    assert f"{train / TENCH}: 2 files or folders are no images and not used" in caplog.text


def test_names_that_are_not_ascii(plain):
    write_photo(plain / f"train/{TENCH}/größe 猫.JPEG")
    dataset = ilsvrc_set("train-weaksup", plain)
    assert dataset.image_ids[0] == f"train/{TENCH}/größe 猫.JPEG"
    assert dataset[0][0].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("objects", "what"),
    [
        ([VocObject(TENCH, (30, 6, 20, 40))], "box 30,6,20,40 has no area"),
        ([VocObject(TENCH, (4, 6, 65, 40))], "box 4,6,65,40 lies outside the image of 64 x 48"),
        ([VocObject("n00000000", (4, 6, 50, 40))], "n00000000"),
        ([], "the annotation has no object"),
        ([BOX, VocObject(CRANE, (1, 1, 2, 2))], f"objects of {TENCH}, {CRANE}"),
    ],
)
def test_wrong_objects_are_a_problem_of_their_image(ilsvrc_tree, objects, what):
    (path,) = ilsvrc_tree.rglob("ILSVRC2012_val_00000004.xml")
    write_voc_xml(path, objects)
    reading = read(ilsvrc_tree)
    (problem,) = reading.problems
    assert problem.image.endswith("ILSVRC2012_val_00000004.JPEG")
    assert what in problem.error.what
    assert problem.error.at == str(path)
    assert len(reading.records) == 5


def test_annotations_that_are_missing_or_malformed(ilsvrc_tree):
    first, second, *_ = sorted(ilsvrc_tree.rglob("ILSVRC2012_val_*.xml"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:90])
    problems = {p.image[-9:-5]: p.error for p in read(ilsvrc_tree).problems}
    assert problems.keys() == {"0001", "0002"}
    assert "does not exist" in problems["0001"].what
    assert problems["0002"].at.startswith(f"{second}:")


def test_class_folders_and_annotations_have_to_agree(tmp_path):
    write_ilsvrc_tree(tmp_path, "sorted")
    write_voc_xml(tmp_path / "bbox_val/ILSVRC2012_val_00000002.xml", [BOX])
    (problem,) = read(tmp_path).problems
    assert f"folder of {CRANE}, its annotation says {TENCH}" in problem.error.what


def test_boxes_may_fill_the_image_and_sizes_be_zero(plain):
    path = plain / "bbox_val/ILSVRC2012_val_00000001.xml"
    write_voc_xml(path, [VocObject(TENCH, (0, 0, 64, 48))])
    assert not read(plain).problems
    write_voc_xml(path, [VocObject(TENCH, (0, 0, 64, 48))], size=(0, 0))
    dataset = ilsvrc_set("test", plain)
    assert dataset.records.sizes is None
    assert dataset[0][1].size == (48, 64)


def test_png_and_cmyk_files_named_jpeg(plain):
    write_segments(plain / "p.png", [])
    (plain / "p.png").rename(plain / f"train/{TENCH}/{TENCH}_1.JPEG")
    path = plain / f"train/{TENCH}/{TENCH}_2.JPEG"
    Image.open(path).convert("CMYK").save(path, "JPEG")
    dataset = ilsvrc_set("train-weaksup", plain)
    assert [dataset[i][0].shape for i in (1, 2)] == [(48, 64, 3)] * 2


def test_folders_that_are_missing(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        ilsvrc_set("train-weaksup", tmp_path)
    assert caught.value.at == str(tmp_path / "train")
    assert "ILSVRC/Data/CLS-LOC" in caught.value.expected
    (tmp_path / "train/cats").mkdir(parents=True)
    with pytest.raises(DataError, match="no class folders"):
        ilsvrc_set("train-weaksup", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boxes": {"test": "x"}}, "unknown part 'test'"),
        ({"parts": {"test": "validation"}}, "unknown part 'validation'"),
        ({"wnids": TENCH}, "wnids is"),
        ({"wnids": []}, "wnids is []"),
        ({"wnids": [TENCH, TENCH]}, "wnids is"),
        ({"wnids": ["tench"]}, "wnids is ['tench']"),
    ],
)
def test_options_are_checked_at_once(options, message):
    with pytest.raises(ConfigError) as caught:
        ILSVRC(**options)
    assert message in caught.value.what
