"""PASCAL VOC as its archives unpack: parts, labels, boxes, segmentations, and every defect."""

from __future__ import annotations

import numpy as np
import pytest
import torchvision.datasets.voc as reference

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.voc import CLASSES, PascalVOC
from wsoltool.datasets.readers.voc_xml import VocObject
from wsoltool.errors import ConfigError, DataError, ImageError, SupervisionError
from wsoltool.testing import check_reader
from wsoltool.testing.voc_trees import (
    VOC_OBJECTS,
    write_photo,
    write_segments,
    write_voc_tree,
    write_voc_xml,
)

CAT, DOG, PERSON = (CLASSES.index(name) for name in ("cat", "dog", "person"))


def voc_set(split, root, **options) -> Images:
    return Images(split, root, PascalVOC(**options))


def read(root, split="test", **options):
    """What the reader says of a split, problems included."""
    reader = PascalVOC(**options)
    return reader.read(reader.home(root), split)


def problem(root, split="test", **options):
    """The one image that cannot be used, and why."""
    reading = read(root, split, **options)
    (found,) = reading.problems
    return found.image, found.error


def classes_of(dataset) -> list[list[int]]:
    return [np.flatnonzero(dataset.label(i)).tolist() for i in range(len(dataset))]


def test_images_labels_and_boxes(voc_tree):
    dataset = voc_set("test", voc_tree)
    names = ("000005", "000006", "000007")
    assert list(dataset.image_ids) == [f"VOC2007/JPEGImages/{name}.jpg" for name in names]
    assert dataset.classes == CLASSES
    assert len(CLASSES) == 20
    assert dataset.multi_label
    assert classes_of(dataset) == [[CAT], [DOG], [PERSON]], "difficult objects are no label"
    image, sample = dataset[1]
    assert image.shape == (48, 64, 3)
    assert sample.size == (48, 64)
    # Written from 1 with last pixels: (12, 10, 48, 42) and the difficult (50, 2, 62, 20).
    assert sample.truth.boxes.tolist() == [[11, 9, 48, 42], [49, 1, 62, 20]]
    assert sample.truth.annotated_boxes.tolist() == [[11, 9, 47, 41], [49, 1, 61, 19]]
    assert sample.truth.labels.tolist() == [DOG, PERSON]
    assert sample.truth.difficult.tolist() == [False, True]
    assert dataset[0][1].truth.boxes.tolist() == [[1, 1, 31, 40], [32, 9, 64, 48]]


def test_boxes_show_the_pixels_of_their_objects(voc_tree):
    image, sample = voc_set("test", voc_tree)[0]
    for x0, y0, x1, y1 in sample.truth.boxes.astype(int).tolist():
        middle = np.median(image[y0:y1, x0:x1].reshape(-1, 3), axis=0)
        off = np.abs(image.astype(float) - middle).max(axis=2)
        assert off[y0:y1, [x0, x1 - 1]].mean() < 40, "the outermost columns are the object's"
        assert off[y0:y1, x0 - 1].mean() > 40, "the column before is not"
        assert off[y0 - 1, x0:x1].mean() > 40


def test_segmentations_agree_with_the_boxes(voc_tree):
    dataset = voc_set("test", voc_tree)
    segments = dataset.truth(1).segments
    assert segments.shape == (48, 64)
    assert segments[20, 20] == DOG + 1
    assert segments[10, 55] == -1, "the difficult person"
    assert segments[0, 0] == 0
    assert segments[9, 11] == -1
    assert dataset.truth(2).segments is None, "not in SegmentationClass"


def test_weaksup_reads_labels_alone(voc_tree):
    dataset = voc_set("train-weaksup", voc_tree)
    assert classes_of(dataset) == [[DOG], [DOG, PERSON], [CAT], [PERSON]]
    assert dataset.records.boxes is None
    assert dataset.records.segments is None
    with pytest.raises(SupervisionError):
        dataset.truth(0)


def test_difficult_objects_count_where_that_is_asked_for(voc_tree):
    dataset = voc_set("train-weaksup", voc_tree, difficult_labels=True)
    assert classes_of(dataset)[2] == [CAT, PERSON]
    dataset = voc_set("test", voc_tree, difficult_labels=True)
    assert classes_of(dataset)[1] == [DOG, PERSON]
    assert dataset.truth(1).difficult.tolist() == [False, True]


