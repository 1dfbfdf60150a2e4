"""Tables of images, labels and boxes, as people and spreadsheets write them."""

from __future__ import annotations

import logging
import random

import pytest

from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.csv_table import CsvTable
from wsoltool.errors import ConfigError, DataError, SupervisionError
from wsoltool.testing import check_reader

BOXES = """\
image,label,x0,y0,x1,y1,split
a.jpg,cat,1,2,10,12,train
b.jpg,dog,,,,,train
c.jpg,dog,0,0,30,20,val
d.jpg,cat,3.5,4,5,6.25,val
c.jpg,dog,2,3,4,5,val
"""
PARTS = {"train-weaksup": "train", "test": "val"}


@pytest.fixture
def root(tmp_path, write_image):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        write_image(tmp_path / name, (20, 30))
    (tmp_path / "labels.csv").write_text(BOXES)
    return tmp_path


@pytest.fixture
def write(root):
    """A function that replaces the table."""

    def to_file(content):
        data = content if isinstance(content, bytes) else content.encode()
        (root / "labels.csv").write_bytes(data)

    return to_file


def refusal(root, split="train-weaksup", **options) -> DataError:
    with pytest.raises(DataError) as caught:
        CsvTable(**options).read(root, split)
    return caught.value


def problem(root, split="test", **options) -> DataError:
    """The error of the only image that cannot be used."""
    (found,) = CsvTable(**{"parts": PARTS, **options}).read(root, split).problems
    return found.error


def test_keeps_the_contract(root):
    check_reader(CsvTable(parts=PARTS), root)
    check_reader(CsvTable(parts=PARTS, multi_label=True), root)


def test_lines_of_an_image_are_its_boxes(root):
    train = Images("train-weaksup", root, CsvTable(parts=PARTS))
    assert train.classes == ("cat", "dog")
    assert list(train.image_ids) == ["a.jpg", "b.jpg"]
    assert [train.label(i) for i in range(2)] == [0, 1]
    with pytest.raises(SupervisionError):
        train.truth(0)
    test = Images("test", root, CsvTable(parts=PARTS))
    assert list(test.image_ids) == ["c.jpg", "d.jpg"]
    truth = test[0][1].truth
    assert truth.boxes.tolist() == [[0, 0, 30, 20], [2, 3, 4, 5]]
    assert truth.labels is None
    assert test[1][1].truth.boxes.tolist() == [[3.5, 4, 5, 6.25]]


def test_inclusive_boxes(root, write):
    write("image,label,x0,y0,x1,y1,split\na.jpg,x,0,0,29,19,t\nb.jpg,x,5,5,5,5,t\n")
    reader = CsvTable(parts={"test": "t"}, box_convention="inclusive")
    dataset = Images("test", root, reader)
    assert dataset[0][1].truth.boxes.tolist() == [[0, 0, 30, 20]]
    assert dataset[1][1].truth.boxes.tolist() == [[5, 5, 6, 6]]


def test_several_labels(root, write):
    write(
        "image,label,x0,y0,x1,y1\na.jpg,dog,1,2,3,4\na.jpg,cat,,,,\na.jpg,dog,5,6,7,8\n"
        "b.jpg,,,,,\nc.jpg,emu,0,0,9,9\n"
    )
    reader = CsvTable(multi_label=True, parts={"test": ""})
    dataset = Images("test", root, reader)
    assert dataset.classes == ("cat", "dog", "emu")
    assert dataset.records.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    truth = dataset[0][1].truth
    assert truth.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert truth.labels.tolist() == [1, 1]
    assert dataset[1][1].truth.boxes.shape == (0, 4)
    problems = CsvTable().read(root, "train-weaksup").problems
    assert {p.image: p.error.what for p in problems} == {
        "a.jpg": "the image has 2 classes",
        "b.jpg": "the image has 0 classes",
    }


def test_shares_split_a_table_without_splits(root, write):
    names = [f"{number}.jpg" for number in range(200)]
    write("label,image\n" + "".join(f"cat,{name}\n" for name in names))
    reader = CsvTable(fullsup_share=0.2, test_share=0.3)
    assert reader.splits() == ("train-weaksup", "train-fullsup", "test")
    found = {}
    for split in reader.splits():
        reading = reader.read(root, split)
        found[split] = [*reading.records.ids, *(p.image for p in reading.problems)]
    assert sorted(name for part in found.values() for name in part) == sorted(names)
    assert 70 < len(found["train-weaksup"]) < 130
    # The table has no boxes.
    assert "neither box nor mask" in reader.read(root, "test").problems[0].error.what


