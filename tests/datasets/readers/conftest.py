"""Miniature data sets in their original layouts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.testing.voc_trees import write_ilsvrc_tree, write_voc_tree


@pytest.fixture
def voc_tree(tmp_path) -> Path:
    """The folder that holds a miniature VOCdevkit with VOC2007."""
    write_voc_tree(tmp_path)
    return tmp_path


@pytest.fixture(params=["official", "plain", "sorted"])
def ilsvrc_tree(tmp_path, request) -> Path:
    """A miniature ILSVRC in each layout, see ``write_ilsvrc_tree``."""
    write_ilsvrc_tree(tmp_path, request.param)
    return tmp_path


@pytest.fixture
def coco_tree(tmp_path, write_image) -> Path:
    """Three images of train2017 and two of val2017; ids of categories have gaps and no order."""
    write_coco(
        tmp_path,
        "train2017",
        images=[(10, "1.jpg"), (11, "2.jpg"), (12, "3.jpg")],
        annotations=[
            (11, 7, [1, 2, 3, 4], 0),
            (10, 3, [0, 0, 30, 20], 0),
            (11, 3, [5, 6, 7, 8], 1),
        ],
    )
    write_coco(
        tmp_path,
        "val2017",
        images=[(20, "größe 猫.jpg"), (21, "b.jpg")],
        annotations=[(20, 90, [2.5, 3.25, 10, 5.5], 0), (20, 7, [0, 0, 9, 9], 1)],
    )
    for name in ("train2017/1.jpg", "train2017/2.jpg", "train2017/3.jpg"):
        write_image(tmp_path / name, (20, 30))
    for name in ("val2017/größe 猫.jpg", "val2017/b.jpg"):
        write_image(tmp_path / name, (20, 30))
    return tmp_path


CATEGORIES = ((90, "toothbrush"), (3, "car"), (7, "train"))


def write_coco(
    root: Path,
    part: str,
    images: Sequence[tuple[int, str]],
    annotations: Sequence[tuple[int, int, list[float], int]],
    categories: Sequence[tuple[int, str]] = CATEGORIES,
) -> None:
    """Write ``annotations/instances_<part>.json`` of images of 20 x 30 pixels.

    Annotations are image id, category id, xywh and iscrowd.
    """
    content = {
        "info": {"description": "miniature"},
        "images": [{"id": i, "file_name": f, "height": 20, "width": 30} for i, f in images],
        "annotations": [
            {
                **{"id": number, "image_id": image, "category_id": category, "bbox": bbox},
                **{"iscrowd": crowd, "segmentation": [[0.5, 0.5, 1.5, 0.5, 1.5, 1.5]]},
            }
            for number, (image, category, bbox, crowd) in enumerate(annotations)
        ],
        "categories": [{"id": key, "name": name} for key, name in categories],
    }
    path = root / f"annotations/instances_{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


@pytest.fixture
def tiny_tree(tmp_path, write_image) -> Path:
    """The folder that holds a miniature tiny-imagenet-200: three classes, two of one name."""
    home = tmp_path / "tiny-imagenet-200"
    texts = {
        "wnids.txt": "n03\nn01\nn02\n",
        "words.txt": "n00\tentity\nn01\tcrane\nn02\tgoldfish, Carassius auratus\nn03\tcrane\n",
        "val/val_annotations.txt": "val_0.JPEG\tn03\t0\t32\t44\t62\nval_1.JPEG\tn01\t5\t5\t5\t5\n",
    }
    for wnid in ("n01", "n02", "n03"):
        files = [f"{wnid}_{number}.JPEG" for number in range(2)]
        lines = [f"{file}\t0\t10\t63\t{58 + number}\n" for number, file in enumerate(files)]
        texts[f"train/{wnid}/{wnid}_boxes.txt"] = "".join(lines)
        for file in files:
            write_image(home / f"train/{wnid}/images/{file}", (64, 64))
    for name in ("val/images/val_0.JPEG", "val/images/val_1.JPEG", "test/images/test_0.JPEG"):
        write_image(home / name, (64, 64))
    for name, text in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return tmp_path


@pytest.fixture
def openimages_tree(tmp_path, write_image) -> Path:
    """Two classes; masks beside the images of val and test, one image with two and no ignored."""
    home = tmp_path / "OpenImages"
    for part in ("train", "val", "test"):
        for name in ("0bt_c3", "01226z"):
            for image in ("00aa", "00bb"):
                write_image(home / part / name / f"{image}.jpg", (20, 30))
                if part != "train":
                    stem = home / part / name / image
                    write_mask(Path(f"{stem}_m{name}_0123abcd.png"), (2, 3, 8, 9))
                    write_mask(Path(f"{stem}_ignore.png"), (20, 0, 30, 5))
    test = home / "test/0bt_c3"
    write_mask(test / "00aa_m0bt_c3_ffff0000.png", (10, 10, 20, 15))
    (test / "00aa_ignore.png").unlink()
    return tmp_path


def write_mask(path: Path, *boxes: tuple[int, int, int, int]) -> None:
    """White boxes (xyxy, exclusive) on 20 x 30 black pixels."""
    pixels = np.zeros((20, 30), np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


@pytest.fixture
def cub_tree(tmp_path, write_image) -> Path:
    """The folder that holds a miniature CUB_200_2011: two species, four birds."""
    home = tmp_path / "CUB_200_2011"
    images = {
        1: ("001.Albatross/a_1.jpg", 1, 1, "2.0 3.0 10.0 12.0"),
        2: ("001.Albatross/a_2.jpg", 1, 0, "0.0 0.0 30.0 20.0"),
        3: ("002.Petrel/p_1.jpg", 2, 0, "1.5 2.5 3.5 4.5"),
        4: ("002.Petrel/p_2.jpg", 2, 1, "5.0 5.0 6.0 6.0"),
    }
    texts = {
        "classes.txt": ["1 001.Albatross", "2 002.Petrel"],
        "images.txt": [f"{key} {path}" for key, (path, *_) in images.items()],
        "image_class_labels.txt": [f"{key} {c}" for key, (_, c, *_) in images.items()],
        "train_test_split.txt": [f"{key} {train}" for key, (*_, train, _) in images.items()],
        "bounding_boxes.txt": [f"{key} {box}" for key, (*_, box) in images.items()],
    }
    for name, lines in texts.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("\n".join(lines) + "\n")
    for path, *_ in images.values():
        write_image(home / "images" / path, (20, 30))
    return tmp_path


@pytest.fixture
def photos(tmp_path, write_image) -> Path:
    """Photos in class folders below ``train`` and ``val``."""
    for name in ("train/cat/1.jpg", "train/cat/old/2.jpg", "train/dog/3.jpg", "train/dog/4.jpg"):
        write_image(tmp_path / name, (20, 30))
    for name in ("val/cat/5.jpg", "val/dog/6.jpg"):
        write_image(tmp_path / name, (20, 30))
    return tmp_path
