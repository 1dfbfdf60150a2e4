"""COCO json: what is read, what is cut, and what is refused with its place in the file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.coco import CocoJson
from wsoltool.datasets.readers.coco_lists import read_categories
from wsoltool.errors import DataError
from wsoltool.testing import check_reader

TRAIN, VAL = (Path(f"annotations/instances_{part}2017.json") for part in ("train", "val"))


def edit(path, change) -> None:
    """Change the parsed file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def problems(root, split="test", **options):
    """Image -> error."""
    reading = CocoJson(**options).read(root, split)
    return {problem.image: problem.error for problem in reading.problems}


def refusal(root, split="test", **options) -> DataError:
    with pytest.raises(DataError) as caught:
        Images(split, root, CocoJson(**options))
    return caught.value


def test_keeps_the_contract(coco_tree):
    check_reader(CocoJson(), coco_tree)


def test_labels_follow_the_categories_ids(coco_tree):
    dataset = Images("train-weaksup", coco_tree, CocoJson())
    assert dataset.classes == ("car", "train", "toothbrush")
    assert dataset.multi_label
    assert list(dataset.image_ids) == [f"train2017/{n}.jpg" for n in (1, 2, 3)]
    # A crowd counts as its class; the third image shows none.
    assert dataset.records.labels.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert dataset.records.boxes is None
    assert dataset[2][1].truth is None


def test_boxes_classes_and_crowds(coco_tree):
    dataset = Images("test", coco_tree, CocoJson())
    truth = dataset[0][1].truth
    assert truth.boxes.tolist() == [[2.5, 3.25, 12.5, 8.75], [0, 0, 9, 9]]
    assert truth.labels.tolist() == [2, 1]
    assert truth.difficult.tolist() == [False, True]
    assert dataset.records.sizes.tolist() == [[20, 30], [20, 30]]
    without = dataset[1][1].truth
    assert without.boxes.shape == (0, 4)
    assert without.labels.tolist() == []


def test_shares_part_the_training_images(coco_tree):
    reader = CocoJson(fullsup_share=0.5, parts={"train-weaksup": "train2017"}, test_share=0.3)
    found = [
        name for split in reader.splits() for name in reader.read(coco_tree, split).records.ids
    ]
    assert sorted(found) == [f"train2017/{n}.jpg" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ([25, 10, 5.01, 10.02], [25, 10, 30, 20]),
        ([-0.5, 0, 3, 21], [0, 0, 2.5, 20]),
        ([29, 19, 2, 2], [29, 19, 30, 20]),
    ],
)
def test_a_pixel_beyond_the_border_is_cut(coco_tree, bbox, expected):
    edit(coco_tree / VAL, lambda c: c["annotations"][0].update(bbox=bbox))
    assert Images("test", coco_tree, CocoJson()).truth(0).boxes[0].tolist() == expected


@pytest.mark.parametrize(
    ("bbox", "what"),
    [
        ([25, 10, 6.5, 5], "box 25,10,31.5,15 lies outside the image of 30 x 20"),
        ([-1.5, 0, 5, 5], "lies outside"),
        ([5, 5, 0, 3], "box 5,5,5,8 has no area"),
        ([5, 5, 3, -2], "has no area"),
    ],
)
def test_wrong_boxes_are_problems_where_boxes_are_read(coco_tree, bbox, what):
    for path in (TRAIN, VAL):
        edit(coco_tree / path, lambda c: c["annotations"][1].update(bbox=bbox))
    found = problems(coco_tree)
    assert found.keys() == {"val2017/größe 猫.jpg"}
    (error,) = found.values()
    assert what in error.what
    assert error.at == f"{coco_tree / VAL}: annotations[1]"
    assert not problems(coco_tree, "train-weaksup")


