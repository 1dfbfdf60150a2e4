"""Annotation files in VOC's XML form: what is read, and what is refused by file and line."""

from __future__ import annotations

import pytest

from wsoltool.datasets.readers.voc_xml import VocObject, read_voc_xml
from wsoltool.errors import DataError
from wsoltool.testing.voc_trees import write_voc_xml

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
DOG = f"<object><name>dog</name>{BOX}</object>"

WHOLE = """<?xml version="1.0"?>
<annotation verified="yes">
  <folder>VOC2012</folder>
  <source><database>The VOC2011 Database</database><annotation>PASCAL</annotation></source>
  <size><width>500</width><height>375</height><depth>3</depth></size>
  <object>
    <name> person </name><pose>Left</pose><truncated>1</truncated><difficult>1</difficult>
    <bndbox><ymin>20</ymin><xmin>45.70</xmin><ymax>300</ymax><xmax>431.5</xmax></bndbox>
    <part><name>head</name>
      <bndbox><xmin>50</xmin><ymin>21</ymin><xmax>60</xmax><ymax>31</ymax></bndbox></part>
    <actions><phoning>0</phoning></actions><point><x>5</x><y>6</y></point>
  </object>
  <object><bndbox><xmax>5</xmax><ymax>1</ymax><xmin>9</xmin><ymin>-3</ymin></bndbox>
    <difficult>0</difficult><name>dog</name></object>
</annotation>
"""


@pytest.fixture
def annotation(tmp_path):
    """A function that writes an annotation file of some content."""

    def write(content: str | bytes):
        path = tmp_path / "a.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_read(annotation, line_end, encoding):
    found = read_voc_xml(annotation(WHOLE.replace("\n", line_end).encode(encoding)))
    assert found.size == (375, 500)
    assert found.objects == (
        VocObject("person", (45.7, 20, 431.5, 300), difficult=True),
        VocObject("dog", (9, -3, 5, 1)),
    )


def test_names_that_are_not_ascii(annotation):
    content = f"<annotation>{DOG.replace('dog', 'Größe 猫')}</annotation>"
    assert read_voc_xml(annotation(content)).objects[0].name == "Größe 猫"
    content = f'<?xml version="1.0" encoding="latin-1"?><annotation>{DOG}</annotation>'
    latin = read_voc_xml(annotation(content.replace("dog", "Größe").encode("latin-1")))
    assert latin.objects[0].name == "Größe"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("", None),
        ("<size><width>0</width><height>0</height></size>", None),
        ("<size><width>64</width><height>0</height></size>", None),
        ("<size><width>64.0</width><height>48</height></size>", (48, 64)),
    ],
)
def test_sizes_that_are_not_given_or_zero_are_unknown(annotation, size, expected):
    found = read_voc_xml(annotation(f"<annotation>{size}{DOG}</annotation>"))
    assert found.size == expected
    assert len(found.objects) == 1


def test_an_image_may_have_no_object(annotation):
    assert read_voc_xml(annotation("<annotation/>")).objects == ()


@pytest.mark.parametrize(
    ("part", "by", "what"),
    [
        ("<xmin>1</xmin>", "", "object 1 (dog) has no <xmin>"),
        ("<ymax>4</ymax>", "<ymax></ymax>", "object 1 (dog): <ymax> is ''"),
        ("<ymax>4</ymax>", "<ymax>4px</ymax>", "object 1 (dog): <ymax> is '4px'"),
        ("<ymax>4</ymax>", "<ymax>nan</ymax>", "object 1 (dog): <ymax> is 'nan'"),
        ("<ymax>4</ymax>", "<ymax>1e999</ymax>", "object 1 (dog): <ymax> is '1e999'"),
        ("<name>dog</name>", "", "object 1 has no <name>"),
        ("<name>dog</name>", "<name> </name>", "object 1 has no <name>"),
        (BOX, "", "object 1 (dog) has no <bndbox>"),
        ("</name>", "</name><difficult>?</difficult>", "object 1 (dog): <difficult> is '?'"),
        ("<object>", "<size><width>5</width></size><object>", "size has no <height>"),
        (
            "<object>",
            "<size><width>5.5</width><height>4</height></size><object>",
            "size: 5.5 x 4 pixels (width x height)",
        ),
        ("annotation", "html", "the file holds <html>"),
    ],
)
def test_wrong_contents_name_the_object(annotation, part, by, what):
    path = annotation(f"<annotation>{DOG}</annotation>".replace(part, by))
    with pytest.raises(DataError) as caught:
        read_voc_xml(path)
    assert caught.value.what == what
    assert caught.value.at == str(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ":1"),
        (WHOLE[:300].encode(), ":7"),
        (WHOLE.replace("</object>", "</objekt>").encode(), ":12"),
        ("<annotation>\n<name>Größe</name></annotation>".encode("latin-1"), ":2"),
        (b"\x89PNG\r\n\x1a\n", ":1"),
        (b'<?xml version="1.0" encoding="big5"?><annotation/>', ""),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', ""),
    ],
)
def test_malformed_files_name_the_line(annotation, content, line):
    path = annotation(content)
    with pytest.raises(DataError, match="no valid XML") as caught:
        read_voc_xml(path)
    assert caught.value.at == f"{path}{line}"


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="does not exist") as caught:
        read_voc_xml(tmp_path / "none.xml")
    assert caught.value.at.endswith("none.xml")
    with pytest.raises(DataError, match="cannot be read"):
        read_voc_xml(tmp_path)


def test_written_annotations_are_read_back(tmp_path):
    objects = (VocObject("a < b", (1, 2.5, 3, 4), True), VocObject("猫", (5, 6, 7, 8)))
    for encoding in ("utf-8", "utf-8-sig"):
        write_voc_xml(tmp_path / "a.xml", objects, (5, 7), encoding)
        found = read_voc_xml(tmp_path / "a.xml")
        assert (found.size, found.objects) == ((5, 7), objects)
