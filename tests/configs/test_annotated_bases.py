"""The bases of VOC and ILSVRC, trained and scored on miniature trees by the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsoltool.config import config_root, load_config
from wsoltool.testing.voc_trees import SYNSETS, write_ilsvrc_tree, write_voc_tree

CONFIG = """
_base_ = ["{bases}/datasets/{base}.py", "{bases}/schedules/creatures.py", "{bases}/runtime.py"]
model = dict(
    type="Localizer",
    backbone=dict(type="SmallNet"),
    head=dict(type="cam.{head}", num_classes={classes}{loss}),
    fusion=dict(type="SingleView"),
    boxes=dict(type="ThresholdBoxes", threshold=0.2, instances="all"),
)
"""
SMALL = {
    "train_dataloader.batch_size": 2,
    "train_dataloader.num_workers": 0,
    "train_dataloader.dataset.pipeline.0.size": 64,
    "test_dataloader.num_workers": 0,
    "test_dataloader.dataset.pipeline.0.size": 64,
    "train_cfg.max_epochs": 1,
}


@pytest.fixture
def run(tmp_path, train_and_score):
    """A function that trains and scores a base on the tree in ``tmp_path``; the figures."""

    def run(base: str, several: bool, **options) -> dict:
        loss = ', loss=dict(type="BinaryCrossEntropy")'
        text = CONFIG.format(
            bases=config_root() / "_base_",
            base=base,
            head="ConvHead" if several else "CAMHead",
            classes=20 if several else len(SYNSETS),
            loss=loss if several else "",
        )
        pairs = {**SMALL, "data_root": tmp_path, **options}
        # A crop does not fit into the small images of the tree.
        pairs |= {} if several else {"train_dataloader.dataset.pipeline.1.size": 48}
        return train_and_score(text, pairs)

    return run


def test_voc2007(run, tmp_path):
    write_voc_tree(tmp_path)
    content = run("voc2007", several=True)
    assert content["further"].keys() >= {"mAP@0.5", "mAP@0.1", "CorLoc"}
    rows = {row["metric"]: row for row in content["further_rows"]}
    classes = rows["CorLoc"]["per_class"]
    shown = {name for name, value in classes.items() if value is not None}
    assert shown == {"cat", "dog", "person"}
    # One large box finds the person of the last image; of the two cats and the dog, at most one.
    assert rows["CorLoc"]["controls"]["whole image"] == pytest.approx(100 / 3, abs=0.1)


def test_voc2007_scored_on_trainval(run, tmp_path):
    write_voc_tree(tmp_path)
    option = {"test_dataloader.dataset.reader.parts.test": "Main/trainval"}
    assert run("voc2007", several=True, **option)["further"].keys() >= {"CorLoc"}


def test_voc2012(run, tmp_path):
    write_voc_tree(tmp_path, "2012")
    further = run("voc2012", several=True)["further"]
    assert further.keys() >= {"mAP@0.5", "segmentation/mIoU (label)", "segmentation/mLEV (label)"}
    assert all(0 <= value <= 100 for value in further.values())


def test_voc2012_with_the_augmented_list(run, tmp_path):
    folder = write_voc_tree(tmp_path, "2012")
    lines = [f"/JPEGImages/2012_{i:06}.jpg /SegmentationClassAug/2012_{i:06}.png" for i in (1, 2)]
    (folder / "ImageSets/Segmentation/trainaug.txt").write_text("\n".join(lines))
    option = {"train_dataloader.dataset.reader.parts.train-weaksup": "Segmentation/trainaug"}
    assert "mAP@0.5" in run("voc2012", several=True, **option)["further"]


@pytest.mark.parametrize("layout", ["official", "plain"])
def test_ilsvrc(run, tmp_path, layout):
    write_ilsvrc_tree(tmp_path, layout)
    content = run("ilsvrc_native", several=False)
    assert 0 <= content["GT-known Loc"] <= 100
    assert content["MaxBoxAcc"] == 100, "the objects fill most of their images"


@pytest.mark.parametrize("base", ["voc2007", "voc2012", "ilsvrc_native"])
def test_bases_name_what_the_benchmark_bases_name(base):
    config = load_config(Path(config_root(), "_base_", "datasets", f"{base}.py"))
    assert {"data_root", "train_dataloader", "test_dataloader", "evaluation"} <= {*config}
    assert config.train_dataloader.dataset.split == "train-weaksup"
    assert config.test_dataloader.dataset.split == "test"