@pytest.mark.parametrize(
    "bbox",
    [None, [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, "3", 4], [1, 2, float("nan"), 4], {"x": 1}],
)
def test_boxes_that_are_none(coco_tree, bbox):
    edit(coco_tree / VAL, lambda c: c["annotations"][1].update(bbox=bbox))
    (error,) = problems(coco_tree).values()
    assert error.what.startswith("bbox is ")
    assert error.at.endswith(": annotations[1]")


def test_annotations_of_unknown_categories_and_images(coco_tree):
    def change(content):
        first, second = content["annotations"]
        first["category_id"] = 8
        content["annotations"] += [{**second, "image_id": 99}, {**second, "image_id": [1]}]
        content["annotations"] += [{**second, "image_id": 99}]

    edit(coco_tree / VAL, change)
    found = problems(coco_tree)
    assert found.keys() == {"val2017/größe 猫.jpg", "val2017/image 99", "val2017/image [1]"}
    first, second, third = found.values()
    assert (first.what, first.at) == (
        "category_id 8 is none of the categories",
        f"{coco_tree / VAL}: annotations[0]",
    )
    assert second.what == "image_id 99 is none of the images (and 1 more annotations)"
    assert second.at.endswith(": annotations[2]")
    assert third.at.endswith(": annotations[3]")
    error = refusal(coco_tree)
    assert "lists all 3 such images" in error.hint


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"id": None}, "the image's id is None"),
        ({"id": True}, "the image's id is True"),
        ({"id": [3]}, "the image's id is [3]"),
        ({"file_name": ""}, "the image has no file_name"),
        ({"file_name": 7}, "the image has no file_name"),
        ({"file_name": "/b.jpg"}, "'/b.jpg' leads out of the image folder"),
        ({"file_name": "../b.jpg"}, "leads out"),
        ({"file_name": r"C:\photos\b.jpg"}, "leads out"),
        ({"height": 0}, "the image's width and height are 30 and 0"),
        ({"height": None}, "are 30 and None"),
        ({"width": 30.5}, "are 30.5 and 20"),
        ({"width": float("inf")}, "are inf and 20"),
        ({"id": 20}, "2 images have id 20"),
    ],
)
def test_wrong_images_are_named(coco_tree, values, what):
    edit(coco_tree / VAL, lambda c: c["images"][1].update(values))
    error = [*problems(coco_tree).values()][-1]
    assert what in error.what
    assert error.at == f"{coco_tree / VAL}: images[1]"
    assert error.expected


def test_a_file_that_is_listed_twice(coco_tree):
    edit(coco_tree / VAL, lambda c: c["images"].append({**c["images"][1], "id": 22}))
    (error,) = problems(coco_tree).values()
    assert error.what == "the image is listed twice"
    assert error.at.endswith("images[2]")


def test_sizes_may_be_missing(coco_tree):
    edit(coco_tree / VAL, lambda c: [i.pop(k) for i in c["images"] for k in ("height", "width")])
    dataset = Images("test", coco_tree, CocoJson())
    assert dataset.records.sizes is None
    assert dataset[0][1].size == (20, 30)


def test_an_image_of_another_size_is_found_on_loading(coco_tree, write_image):
    write_image(coco_tree / "val2017/b.jpg", (30, 20))
    with pytest.raises(DataError, match=r"has 20 x 30 pixels, its record says 30 x 20"):
        Images("test", coco_tree, CocoJson())[1]


def test_subfolders_backslashes_and_other_places(coco_tree, write_image):
    edit(coco_tree / VAL, lambda c: c["images"][1].update(file_name="x\\y\\b.jpg"))
    write_image(coco_tree / "photos/x/y/b.jpg", (20, 30))
    (coco_tree / VAL).rename(coco_tree / "val.json")
    for images in ("photos", "photos/.", "./photos"):
        reader = CocoJson(annotations="{part}.json", images=images, parts={"test": "val"})
        reading = reader.read(coco_tree, "test")
        assert [*reading.records.ids] == ["photos/größe 猫.jpg", "photos/x/y/b.jpg"]
    (coco_tree / "x/y").mkdir(parents=True)
    (coco_tree / "photos/x/y/b.jpg").rename(coco_tree / "x/y/b.jpg")
    for images in ("", "."):
        reader = CocoJson(annotations="{part}.json", images=images, parts={"test": "val"})
        dataset = Images("test", coco_tree, reader)
        assert dataset.image_ids[1] == "x/y/b.jpg"
        assert dataset.load(1).shape == (20, 30, 3)