def test_columns_of_other_names_and_order(root, write):
    write("w,xmin,filename,class,ymin,xmax,ymax\n9,1,a.jpg,cat,2,10,12\n")
    names = {"image": "filename", "label": "class"}
    corners = {"x0": "xmin", "y0": "ymin", "x1": "xmax", "y1": "ymax"}
    reader = CsvTable(columns={**names, **corners}, parts={"test": ""})
    assert Images("test", root, reader)[0][1].truth.boxes.tolist() == [[1, 2, 10, 12]]
    # Without their names there are no boxes.
    assert len(CsvTable(columns=names).read(root, "train-weaksup").records) == 1


def test_a_column_that_is_not_to_be_read(root):
    reader = CsvTable(columns={"split": None})
    assert len(Images("train-weaksup", root, reader)) == 4


def test_images_in_a_folder_and_foreign_separators(root, write, write_image):
    write_image(root / "photos/größe/1 猫.jpg")
    write('image,label\n"größe\\1 猫.jpg",cat\n')
    dataset = Images("train-weaksup", root, CsvTable(images="photos"))
    assert dataset[0][1].image_id == "größe/1 猫.jpg"


def test_tables_of_spreadsheets(root, write):
    text = '\ufeff"image";"label";"x0";"y0";"x1";"y1"\r\n"a.jpg";"big; ""old"" cat";1;2;3;4\r\n\r\n'
    write(text + "b.jpg; emu ;1;2;3;4\r\n;;;;;\r\n")
    dataset = Images("test", root, CsvTable(delimiter=";", parts={"test": ""}))
    assert dataset.classes == ('big; "old" cat', "emu")
    assert len(dataset) == 2


def test_whole_numbers_are_sorted_by_value(root, write):
    write("image,label\n" + "".join(f"{n}.jpg,{n}\n" for n in (10, 9, 2, 0)))
    assert CsvTable().class_names(root) == ["0", "2", "9", "10"]
    write("image,label\n1.jpg,10\n2.jpg,9\n3.jpg,x\n")
    assert CsvTable().class_names(root) == ["10", "9", "x"]


def test_a_list_of_classes_fixes_the_order(root):
    dataset = Images("train-weaksup", root, CsvTable(parts=PARTS, classes=["emu", "dog", "cat"]))
    assert dataset.classes == ("emu", "dog", "cat")
    assert [dataset.label(i) for i in range(2)] == [2, 1]


def test_a_class_that_the_list_lacks(root):
    error = problem(root, classes=["dog", "cats"])
    assert error.what == "unknown class 'cat'"
    assert error.at == f"{root}/labels.csv:5"
    assert error.hint.startswith("did you mean 'cats'?")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("d.jpg,cat,9,4,5,6,val", "box 9,4,5,6 has no area"),
        ("d.jpg,cat,4,4,4,6,val", "box 4,4,4,6 has no area"),
        ("d.jpg,cat,-1,4,5,6,val", "box -1,4,5,6 lies outside the image"),
        ("d.jpg,cat,3,,5,6,val", "a box has the corners '3', '', '5', '6'"),
        ("d.jpg,cat,3,x,5,6,val", "a box has the corners '3', 'x', '5', '6'"),
        ("d.jpg,cat,3,4,5,inf,val", "a box has the corners"),
        ('d.jpg,cat,"3,5",4,5,6,val', "a box has the corners '3,5'"),
        ("d.jpg,,3,4,5,6,val", "the box has no label"),
        ("d.jpg,,,,,,val", "the image has 0 classes"),
        ("d.jpg,cat,,,,,val", "neither box nor mask"),
        ("../d.jpg,cat,3,4,5,6,val", "leads out of the image folder"),
        (",cat,3,4,5,6,val", "the image has no path"),
        ("b.jpg,dog,3,4,5,6,val", "of split 'val' here, and of 'train' before"),
    ],
)
def test_wrong_lines_are_problems_of_their_image(root, write, line, what):
    lines = BOXES.splitlines()
    lines[4] = line
    write("\r\n".join(lines))
    error = problem(root)
    assert what in error.what
    assert error.at == f"{root}/labels.csv:5"


