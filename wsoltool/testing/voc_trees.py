"""Miniature data sets with annotations in PASCAL VOC's XML form, to test readers and commands on.

Every image shows its objects as plain rectangles on grey noise, so that boxes, segmentations and
pixels agree. A test damages what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

from wsoltool.datasets.readers.voc import CLASSES
from wsoltool.datasets.readers.voc_xml import VocObject
from wsoltool.structures import Size

SIZE: Size = (48, 64)
#: Name -> objects, of :func:`write_voc_tree`. Boxes count from 1 and include their last pixels.
VOC_OBJECTS: Mapping[str, Sequence[VocObject]] = {
    "000001": (VocObject("dog", (3, 5, 40, 44)),),
    "000002": (VocObject("person", (1, 1, 20, 48)), VocObject("dog", (30, 20, 64, 48))),
    "000003": (VocObject("cat", (10, 8, 50, 40)), VocObject("person", (52, 4, 63, 30), True)),
    "000004": (VocObject("person", (20, 6, 45, 46)),),
    "000005": (VocObject("cat", (2, 2, 31, 40)), VocObject("cat", (33, 10, 64, 48))),
    "000006": (VocObject("dog", (12, 10, 48, 42)), VocObject("person", (50, 2, 62, 20), True)),
    "000007": (VocObject("person", (4, 4, 60, 46)),),
}
VOC_LISTS = {
    "Main/train": ("000001", "000002"),
    "Main/val": ("000003", "000004"),
    "Main/trainval": ("000001", "000002", "000003", "000004"),
    "Main/test": ("000005", "000006", "000007"),
    "Segmentation/train": ("000002",),
    "Segmentation/val": ("000003", "000004"),
    "Segmentation/trainval": ("000002", "000003", "000004"),
    "Segmentation/test": ("000005", "000006"),
}
#: wnid -> names, of :func:`write_ilsvrc_tree`; two classes have one name.
SYNSETS = {
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n03126707": "crane",
}


def write_voc_xml(
    path: Path, objects: Sequence[VocObject], size: Size | None = SIZE, encoding: str = "utf-8"
) -> None:
    """Write an annotation with Windows line ends and a byte order mark where ``utf-8-sig`` asks."""
    lines = ["<annotation>", f"<filename>{escape(path.stem)}.jpg</filename>"]
    if size is not None:
        sides = f"<width>{size[1]}</width><height>{size[0]}</height><depth>3</depth>"
        lines.append(f"<size>{sides}</size>")
    lines += [_xml_object(thing) for thing in objects]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([*lines, "</annotation>", ""]).encode(encoding))


def _xml_object(thing: VocObject) -> str:
    x0, y0, x1, y1 = thing.box
    corners = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
    box = "".join(f"<{tag}>{value:g}</{tag}>" for tag, value in corners.items())
    return (
        f"<object><name>{escape(thing.name)}</name><pose>Unspecified</pose>"
        f"<difficult>{int(thing.difficult)}</difficult><bndbox>{box}</bndbox></object>"
    )


def write_photo(
    path: Path, objects: Sequence[VocObject] = (), size: Size = SIZE, seed: int = 0
) -> None:
    """Write an image, JPEG unless its name ends otherwise, that shows objects as rectangles."""
    pixels = np.random.default_rng(seed).integers(90, 160, (*size, 1)).repeat(3, axis=2)
    for thing in objects:
        # Any colour will do that differs from class to class.
        colour = np.random.default_rng([*thing.name.encode()]).integers(0, 256, 3)
        pixels[_inside(thing)] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ".png" if path.suffix.lower() == ".png" else ".jpg"
    path.write_bytes(cv2.imencode(kind, pixels.astype(np.uint8))[1].tobytes())


def write_segments(path: Path, objects: Sequence[VocObject], size: Size = SIZE) -> None:
    """Write a palette image: class number from 1, 0 background, and a void border, 255."""
    from PIL import Image

    pixels = np.zeros(size, np.uint8)
    for thing in objects:
        x0, y0, x1, y1 = (int(corner) for corner in thing.box)
        pixels[y0 - 1 : y1, x0 - 1 : x1] = 255
        pixels[y0 : y1 - 1, x0 : x1 - 1] = 255 if thing.difficult else 1 + CLASSES.index(thing.name)
    image = Image.fromarray(pixels)
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _inside(thing: VocObject) -> tuple[slice, slice]:
    x0, y0, x1, y1 = (int(corner) for corner in thing.box)
    return slice(max(y0 - 1, 0), y1), slice(max(x0 - 1, 0), x1)


def write_voc_tree(root: Path, year: str = "2007") -> Path:
    """Write ``VOCdevkit/VOC<year>``: seven images, lists, annotations, segmentations.

    Names of other years than 2007 begin with the year, ``2012_000001``, and only 2007 has test
    lists and annotations.

    Returns:
        ``VOCdevkit/VOC<year>``.
    """
    folder = root / "VOCdevkit" / f"VOC{year}"
    prefix = "" if year == "2007" else f"{year}_"
    lists = {part: names for part, names in VOC_LISTS.items() if not prefix or "test" not in part}
    for part, names in lists.items():
        path = folder / f"ImageSets/{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{prefix}{name}\n" for name in names))
    segmented = {name for part, names in lists.items() if "Seg" in part for name in names}
    for seed, name in enumerate(sorted({name for names in lists.values() for name in names})):
        objects = VOC_OBJECTS[name]
        write_photo(folder / f"JPEGImages/{prefix}{name}.jpg", objects, seed=seed)
        write_voc_xml(folder / f"Annotations/{prefix}{name}.xml", objects)
        if name in segmented:
            write_segments(folder / f"SegmentationClass/{prefix}{name}.png", objects)
    return folder


def write_ilsvrc_tree(root: Path, layout: str = "official") -> Path:
    """Write three classes with three training and two validation images each.

    The first training image of a class has boxes. Boxes count from 0 and end before x1, y1.

    Args:
        root: A folder.
        layout: ``official``: ``ILSVRC/Data/CLS-LOC`` and ``ILSVRC/Annotations/CLS-LOC``, with the
            synset list beside ``ILSVRC``; ``plain``: ``train``, ``val``, ``bbox_train`` and
            ``bbox_val`` in ``root``, without a synset list; ``sorted``: the same with the images of
            ``val`` in class folders.

    Returns:
        The folder of ``train`` and ``val``.
    """
    official = layout == "official"
    images = root / "ILSVRC/Data/CLS-LOC" if official else root
    boxes = str(root / "ILSVRC/Annotations/CLS-LOC") + "/" if official else f"{root}/bbox_"
    if official:
        root.mkdir(parents=True, exist_ok=True)
        lines = [f"{wnid} {names}\n" for wnid, names in SYNSETS.items()]
        (root / "LOC_synset_mapping.txt").write_text("".join(lines))
    for label, wnid in enumerate(SYNSETS):
        objects = (VocObject(wnid, (4 + label, 6, 50, 40)),)
        for number in range(3):
            name = f"{wnid}_{number}"
            write_photo(images / f"train/{wnid}/{name}.JPEG", objects, seed=number)
            if number == 0:
                write_voc_xml(Path(f"{boxes}train/{wnid}/{name}.xml"), objects)
        for number in (label + 1, label + 4):
            name = f"ILSVRC2012_val_{number:08}"
            folder = images / "val" / wnid if layout == "sorted" else images / "val"
            write_photo(folder / f"{name}.JPEG", objects, seed=number)
            write_voc_xml(Path(f"{boxes}val/{name}.xml"), objects)
    return images
