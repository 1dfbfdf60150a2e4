"""The bases of data sets in their own layouts, trained and scored by the commands in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wsoltool.config import config_root, load_config
from wsoltool.datasets.readers.voc_xml import VocObject
from wsoltool.testing.native_trees import (
    write_coco_tree,
    write_noise,
    write_openimages_tree,
    write_texts,
    write_tiny_tree,
)
from wsoltool.testing.voc_trees import write_voc_xml

CONFIG = """
_base_ = ["{bases}/datasets/{base}.py", "{bases}/schedules/creatures.py", "{bases}/runtime.py"]
model = dict(
    type="Localizer",
    backbone=dict(type="SmallNet"),
    head=dict(type="cam.CAMHead", num_classes={classes}, loss=dict(type="{loss}")),
    fusion=dict(type="SingleView"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="{instances}", min_area=0.01),
)
"""
TABLE = """\
image,label,x0,y0,x1,y1,split
train/cat/1.jpg,cat,,,,,train
train/dog/2.jpg,dog,,,,,train
val/cat/3.jpg,cat,0,0,30,20,val
val/dog/4.jpg,dog,2,3,20,15,val
"""


@pytest.fixture
def run(train_and_score) -> Callable[..., dict]:
    """A function that trains an epoch of a base and scores it; the figures."""

    def run(base: str, root: Path, classes: int, **options) -> dict:
        several = base.startswith("coco")
        text = CONFIG.format(
            bases=config_root() / "_base_",
            base=base,
            classes=classes,
            loss="BinaryCrossEntropy" if several else "CrossEntropy",
            instances="all" if several else "largest",
        )
        loaders = [
            key
            for key in load_config(config_root() / f"_base_/datasets/{base}.py")
            if key.endswith("_dataloader")
        ]
        pairs = {
            **{f"{loader}.num_workers": 0 for loader in loaders},
            **{f"{loader}.dataset.pipeline.0.size": 64 for loader in loaders},
            **{"train_dataloader.batch_size": 2, "train_cfg.max_epochs": 1, "data_root": root},
            **{"train_cfg.val_interval": 1, **options},
        }
        return train_and_score(text, pairs)

    return run


@pytest.fixture
def photos(tmp_path) -> Path:
    """Photos in class folders, boxes beside those of val, and all of it in a table too."""
    for name in ("train/cat/1", "train/dog/2", "val/cat/3", "val/dog/4"):
        write_noise(tmp_path / f"{name}.jpg")
    write_voc_xml(tmp_path / "val/cat/3.xml", [VocObject("cat", (1, 1, 30, 20))], (20, 30))
    write_voc_xml(tmp_path / "val/dog/4.xml", [VocObject("dog", (3, 4, 20, 15))], (20, 30))
    write_texts(tmp_path, {"labels.csv": TABLE})
    return tmp_path


def test_coco(run, tmp_path):
    write_coco_tree(tmp_path)
    content = run("coco128", tmp_path, classes=3)
    rows = {row["metric"]: row for row in content["further_rows"]}
    # The one image with objects shows a toothbrush and, difficult, a train.
    classes = rows["CorLoc"]["per_class"]
    assert [name for name, value in classes.items() if value is not None] == ["toothbrush"]


def test_tinyimagenet200(run, tmp_path):
    content = run("tinyimagenet200", write_tiny_tree(tmp_path), classes=3)
    assert content["GT-known Loc"] in (0, 50, 100)


def test_openimages(run, tmp_path):
    home = write_openimages_tree(tmp_path)
    # A crop of 224 does not fit into what is shown at 64.
    content = run("openimages", home, 2, **{"train_dataloader.dataset.pipeline.1.size": 56})
    assert 0 < content["PxAP"] < 100


@pytest.mark.parametrize("base", ["photos_with_boxes", "csv_table"])
def test_own_photos(run, photos, base):
    content = run(base, photos, classes=2)
    assert content["GT-known Loc"] in (0, 50, 100)
    assert content["MaxBoxAccV2"] > 0


def test_real_photos(run, real_data):
    """Two steps on real COCO photos: all figures are there, and no box was read in training."""
    if not (real_data / "coco128").is_dir():
        pytest.skip("WSOLTOOL_DATA names no folder that holds coco128")
    # An untrained network finds all 80 classes likely, and boxes of them take their time.
    options = {"metrics.1.min_score": 0.9, "metrics.1.resamples": 10}
    content = run(
        "coco128", real_data / "coco128", 80, **{"train_dataloader.batch_size": 50}, **options
    )
    rows = {row["metric"]: row for row in content["further_rows"]}
    known = [value for value in rows["CorLoc"]["per_class"].values() if value is not None]
    assert len(known) == 73, "the classes that val2017's boxes are of"
    assert 0 < content["further"]["CorLoc"] < 100
    assert 0 <= content["further"]["mAP@0.5"] <= content["further"]["mAP@0.1"] <= 100
