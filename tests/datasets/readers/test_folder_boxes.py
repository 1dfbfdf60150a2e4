"""Boxes for photos in class folders: XML beside them or in a mirrored tree, or one json file."""

from __future__ import annotations

import json

import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.folders import ImageFolders
from wsoltool.datasets.readers.voc_xml import VocObject
from wsoltool.errors import DataError
from wsoltool.testing import check_reader
from wsoltool.testing.voc_trees import write_voc_xml

PARTS = {"train-weaksup": "train", "test": "val"}
SIZE = (20, 30)


def write_xml(path, *objects, size=SIZE) -> None:
    """Objects are name, box as written and, if so, True for difficult."""
    write_voc_xml(path, [VocObject(*thing) for thing in objects], size)


@pytest.fixture
def beside(photos):
    """XML files beside the photos of ``val``; those of ``train`` have none."""
    write_xml(photos / "val/cat/5.xml", ("cat", (1, 1, 30, 20)), ("dog", (2, 2, 9, 9)))
    write_xml(photos / "val/dog/6.xml", ("dog", (3, 4, 10, 12), True), ("dog", (5, 6, 7, 8)))
    return photos


def write_json(path, images, annotations) -> None:
    """Images are id and file_name, annotations image id, category id and xywh."""
    names = {1: "cat", 2: "dog"}
    content = {
        "images": [{"id": i, "file_name": f, "height": 20, "width": 30} for i, f in images],
        "annotations": [
            {"image_id": i, "category_id": c, "bbox": box, "iscrowd": 0}
            for i, c, box in annotations
        ],
        "categories": [{"id": key, "name": name} for key, name in names.items()],
    }
    path.write_text(json.dumps(content))


def folders(annotations, **options) -> ImageFolders:
    return ImageFolders(**{"parts": PARTS, "annotations": annotations, **options})


def boxes(root, annotations, **options):
    """Image -> its boxes."""
    dataset = Images("test", root, folders(annotations, **options))
    samples = [dataset[index][1] for index in range(len(dataset))]
    return {sample.image_id: sample.truth.boxes.tolist() for sample in samples}


def problems(root, annotations, split="test", **options):
    """Image -> error."""
    found = folders(annotations, **options).read(root, split).problems
    return {problem.image: problem.error for problem in found}


def test_keeps_the_contract(beside):
    check_reader(folders("."), beside)


def test_xml_beside_the_photos(beside):
    assert boxes(beside, ".") == {
        "val/cat/5.jpg": [[0, 0, 30, 20]],
        "val/dog/6.jpg": [[2, 3, 10, 12], [4, 5, 7, 8]],
    }
    truth = Images("test", beside, folders(".")).truth(1)
    assert truth.difficult.tolist() == [True, False]
    assert truth.labels is None


def test_training_images_need_no_annotation(beside):
    (beside / "train/cat/1.xml").write_text("no XML")
    dataset = Images("train-weaksup", beside, folders("."))
    assert len(dataset) == 4
    assert dataset.records.boxes is None


def test_annotations_are_no_strange_files(beside, caplog):
    Images("test", beside, folders("."))
    assert not caplog.records
    ImageFolders(parts={"train-weaksup": "val"}).read(beside, "train-weaksup")
    assert "skipped 2 files of other kinds: .xml (2)" in caplog.text


def test_xml_in_a_tree_of_its_own(beside, photos):
    for name in ("val/cat/5.xml", "val/dog/6.xml"):
        (photos / "xml" / name).parent.mkdir(parents=True)
        (photos / name).rename(photos / "xml" / name)
    check_reader(folders("xml"), photos)
    assert boxes(photos, "xml")["val/cat/5.jpg"] == [[0, 0, 30, 20]]


def test_a_folder_of_annotations_is_no_class(photos):
    for name in ("cat/1", "cat/old/2", "dog/3", "dog/4"):
        write_xml(photos / f"train/xml/{name}.xml", (name[:3], (2, 2, 9, 9)))
        (photos / "train/xml" / name).parent.mkdir(exist_ok=True)
    reader = ImageFolders(annotations="xml", fullsup_share=0.5, test_share=0.2)
    reading = reader.read(photos / "train", "train-fullsup")
    assert reading.classes == ("cat", "dog")
    assert not reading.problems
    ids = [name for s in reader.splits() for name in reader.read(photos / "train", s).records.ids]
    assert sorted(ids) == ["cat/1.jpg", "cat/old/2.jpg", "dog/3.jpg", "dog/4.jpg"]


def test_boxes_of_tools_that_count_from_zero_are_cut(beside):
    write_xml(beside / "val/cat/5.xml", ("cat", (0, 0, 31, 20)))
    assert boxes(beside, ".")["val/cat/5.jpg"] == [[0, 0, 30, 20]]


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ((9, 4, 5, 6), "box 8,3,5,6 has no area"),
        ((-1, 4, 5, 6), "box -2,3,5,6 lies outside the image"),
        ((3, 4, 32, 6), "lies outside the image of 30 x 20"),
    ],
)
def test_wrong_boxes_name_their_file(beside, box, what):
    write_xml(beside / "val/cat/5.xml", ("cat", box))
    (error,) = problems(beside, ".").values()
    assert what in error.what
    assert error.at == f"{beside}/val/cat/5.xml"


