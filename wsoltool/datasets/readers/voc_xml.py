"""Annotation files in the XML form of PASCAL VOC, which ILSVRC and many labelling tools share.

An ``annotation`` element holds ``size`` and an ``object`` element for each object, which holds
``name``, ``bndbox`` and ``difficult``. Everything else, such as the parts of persons, is passed
over.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from wsoltool.errors import DataError
from wsoltool.structures import Size

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object of an annotation.

    Attributes:
        name: Its class.
        box: ``xmin``, ``ymin``, ``xmax``, ``ymax`` as they are written.
        difficult: Whether it is marked as difficult.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class VocAnnotation:
    """What an annotation file says of its image.

    Attributes:
        size: (height, width); None where the file does not say, or says 0.
        objects: The objects in the file's order.
    """

    size: Size | None
    objects: tuple[VocObject, ...]


def read_voc_xml(path: Path) -> VocAnnotation:
    """Read one annotation file; boxes are not compared with the image or checked for area.

    Any encoding that the file declares, a byte order mark, Windows line ends, tags in any order and
    numbers like ``45.70`` are accepted.

    Raises:
        DataError: The file is missing or no XML, or a name or number is missing or wrong.
    """
    root = _parse(path)
    try:
        if root.tag != "annotation":
            raise DataError(f"the file holds <{root.tag}>", expected="an <annotation> as of VOC")
        objects = enumerate(root.iterfind("object"), start=1)
        return VocAnnotation(_size(root), tuple(_object(node, n) for n, node in objects))
    except DataError as error:
        raise error.located(str(path)) from error


def _parse(path: Path) -> Element:
    try:
        return ElementTree.fromstring(path.read_bytes())
    except OSError as error:
        raise DataError(
            "the annotation file does not exist"
            if isinstance(error, FileNotFoundError)
            else f"the annotation file cannot be read: {error.strerror}",
            at=str(path),
            expected="an annotation of every listed image",
        ) from None
    except ElementTree.ParseError as error:
        line, _ = error.position
        raise _no_xml(f"{path}:{line}", error) from error
    except (ValueError, LookupError) as error:  # the declared encoding
        raise _no_xml(str(path), error) from error


def _no_xml(at: str, error: Exception) -> DataError:
    hint = "a download or copy may have stopped early: fetch it again"
    return DataError(f"the annotation is no valid XML: {error}", at=at, hint=hint)


def _size(root: Element) -> Size | None:
    node = root.find("size")
    if node is None:
        return None
    height, width = _number(node, "height", "size"), _number(node, "width", "size")
    if not (height.is_integer() and width.is_integer()) or min(height, width) < 0:
        raise DataError(f"size: {width:g} x {height:g} pixels (width x height)")
    return (int(height), int(width)) if height and width else None


def _object(node: Element, number: int) -> VocObject:
    name = (node.findtext("name") or "").strip()
    of = f"object {number}" + (f" ({name})" if name else "")
    if not name:
        raise DataError(f"{of} has no <name>", expected="the object's class")
    box = node.find("bndbox")
    if box is None:
        raise DataError(f"{of} has no <bndbox>", expected=f"a box of {', '.join(CORNERS)}")
    x0, y0, x1, y1 = (_number(box, tag, of) for tag in CORNERS)
    difficult = node.find("difficult")
    flag = difficult is not None and _number(node, "difficult", of) != 0
    return VocObject(name, (x0, y0, x1, y1), flag)


def _number(node: Element, tag: str, of: str) -> float:
    """A finite number below ``node``; ``of`` is what errors call the node."""
    text = node.findtext(tag)
    if text is None:
        raise DataError(f"{of} has no <{tag}>", expected="a number")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise DataError(f"{of}: <{tag}> is {text.strip()!r}", expected="a number")
    return value