def test_one_class_an_image(coco_tree):
    edit(coco_tree / VAL, lambda c: c["annotations"][1].update(image_id=21))
    dataset = Images("test", coco_tree, CocoJson(multi_label=False))
    assert [dataset.label(i) for i in range(2)] == [2, 1]
    assert dataset.truth(0).labels is None
    found = problems(coco_tree, "train-weaksup", multi_label=False)
    assert {name: error.what for name, error in found.items()} == {
        "train2017/2.jpg": "the image has 2 classes",
        "train2017/3.jpg": "the image has 0 classes",
    }


def test_windows_files(coco_tree):
    text = (coco_tree / VAL).read_text(encoding="utf-8")
    (coco_tree / VAL).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(Images("test", coco_tree, CocoJson())) == 2


@pytest.mark.parametrize("split", ["train-weaksup", "test"])
def test_no_json_is_named_with_its_line(coco_tree, split):
    path = coco_tree / (TRAIN if split == "train-weaksup" else VAL)
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:8]))
    error = refusal(coco_tree, split)
    assert error.what.startswith("the file is no json: ")
    assert error.at == f"{path}:8"
    assert "fetch it again" in error.hint


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_lists_that_are_missing(coco_tree, key):
    path = coco_tree / VAL
    edit(path, lambda c: c.pop(key))
    assert refusal(coco_tree).what == f"the file has no list {key!r}"
    edit(path, lambda c: c.update({key: [3]}))
    error = refusal(coco_tree)
    assert (error.what, error.at) == ("3 is no object", f"{path}: {key}[0]")
    path.write_text("[]")
    assert refusal(coco_tree).what == "the file has no list 'images'"


def test_missing_files_and_splits(coco_tree):
    (coco_tree / TRAIN).unlink()
    assert refusal(coco_tree).at == str(coco_tree / TRAIN)
    assert len(Images("test", coco_tree, CocoJson(parts={"test": "val2017"}))) == 2
    with pytest.raises(DataError, match="the data set's folder does not exist"):
        Images("test", coco_tree / "none", CocoJson())


@pytest.mark.parametrize(
    ("categories", "what", "place"),
    [
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "id 1 is that of categories[0] too", 1),
        ([{"id": "1", "name": "a"}], "the category's id is '1'", 0),
        ([{"id": True, "name": "a"}], "the category's id is True", 0),
        ([{"name": "a"}], "the category's id is None", 0),
        ([{"id": 1, "name": " "}], "the category has no name", 0),
        ([{"id": 1}], "the category has no name", 0),
    ],
)
def test_wrong_categories(coco_tree, categories, what, place):
    for path in (TRAIN, VAL):
        edit(coco_tree / path, lambda c: c.update(categories=categories))
    for split in ("train-weaksup", "test"):
        error = refusal(coco_tree, split)
        assert error.what == what
        assert error.at.endswith(f".json: categories[{place}]")
    edit(coco_tree / TRAIN, lambda c: c.update(categories=[]))
    assert refusal(coco_tree, "train-weaksup").what == "there are no categories"


def test_parts_have_the_same_categories(coco_tree):
    edit(coco_tree / VAL, lambda c: c["categories"].reverse())
    assert not problems(coco_tree), "their order in the file says nothing"
    edit(coco_tree / VAL, lambda c: c["categories"].pop())
    error = refusal(coco_tree)
    assert error.what == "the categories are not those of instances_train2017.json"
    assert error.at == str(coco_tree / VAL)