def test_other_objects_are_not_the_images_own(beside):
    write_xml(beside / "val/cat/5.xml", ("dog", (2, 2, 9, 9)), ("Cat", (1, 1, 5, 5)))
    found = problems(beside, ".")
    assert found.keys() == {"val/cat/5.jpg"}
    error = found["val/cat/5.jpg"]
    assert error.what == "no object 'cat' is annotated, only Cat, dog"
    assert error.at == f"{beside}/val/cat/5.xml"
    assert error.hint == "did you mean 'Cat'?"
    write_xml(beside / "val/cat/5.xml")
    assert problems(beside, ".")["val/cat/5.jpg"].what == "no object 'cat' is annotated"


def test_annotations_that_are_missing_or_damaged(beside):
    (beside / "val/cat/5.xml").unlink()
    (beside / "val/dog/6.xml").write_text("<annotation>\n<object>")
    found = problems(beside, ".")
    assert found["val/cat/5.jpg"].what == "the annotation file does not exist"
    assert "no valid XML" in found["val/dog/6.jpg"].what
    with pytest.raises(DataError, match="the folder of the annotations does not exist"):
        folders("none").read(beside, "test")


def test_an_annotation_of_another_size(beside):
    write_xml(beside / "val/cat/5.xml", ("cat", (1, 1, 20, 20)), size=(30, 20))
    with pytest.raises(DataError, match="its record says 20 x 30"):
        Images("test", beside, folders("."))[0]


def test_a_json_file_by_paths(photos):
    images = [(1, "val/cat/5.jpg"), (2, "val\\dog\\6.jpg"), (3, "train/cat/1.jpg")]
    annotations = [(1, 1, [0, 0, 30, 20.01]), (2, 2, [1, 2, 3, 4]), (2, 1, [0, 0, 5, 5])]
    write_json(photos / "boxes.json", images, annotations)
    check_reader(folders("boxes.json"), photos)
    expected = {"val/cat/5.jpg": [[0, 0, 30, 20]], "val/dog/6.jpg": [[1, 2, 4, 6]]}
    assert boxes(photos, "boxes.json") == expected
    # Below the part's folder, in a file of the part.
    write_json(photos / "val.json", [(1, "cat/5.jpg"), (2, "dog/6.jpg")], annotations)
    assert boxes(photos, "{part}.json") == expected


def test_a_json_file_by_names(photos, write_image):
    annotations = [(1, 1, [0, 0, 30, 20]), (2, 2, [1, 2, 3, 4])]
    write_json(photos / "boxes.json", [(1, "5.jpg"), (2, "6.jpg")], annotations)
    assert boxes(photos, "boxes.json")["val/dog/6.jpg"] == [[1, 2, 4, 6]]
    # The name is that of two photos now, of which one is for training.
    write_image(photos / "train/cat/5.jpg", SIZE)
    (error,) = problems(photos, "boxes.json").values()
    assert error.what == "file_name '5.jpg' belongs to 2 images"
    assert error.at == f"{photos}/boxes.json"
    # A file for one part can only mean that part's.
    (photos / "boxes.json").rename(photos / "val.json")
    assert boxes(photos, "{part}.json")["val/cat/5.jpg"] == [[0, 0, 30, 20]]


def test_a_name_that_the_json_file_has_twice(photos):
    annotations = [(1, 1, [0, 0, 30, 20]), (2, 2, [1, 2, 3, 4]), (3, 2, [1, 2, 3, 4])]
    write_json(photos / "boxes.json", [(1, "5.jpg"), (2, "6.jpg"), (3, "6.jpg")], annotations)
    found = problems(photos, "boxes.json")
    assert found.keys() == {"val/dog/6.jpg"}
    assert "belongs to 2 images" in found["val/dog/6.jpg"].what


def test_photos_that_the_json_file_lacks_or_has_wrong(photos):
    write_json(photos / "boxes.json", [(1, "5.jpg")], [(1, 1, [0, 0, "x", 20])])
    found = problems(photos, "boxes.json")
    assert found["val/cat/5.jpg"].at == f"{photos}/boxes.json: annotations[0]"
    assert found["val/dog/6.jpg"].what == "no image of the file has the file_name 'dog/6.jpg'"
    write_json(photos / "boxes.json", [(1, "5.jpg"), (2, "6.jpg")], [(1, 1, [0, 0, 5, 5])])
    found = problems(photos, "boxes.json")
    assert found.keys() == {"val/dog/6.jpg"}
    assert found["val/dog/6.jpg"].what == "no object 'dog' is annotated"
    (photos / "boxes.json").write_text('{\n"images": [\n')
    with pytest.raises(DataError, match="no json") as caught:
        folders("boxes.json").read(photos, "test")
    assert caught.value.at == f"{photos}/boxes.json:3"


def test_parts_may_lack_classes_but_not_add_any(beside, write_image):
    write_image(beside / "train/emu/7.jpg", SIZE)
    reading = folders(".").read(beside, "test")
    assert reading.classes == ("cat", "dog", "emu")
    assert reading.records.labels.tolist() == [0, 1]
    write_image(beside / "val/emus/8.jpg", SIZE)
    with pytest.raises(DataError, match="'emus' is in this part alone") as caught:
        folders(".").read(beside, "test")
    assert caught.value.at == f"{beside}/val"
    assert caught.value.hint == "did you mean 'emu'?"


def test_a_test_part_alone(beside):
    reader = ImageFolders(parts={"test": "val"}, annotations=".")
    assert Images("test", beside, reader).classes == ("cat", "dog")