def test_an_image_of_two_splits_is_in_none(root, write):
    write(BOXES + "a.jpg,cat,1,2,3,4,val\n")
    for split in ("train-weaksup", "test"):
        assert "of split 'val' here" in problem(root, split).what


def test_a_name_written_in_two_ways_is_twice_there(root, write):
    write("image,label\na.jpg,cat\n./a.jpg,cat\n")
    reading = CsvTable().read(root, "train-weaksup")
    assert reading.problems[0].error.what == "the image is listed twice"


def test_a_box_beyond_its_image_is_found_on_loading(root, write):
    write(BOXES.replace("0,0,30,20", "0,0,31,20"))
    with pytest.raises(DataError, match=r"reaches to x1 = 31, .* 30 x 20 pixels"):
        Images("test", root, CsvTable(parts=PARTS))[0]


def test_splits_have_to_be_named(root):
    error = refusal(root)
    assert "the table's images are of splits" in error.what
    assert error.known == ("train", "val")
    assert "parts=" in error.hint
    error = refusal(root, parts={"train-weaksup": "trian"})
    assert error.what == "no line is of split 'trian'"
    assert error.hint == "did you mean 'train'?"


def test_lines_of_no_split_are_reported(root, write, caplog):
    write(BOXES + "e.jpg,cat,1,2,3,4,tset\nf.jpg,cat,1,2,3,4,\n")
    with caplog.at_level(logging.WARNING):
        CsvTable(parts=PARTS).read(root, "test")
    assert "lines of split '' (1), 'tset' (1) are not used" in caplog.text
    caplog.clear()
    write(BOXES)
    CsvTable(parts=PARTS).read(root, "test")
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("image;label\na.jpg;cat\n", "no column 'image'", "delimiter=';'"),
        ("image\tlabel\na.jpg\tcat\n", "no column 'image'", r"delimiter='\t'"),
        ("Image,label\na.jpg,cat\n", "no column 'image'", "did you mean 'Image'?"),
        ("image,class\na.jpg,cat\n", "no column 'label'", "columns={'label': ...} names it"),
        ("image,label,x0,y0,x1\na.jpg,cat,1,2,3\n", "no column 'y1'", ""),
        ("image,label,label\na.jpg,cat,dog\n", "column 'label' is there twice", None),
        ("a.jpg,cat\nb.jpg,dog\n", "no column 'image'", None),
        ("", "no column 'image'", None),
    ],
)
def test_wrong_headers(root, write, text, what, hint):
    write(text)
    error = refusal(root)
    assert what in error.what
    assert error.at == f"{root}/labels.csv:1"
    assert hint is None or hint in error.hint


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("image,label\na.jpg,cat\nb.jpg\n", 3, "the line has 1 fields, the header 2"),
        ("image,label\na,b.jpg,cat\n", 2, "the line has 3 fields, the header 2"),
        ('image,label\n"a.jpg,cat\n', 2, "cannot be split into fields"),
        ('image,label\n"a"x.jpg,cat\n', 2, "cannot be split into fields"),
    ],
)
def test_lines_that_are_no_lines_of_the_table(root, write, text, line, what):
    write(text)
    error = refusal(root)
    assert what in error.what
    assert error.at == f"{root}/labels.csv:{line}"


def test_files_that_are_no_table(root, write):
    write("image,label\n")
    assert refusal(root).what == "the table has no line"
    write("image,label\ncafé.jpg,cat\n".encode("latin-1"))
    assert refusal(root).what == "the file is not UTF-8"
    assert refusal(root, table="none.csv").at == f"{root}/none.csv"


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {"file": "x"}},
        {"delimiter": ";;"},
        {"delimiter": ""},
        {"classes": ["a", "b", "a"]},
        {"box_convention": "xywh"},
        {"fullsup_share": 0.1, "parts": {"train-fullsup": "val"}},
    ],
)
def test_wrong_options(options):
    with pytest.raises(ConfigError, match=r"CsvTable|box_convention"):
        CsvTable(**options)


def test_many_lines_take_seconds(root, write):
    order = list(range(60_000))
    random.Random(0).shuffle(order)
    write("image,label,x0,y0,x1,y1\n" + "".join(f"{n // 2}.jpg,c,{n},1,{n + 1},2\n" for n in order))
    boxes = CsvTable(parts={"test": ""}).read(root, "test").records.boxes
    assert (boxes.counts() == 2).all()
    assert len(boxes.boxes) == 60_000
