"""What is prepared is what readers read; and it can be trained on and scored."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from wsoltool.cli import main
from wsoltool.config import config_root
from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.ilsvrc import ILSVRC
from wsoltool.datasets.readers.voc import PascalVOC
from wsoltool.testing.voc_trees import write_ilsvrc_tree, write_voc_tree

CONFIG = """
_base_ = ["{bases}/schedules/creatures.py", "{bases}/runtime.py"]
data_root = {root!r}
_loader = dict(batch_size=2, num_workers=0)
_data = dict(type="Images", pipeline=[dict(type="Resize", size=32)])
train_dataloader = dict(**_loader, dataset=dict(**_data, split="train-weaksup"))
test_dataloader = dict(**_loader, dataset=dict(**_data, split="test"))
train_cfg = dict(max_epochs=1, val_interval=0)
evaluation = dict(resamples=10)
model = dict(
    type="Localizer",
    backbone=dict(type="SmallNet"),
    head=dict(type="cam.CAMHead", num_classes=2),
    fusion=dict(type="SingleView"),
    boxes=dict(type="ThresholdBoxes"),
)
"""


def same(first, second) -> bool:
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    return first == second


@pytest.mark.parametrize("options", [(), ("--headers-only",)])
@pytest.mark.parametrize(
    ("reader", "write"), [(PascalVOC, write_voc_tree), (ILSVRC, write_ilsvrc_tree)]
)
def test_items_are_those_of_the_reader(tmp_path, prepare, reader, write, options):
    write(tmp_path / "src")
    # The trees have fewer images than are published.
    run = prepare(reader.__name__, tmp_path / "src", "--quarantine", *options)
    assert run.code == 0, run.err
    assert {row[2] for row in run.rows()} - {"duplicate"} == {"count"}
    for split in reader().splits():
        read, prepared = Images(split, tmp_path / "src", reader()), Images(split, run.folder)
        assert len(read) == len(prepared) > 1
        for index in range(len(read)):
            (image, sample), (other, other_sample) = read[index], prepared[index]
            assert same(image, other)
            assert same(sample, other_sample)


def test_segmentations_are_looked_into(tmp_path, prepare):
    write_voc_tree(tmp_path / "src")
    path = next((tmp_path / "src").rglob("SegmentationClass/000005.png"))
    path.write_bytes(path.read_bytes()[:-9])
    run = prepare("PascalVOC", tmp_path / "src")
    assert run.kinds()["VOC2007/JPEGImages/000005.jpg"] == "segments: truncated"


def test_voc_parts_that_share_images(tmp_path, prepare):
    write_voc_tree(tmp_path / "src")
    parts = ("--option", "parts.train-weaksup=Main/trainval", "parts.test=Segmentation/val")
    run = prepare("PascalVOC", tmp_path / "src", "--quarantine", *parts)
    shared = [row[1][-10:-4] for row in run.rows() if row[2] == "two splits"]
    assert shared == ["000003", "000004"]
    assert [*Images("test", run.folder).image_ids] == [
        f"VOC2007/JPEGImages/{name}.jpg" for name in shared
    ]
    run = prepare(
        *("PascalVOC", tmp_path / "src", "--quarantine", *parts),
        "without.Main/trainval=Segmentation/val",
        folder="without",
    )
    assert "two splits" not in run.kinds().values()


@pytest.mark.slow
def test_training_and_scoring_after_quarantine(birds, prepare, tmp_path, capsys):
    birds.add("001.Auk/empty.jpg", data=b"")
    birds.add("002.Bee_eater/page.jpg", "test", 1, data=b"<html>")
    run = prepare("CUB200", birds.root, "--quarantine")
    assert run.code == 0
    config, work_dir = tmp_path / "config.py", tmp_path / "run"
    bases = config_root() / "_base_"
    config.write_text(CONFIG.format(bases=bases, root=str(run.folder)))
    assert main(["check", str(config)]) == 0
    assert main(["train", str(config), "--work-dir", str(work_dir)]) == 0
    figures = tmp_path / "figures.json"
    command = ["test", str(config), str(work_dir / "last.pth"), "--work-dir", str(work_dir)]
    capsys.readouterr()
    assert main([*command, "--json", str(figures)]) == 0
    assert "test: 4 images, 1 left out by wsoltool prepare (quarantine)" in capsys.readouterr().out
    data = json.loads(figures.read_text())["data"]
    assert data["test"]["quarantined"] == 1