def test_an_image_of_difficult_objects_alone_has_no_class(voc_tree):
    path = voc_tree / "VOCdevkit/VOC2007/Annotations/000007.xml"
    write_voc_xml(path, [VocObject("cow", (1, 1, 2, 2), True)])
    dataset = voc_set("test", voc_tree)
    assert classes_of(dataset)[2] == []
    assert dataset.truth(2).labels.tolist() == [CLASSES.index("cow")]


@pytest.mark.parametrize("root", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_the_root_may_be_any_of_three_folders(voc_tree, root):
    dataset = voc_set("test", voc_tree / root)
    assert dataset.image_ids[0] == "VOC2007/JPEGImages/000005.jpg"
    assert dataset[0][0].shape == (48, 64, 3)


def test_several_years_are_joined(voc_tree):
    write_voc_tree(voc_tree, "2012")
    options = {"years": (2007, "2012"), "parts": {"train-weaksup": "Main/trainval"}}
    dataset = voc_set("train-weaksup", voc_tree, **options)
    assert len(dataset) == 8
    assert dataset.image_ids[4] == "VOC2012/JPEGImages/2012_000001.jpg"
    options["parts"] = {"train-weaksup": "Main/trainval", "test": "2007/Main/test"}
    assert len(voc_set("test", voc_tree, **options)) == 3
    assert dataset[7][0].shape == (48, 64, 3)


def test_parts_without_the_images_of_another(voc_tree):
    parts = {"train-weaksup": "Main/trainval", "test": "Segmentation/val"}
    without = {"Main/trainval": "Segmentation/val"}
    training = voc_set("train-weaksup", voc_tree, parts=parts, without=without)
    test = voc_set("test", voc_tree, parts=parts, without=without)
    stems = [name[-10:-4] for name in (*training.image_ids, *test.image_ids)]
    assert stems == ["000001", "000002", "000003", "000004"]
    assert all(test.truth(i).segments is not None for i in range(2))


def test_only_the_images_of_one_year_are_left_out(voc_tree):
    write_voc_tree(voc_tree, "2012")
    options = {
        "years": (2007, 2012),
        "parts": {"train-weaksup": "Main/trainval", "test": "2012/Segmentation/val"},
        "without": {"Main/trainval": "2012/Segmentation/val"},
    }
    training = voc_set("train-weaksup", voc_tree, **options)
    assert [name[3:7] for name in training.image_ids] == ["2007"] * 4 + ["2012"] * 2
    assert len(voc_set("test", voc_tree, **options)) == 2


def test_parts_that_others_are_taken_out_of_have_to_be_there(voc_tree):
    without = {"Main/tranval": "Segmentation/val"}
    with pytest.raises(DataError, match="no list Main/tranval"):
        voc_set("train-weaksup", voc_tree, without=without)
    without = {"Main/test": "Segmentation/vla"}
    with pytest.raises(DataError, match="no list Segmentation/vla"):
        voc_set("test", voc_tree, without=without)


def augmented(voc_tree, lines) -> Images:
    folder = voc_tree / "VOCdevkit/VOC2007"
    (folder / "ImageSets/SegmentationAug").mkdir()
    (folder / "ImageSets/SegmentationAug/trainaug.txt").write_bytes(lines.encode())
    for name in ("000001", "000002"):
        path = folder / f"SegmentationClassAug/{name}.png"
        write_segments(path, [VocObject("sofa", (1, 1, 64, 48))])
    options = {"parts": {"test": "SegmentationAug/trainaug"}, "segments": "SegmentationClassAug"}
    return voc_set("test", voc_tree, **options)


@pytest.mark.parametrize(
    "line", ["{}", "/JPEGImages/{}.jpg /SegmentationClassAug/{}.png", "JPEGImages/{}.jpg"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n\n"])
def test_lists_of_names_and_lists_of_files(voc_tree, line, line_end):
    lines = [line.format(name, name) for name in ("000001", "000002", "000003")]
    if "png" in line:
        lines[2] = lines[2].replace("SegmentationClassAug", "SegmentationClass")
    dataset = augmented(voc_tree, "\ufeff" + line_end.join(lines))
    assert len(dataset) == 3
    sofa = CLASSES.index("sofa") + 1
    assert [dataset.truth(i).segments[10, 30] for i in range(2)] == [sofa, sofa]
    third = dataset.truth(2).segments
    assert third is None or third[20, 30] == CAT + 1
    assert (third is not None) == ("png" in line), "files that a list names are taken"


def test_segmentations_of_a_chosen_folder_have_to_be_there(voc_tree):
    with pytest.raises(DataError, match="folder of the segmentations") as caught:
        voc_set("test", voc_tree, segments="SegmentationClassAug")
    assert caught.value.at.endswith("VOC2007/SegmentationClassAug")


def test_names_that_are_not_ascii(voc_tree):
    folder = voc_tree / "VOCdevkit/VOC2007"
    (folder / "ImageSets/Main/test.txt").write_text("größe_猫\n", encoding="utf-8")
    write_photo(folder / "JPEGImages/größe_猫.jpg")
    write_voc_xml(folder / "Annotations/größe_猫.xml", VOC_OBJECTS["000001"])
    dataset = voc_set("test", voc_tree)
    assert dataset[0][1].image_id == "VOC2007/JPEGImages/größe_猫.jpg"


def test_sizes_of_zero_are_taken_from_the_images(voc_tree):
    path = voc_tree / "VOCdevkit/VOC2007/Annotations/000006.xml"
    write_voc_xml(path, VOC_OBJECTS["000006"], size=(0, 0))
    dataset = voc_set("test", voc_tree)
    assert dataset.records.sizes is None
    assert dataset[1][1].size == (48, 64)


def test_the_contract(voc_tree):
    check_reader(PascalVOC(), voc_tree)
    write_voc_tree(voc_tree, "2012")
    parts = {"train-weaksup": "Main/trainval", "test": "Segmentation/val"}
    without = {"Main/trainval": "Segmentation/val"}
    check_reader(PascalVOC(years=(2007, 2012), parts=parts, without=without), voc_tree)


DEFECTS = [
    ("box 30,10,20,40 has no area", [VocObject("dog", (30, 10, 20, 40))]),
    ("has no area", [VocObject("dog", (5, 5, 9, 9)), VocObject("cat", (3, 9, 9, 7), True)]),
    ("box 1,1,65,48 lies outside the image of 64 x 48", [VocObject("dog", (1, 1, 65, 48))]),
    ("box 0,1,9,9 lies outside the image", [VocObject("dog", (0, 1, 9, 9))]),
    ("unknown class 'dgo'", [VocObject("dgo", (1, 1, 9, 9))]),
]


@pytest.mark.parametrize(("what", "objects"), DEFECTS)
def test_wrong_objects_are_a_problem_of_their_image(voc_tree, what, objects):
    path = voc_tree / "VOCdevkit/VOC2007/Annotations/000006.xml"
    write_voc_xml(path, objects)
    image, error = problem(voc_tree)
    assert image == "VOC2007/JPEGImages/000006.jpg"
    assert what in error.what
    assert error.at == str(path)
    assert len(read(voc_tree).records) == 2
    with pytest.raises(DataError, match="wsoltool prepare"):
        voc_set("test", voc_tree)


def test_boxes_are_not_looked_at_for_weaksup(voc_tree):
    path = voc_tree / "VOCdevkit/VOC2007/Annotations/000001.xml"
    write_voc_xml(path, [VocObject("dog", (30, 10, 20, 40))])
    assert len(voc_set("train-weaksup", voc_tree)) == 4


def test_near_names_of_classes(voc_tree):
    path = voc_tree / "VOCdevkit/VOC2007/Annotations/000006.xml"
    write_voc_xml(path, [VocObject("tv/monitor", (1, 1, 9, 9))])
    _, error = problem(voc_tree)
    assert error.hint == "did you mean 'tvmonitor'?"
    assert error.known == CLASSES


def test_annotations_that_are_missing_or_malformed(voc_tree):
    folder = voc_tree / "VOCdevkit/VOC2007/Annotations"
    (folder / "000005.xml").unlink()
    broken = folder / "000007.xml"
    broken.write_bytes(broken.read_bytes()[:120])
    reading = read(voc_tree)
    assert list(reading.records.ids) == ["VOC2007/JPEGImages/000006.jpg"]
    missing, malformed = reading.problems
    assert (missing.image[-10:], missing.error.at) == ("000005.jpg", str(folder / "000005.xml"))
    assert "does not exist" in missing.error.what
    assert malformed.error.at.startswith(f"{broken}:")
    assert "no valid XML" in malformed.error.what


def test_a_missing_image_is_found_on_loading(voc_tree):
    (voc_tree / "VOCdevkit/VOC2007/JPEGImages/000006.jpg").unlink()
    with pytest.raises(ImageError, match="does not exist"):
        voc_set("test", voc_tree)[1]


def test_an_image_listed_twice(voc_tree):
    path = voc_tree / "VOCdevkit/VOC2007/ImageSets/Main/test.txt"
    path.write_bytes(b"000005\r\n000006\r\n000005\r\n")
    image, error = problem(voc_tree)
    assert image == "VOC2007/JPEGImages/000005.jpg"
    assert error.what == "the image is listed twice"
    assert len(read(voc_tree).records) == 2


def test_lists_that_are_missing_or_of_one_class(voc_tree):
    lists = voc_tree / "VOCdevkit/VOC2007/ImageSets"
    (lists / "Main/dog_trainval.txt").write_text("000001  1\n000002 -1\n")
    with pytest.raises(DataError, match="no list Main/trianval") as caught:
        voc_set("test", voc_tree, parts={"test": "Main/trianval"})
    assert caught.value.at == str(lists / "Main/trianval.txt")
    assert "Segmentation/val" in caught.value.known
    assert not any("dog" in name for name in caught.value.known)
    assert caught.value.hint == "did you mean 'Main/trainval'?"
    with pytest.raises(DataError, match="2 words: '000001  1'") as caught:
        voc_set("test", voc_tree, parts={"test": "Main/dog_trainval"})
    assert caught.value.at == f"{lists}/Main/dog_trainval.txt:1"


def test_years_without_folder_or_test_annotations(voc_tree):
    with pytest.raises(DataError, match="VOC2012 does not exist") as caught:
        voc_set("test", voc_tree, years=("2012",))
    assert caught.value.known == ("VOC2007",)
    write_voc_tree(voc_tree, "2012")
    with pytest.raises(DataError, match="VOC2012 has no annotations of its test") as caught:
        voc_set("test", voc_tree, years=("2012",))
    assert "Main/val" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"years": "2007"}, "years is '2007'"),
        ({"years": 2007}, "years is 2007"),
        ({"years": ()}, "years is ()"),
        ({"years": (2007, "2007")}, "years is (2007, '2007')"),
        ({"years": (2013,)}, "unknown year 2013"),
        ({"parts": {"val": "Main/val"}}, "unknown split 'val'"),
    ],
)
def test_options_are_checked_at_once(options, message):
    with pytest.raises(ConfigError) as caught:
        PascalVOC(**options)
    assert message in caught.value.what


