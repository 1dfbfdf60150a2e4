"""Miniature data sets in the layouts of COCO, Tiny-ImageNet, OpenImages30k and CUB-200-2011.

Every image is noise; a test damages what it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from wsoltool.structures import Size

SIZE: Size = (20, 30)
#: Categories of :func:`write_coco_tree`: their ids have gaps and no order.
CATEGORIES = ((90, "toothbrush"), (3, "car"), (7, "train"))
#: Image id, category id, xywh and iscrowd.
CocoAnnotation = tuple[int, int, Sequence[float], int]


def write_noise(path: Path, size: Size = SIZE) -> None:
    """Write an image of pixels that follow from its name and place, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = crc32("/".join(path.parts[-3:]).encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def write_mask(path: Path, *boxes: tuple[int, int, int, int], size: Size = SIZE) -> None:
    """Write white boxes (xyxy, x1 y1 exclusive) on black."""
    pixels = np.zeros(size, np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write text files of these names, creating their folders."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def write_coco_tree(root: Path) -> None:
    """COCO: three images of train2017, one without object, and two of val2017."""
    write_coco_part(
        root,
        "train2017",
        images=[(10, "1.jpg"), (11, "2.jpg"), (12, "3.jpg")],
        annotations=[
            (11, 7, [1, 2, 3, 4], 0),
            (10, 3, [0, 0, 30, 20], 0),
            (11, 3, [5, 6, 7, 8], 1),
        ],
    )
    write_coco_part(
        root,
        "val2017",
        images=[(20, "größe 猫.jpg"), (21, "b.jpg")],
        annotations=[(20, 90, [2.5, 3.25, 10, 5.5], 0), (20, 7, [0, 0, 9, 9], 1)],
    )


def write_coco_part(
    root: Path,
    part: str,
    images: Sequence[tuple[int, str]],
    annotations: Sequence[CocoAnnotation],
) -> None:
    """Images (id, file name) in the folder of a part, and its annotation file."""
    height, width = SIZE
    content = {
        "info": {"description": "miniature"},
        "images": [
            {"id": key, "file_name": name, "height": height, "width": width} for key, name in images
        ],
        "annotations": [
            {
                **{"id": number, "image_id": image, "category_id": category, "bbox": [*bbox]},
                **{"iscrowd": crowd, "segmentation": [[0.5, 0.5, 1.5, 0.5, 1.5, 1.5]]},
            }
            for number, (image, category, bbox, crowd) in enumerate(annotations)
        ],
        "categories": [{"id": key, "name": name} for key, name in CATEGORIES],
    }
    write_texts(root, {f"annotations/instances_{part}.json": json.dumps(content, indent=1)})
    for _, name in images:
        write_noise(root / part / name)


def write_tiny_tree(root: Path) -> Path:
    """Tiny-ImageNet-200: three classes, two of one name; six images of train, two of val."""
    home = root / "tiny-imagenet-200"
    texts = {
        "wnids.txt": "n03\nn01\nn02\n",
        "words.txt": "n00\tentity\nn01\tcrane\nn02\tgoldfish, Carassius auratus\nn03\tcrane\n",
        "val/val_annotations.txt": "val_0.JPEG\tn03\t0\t32\t44\t62\nval_1.JPEG\tn01\t5\t5\t5\t5\n",
    }
    names = ["val/images/val_0.JPEG", "val/images/val_1.JPEG", "test/images/test_0.JPEG"]
    for wnid in ("n01", "n02", "n03"):
        files = [f"{wnid}_{number}.JPEG" for number in range(2)]
        lines = [f"{file}\t0\t10\t63\t{58 + number}\n" for number, file in enumerate(files)]
        texts[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(lines)
        names += [f"train/{wnid}/images/{file}" for file in files]
    write_texts(home, texts)
    for name in names:
        write_noise(home / name, (64, 64))
    return home


def write_openimages_tree(root: Path) -> Path:
    """OpenImages30k: two classes of two images each in train, val and test, masks beside them.

    Image ``test/0bt_c3/00aa.jpg`` has two instances and no ignore file.
    """
    home = root / "OpenImages"
    for part in ("train", "val", "test"):
        for name in ("0bt_c3", "01226z"):
            for image in ("00aa", "00bb"):
                folder = home / part / name
                write_noise(folder / f"{image}.jpg")
                if part != "train":
                    write_mask(folder / f"{image}_m{name}_0123abcd.png", (2, 3, 8, 9))
                    write_mask(folder / f"{image}_ignore.png", (20, 0, 30, 5))
    write_mask(home / "test/0bt_c3/00aa_m0bt_c3_ffff0000.png", (10, 10, 20, 15))
    (home / "test/0bt_c3/00aa_ignore.png").unlink()
    return home


def write_cub_tree(root: Path) -> Path:
    """CUB-200-2011: two species of two birds, one in train and one in test each."""
    home = root / "CUB_200_2011"
    birds = {
        1: ("001.Albatross/a_1.jpg", 1, 1, "2.0 3.0 10.0 12.0"),
        2: ("001.Albatross/a_2.jpg", 1, 0, "0.0 0.0 30.0 20.0"),
        3: ("002.Petrel/p_1.jpg", 2, 0, "1.5 2.5 3.5 4.5"),
        4: ("002.Petrel/p_2.jpg", 2, 1, "5.0 5.0 6.0 6.0"),
    }
    files = ("images", "image_class_labels", "train_test_split", "bounding_boxes")
    texts = {"classes.txt": "1 001.Albatross\n2 002.Petrel\n"}
    for column, name in enumerate(files):
        lines = [f"{key} {fields[column]}\n" for key, fields in birds.items()]
        texts[f"{name}.txt"] = "".join(lines)
    write_texts(home, texts)
    for path, *_ in birds.values():
        write_noise(home / "images" / path)
    return home
