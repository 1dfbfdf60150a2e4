"""Images with several labels, from training to tables: no localization table, further metrics."""

from __future__ import annotations

import json

import pytest

from wsoltool.cli import main

CONFIG = "cam/cam_small_creatures_multilabel.py"
TINY = [
    "--cfg-options",
    "train_dataloader.dataset.length=24",
    "train_dataloader.dataset.image_size=64",
    "train_dataloader.batch_size=8",
    "val_dataloader.dataset.length=6",
    "val_dataloader.dataset.image_size=64",
    "val_dataloader.num_workers=0",
    "test_dataloader.dataset.length=10",
    "test_dataloader.dataset.image_size=64",
    "test_dataloader.num_workers=0",
    "train_cfg.max_epochs=1",
    "train_cfg.val_interval=1",
    "metrics.0.resamples=10",
    "metrics.1.resamples=10",
]
FIGURES = {
    "mAP@0.5",
    "mAP@0.3",
    "mAP@0.1",
    "CorLoc",
    "CorLoc (image mean)",
    "segmentation/mIoU (label)",
    "segmentation/mIoU (label, with background)",
    "segmentation/mLEV (label)",
    "segmentation/mLEV (label, box)",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a training whose best checkpoint was chosen by mAP."""
    folder = tmp_path_factory.mktemp("several")
    best = ["checkpoint.save_best=mAP@0.1", "checkpoint.rule=greater"]
    assert main(["train", CONFIG, "--work-dir", str(folder), *TINY, *best]) == 0
    return folder


@pytest.fixture
def scored(run, wsoltool, tmp_path):
    def score(*options):
        files = ("--json", tmp_path / "f.json", "--gallery", tmp_path / "g", "--gallery-size", 3)
        arguments = ("--work-dir", tmp_path / "work", *TINY, *options)
        return wsoltool("test", CONFIG, run / "last.pth", *files, *arguments)

    return score


def test_training_validates_by_the_further_metrics(run):
    assert len(list(run.glob("best_mAP@0.1_epoch_1.pth"))) == 1
    (log,) = run.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(line.keys() >= FIGURES for line in lines)


def test_tables_figures_and_gallery(scored, tmp_path):
    outcome = scored()
    assert outcome.code == 0, outcome
    assert "Detection of 10 images, percent" in outcome.out
    assert "Segmentation of 10 images, percent" in outcome.out
    assert "Localization of" not in outcome.out
    assert "mAP@0.5:" not in outcome.out, "figures of a table are not printed again"
    content = json.loads((tmp_path / "f.json").read_text())
    assert content["further"].keys() == FIGURES
    assert all(0 <= value <= 100 for value in content["further"].values())
    rows = {row["metric"]: row for row in content["further_rows"]}
    assert rows.keys() == FIGURES
    assert next(iter(rows["CorLoc"]["per_class"])) == "round-blazed"
    assert rows["mAP@0.1"]["controls"].keys() == {"whole image", "centre box", "shuffled scores"}
    low, high = rows["segmentation/mIoU (label)"]["interval"]
    assert 0 <= low <= high <= 100
    page = (tmp_path / "g" / "index.html").read_text()
    assert "mAP@0.5" in page
    assert page.count("<img") == 3


def test_other_metrics_are_printed_as_lines(scored):
    named = {
        "type": "DetectionMetric",
        "ap": "11point",
        "prefix": "VOC2007",
        "ious": [0.5],
        "resamples": 0,
    }
    outcome = scored(f"metrics=[{named!r}]")
    assert outcome.code == 0, outcome
    assert "VOC2007/mAP@0.5" in outcome.out
    assert "Segmentation" not in outcome.out


def test_the_localization_table_refuses_several_labels_before_scoring(run, refused, tmp_path):
    options = [option for option in TINY if not option.startswith("metrics.")]
    arguments = ("--work-dir", tmp_path, *options, "evaluation._delete_=True")
    message = refused("test", CONFIG, run / "last.pth", *arguments)
    assert "these images have several labels" in message
    assert "evaluation=None" in message
    message = refused("train", CONFIG, *arguments)
    assert "these images have several labels" in message
    assert "val_dataloader" in message


def test_boxes_of_photos_by_a_multi_label_network(run, wsoltool, tmp_path):
    import cv2
    import numpy as np

    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    out = tmp_path / "out"
    outcome = wsoltool("localize", CONFIG, run / "last.pth", photo, "--top", 2, "--out", out)
    assert outcome.code == 0, outcome
    (record,) = json.loads((out / "boxes.json").read_text())["images"]
    first, second = (found["class_score"] for found in record["predictions"])
    assert 1 >= first >= second > 0