@pytest.mark.parametrize(
    ("years", "part", "count"),
    [
        (("2007",), "Main/trainval", 2501 + 2510),
        (("2007",), "Main/test", 4952),
        (("2012",), "Main/trainval", 5717 + 5823),
        (("2007", "2012"), "Main/trainval", 5011 + 11540),
        (("2007", "2012"), "2007/Main/test", 4952),
        ((2012,), "Segmentation/val", 1449),
        (("2012",), "SegmentationAug/trainaug", 10582),
        (("2007", "2012"), "Main/test", None),
        (("2012",), "Main/mine", None),
    ],
)
def test_published_counts(years, part, count):
    assert PascalVOC(years=years).published(part) == count


def test_no_count_is_published_of_a_part_without_another():
    parts, without = {"test": "Main/trainval"}, {"Main/trainval": "Segmentation/val"}
    assert PascalVOC(parts=parts, without=without).published("Main/trainval") is None


def test_archives_are_those_that_torchvision_knows():
    known = {entry["url"]: entry["md5"] for entry in reference.DATASET_YEAR_DICT.values()}
    every = PascalVOC(years=tuple(str(year) for year in range(2007, 2013)))
    assert len(every.downloads) == 6
    for download in every.downloads:
        assert known[download.url] == download.md5
    assert [d.url[-12:] for d in PascalVOC().downloads] == ["Nov-2007.tar"] * 2


def test_five_thousand_annotations_take_seconds(tmp_path):
    folder = tmp_path / "VOC2007"
    names = [f"{number:06}" for number in range(5000)]
    for name in names:
        write_voc_xml(folder / f"Annotations/{name}.xml", VOC_OBJECTS["000002"])
    (folder / "ImageSets/Main").mkdir(parents=True)
    (folder / "ImageSets/Main/trainval.txt").write_text("\n".join(names))
    dataset = voc_set("train-weaksup", tmp_path)
    assert dataset.records.labels[:, [DOG, PERSON]].sum() == 10000