def test_categories_of_one_name_can_be_told_apart(coco_tree):
    for path in (TRAIN, VAL):
        edit(coco_tree / path, lambda c: c["categories"][0].update(name="car"))
    dataset = Images("test", coco_tree, CocoJson())
    assert dataset.classes == ("car (3)", "train", "car (90)")


def test_categories_are_found_without_parsing_the_rest(coco_tree):
    path = coco_tree / VAL
    decoy = {"categories": [], "text": '"categories": [{"id": 1, "name": "decoy"}]'}

    def change(content):
        categories = content.pop("categories")
        content["images"][0].update(categories=["decoy"])
        content.update(info=decoy, categories=categories)

    edit(path, change)
    expected = ("car", "train", "toothbrush")
    assert read_categories(path).names == expected
    path.write_text(path.read_text() + "}}} no json")
    assert read_categories(path).names == expected


def test_published_counts():
    reader = CocoJson()
    counts = [reader.published(part) for part in ("train2017", "val2017", "val2014", "train")]
    assert counts == [118287, 5000, 40504, None]


def test_only_the_parts_in_use_are_fetched():
    def names(**parts):
        return [item.url.rpartition("/")[2] for item in CocoJson(parts=parts).downloads]

    annotations = "annotations_trainval2017.zip"
    assert names() == [annotations, "train2017.zip", "val2017.zip"]
    assert names(test="val2017") == [annotations, "val2017.zip"]
    assert names(test="val") == []
    assert all(re.fullmatch("[0-9a-f]{32}", item.md5) for item in CocoJson().downloads)


def test_many_images_take_seconds(tmp_path):
    count, random = 12_000, np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(count)]
    corners = random.uniform(1, 200, (7 * count, 4)).round(2).tolist()
    owners = random.permutation(np.repeat(np.arange(count), 7)).tolist()
    annotations = [
        {"image_id": owner, "category_id": 1 + owner % 5, "bbox": bbox, "iscrowd": 0}
        for owner, bbox in zip(owners, corners, strict=True)
    ]
    categories = [{"id": key, "name": f"c{key}"} for key in range(1, 6)]
    lists = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "all.json").write_text(json.dumps(lists))
    reader = CocoJson(annotations="all.json", parts={"test": "x"})
    records = reader.read(tmp_path, "test").records
    assert len(records.boxes.boxes) == 7 * count
    assert (records.boxes.counts() == 7).all()
    np.testing.assert_array_equal(records.labels.argmax(axis=1), np.arange(count) % 5)
    wanted = [corners[place] for place, owner in enumerate(owners) if owner == count - 1]
    found = records.boxes[count - 1]
    found[:, 2:] -= found[:, :2]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.fixture(scope="module")
def coco128(real_data) -> Path:
    root = real_data / "coco128"
    if not root.is_dir():
        pytest.skip("WSOLTOOL_DATA names no folder that holds coco128")
    return root


@pytest.mark.parametrize(
    ("part", "boxes", "crowds", "classes", "empty", "several"),
    [("train2017", 939, 10, 71, 2, 101), ("val2017", 898, 0, 73, 0, 112)],
)
def test_real_images(coco128, part, boxes, crowds, classes, empty, several):
    dataset = Images("test", coco128, CocoJson(parts={"test": part}))
    assert len(dataset) == 128
    assert len(dataset.classes) == 80
    table, labels = dataset.records.boxes, dataset.records.labels
    assert len(table.boxes) == boxes
    assert (0 if table.difficult is None else table.difficult.sum()) == crowds
    assert labels.any(axis=0).sum() == classes
    assert (labels.sum(axis=1) == 0).sum() == empty
    assert (labels.sum(axis=1) > 1).sum() == several


def test_real_training_images_hold_no_box(coco128):
    check_reader(CocoJson(), coco128)
    dataset = Images("train-weaksup", coco128, CocoJson())
    assert dataset.records.boxes is None
    assert dataset[0][1].label.sum() == dataset.records.labels[0].sum()
