"""Images with several labels, from training to tables: no localization table, further metrics."""

from __future__ import annotations

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from wsoltool.cli import main
from wsoltool.datasets.creatures import Creatures

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
    "metrics.2.resamples=10",
]
FIGURES = {
    "classification/mAP",
    "classification/mAP (11 points)",
    "classification/F1 (micro)",
    "classification/F1 (macro)",
    "classification/Top-1 hit",
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
    assert "Classification of 10 images, percent" in outcome.out
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
    assert rows["classification/mAP"]["controls"].keys() == {"chance"}
    assert rows["mAP@0.1"]["controls"].keys() == {"whole image", "centre box", "shuffled scores"}
    low, high = rows["segmentation/mIoU (label)"]["interval"]
    assert 0 <= low <= high <= 100
    page = (tmp_path / "g" / "index.html").read_text()
    assert "mAP@0.5" in page
    assert page.count("<img") == 3


def test_maps_of_every_labelled_class(scored, wsoltool, tmp_path):
    maps = tmp_path / "maps"
    outcome = scored("--maps", maps)
    assert outcome.code == 0, outcome
    assert f"maps: {maps}" in outcome.out
    test = Creatures("test", 10, image_size=64, num_classes=5, instances=(1, 3), multi_label=True)
    wanted = {
        f"{image_id}/{class_id}_{test.classes[class_id]}.npy"
        for index, image_id in enumerate(test.image_ids)
        for class_id in np.flatnonzero(test.label(index))
    }
    assert len(wanted) > 10
    assert {path.relative_to(maps).as_posix() for path in maps.rglob("*.npy")} == wanted
    values = [np.load(maps / name) for name in wanted]
    assert all(v.shape == (64, 64) and v.dtype == np.float32 for v in values)
    assert all(v.min() == 0 and v.max() == 1 for v in values)
    assert not np.array_equal(*values[:2])
    again = scored("metrics=[{'type': 'ClassificationMetric'}]", "--maps", tmp_path / "again")
    assert again.code == 0, again
    assert {p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*.npy")} == {
        p.relative_to(maps) for p in maps.rglob("*.npy")
    }, "whatever the metrics ask for"


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


def test_a_loss_for_one_class_is_refused_before_training(refused, wsoltool, tmp_path):
    loss = "model.head.loss={'type': 'CrossEntropy'}"
    message = refused("train", CONFIG, "--work-dir", tmp_path, *TINY, loss)
    assert "CrossEntropy takes one class an image, but" in message
    assert "multi_label='share'" in message
    assert not list(tmp_path.glob("*/vis_data/scalars.json"))
    loss = "model.head.loss={'type': 'CrossEntropy', 'multi_label': 'share'}"
    outcome = wsoltool("train", CONFIG, "--work-dir", tmp_path, *TINY, loss)
    assert outcome.code == 0, outcome


def test_the_localization_table_refuses_several_labels_before_scoring(run, refused, tmp_path):
    options = [option for option in TINY if not option.startswith("metrics.")]
    arguments = ("--work-dir", tmp_path, *options, "evaluation._delete_=True")
    message = refused("test", CONFIG, run / "last.pth", *arguments)
    assert "these images have several labels" in message
    assert "evaluation=None" in message
    message = refused("train", CONFIG, *arguments)
    assert "these images have several labels" in message
    assert "val_dataloader" in message


def test_two_tests_without_a_localization_table_are_compared(scored, wsoltool, tmp_path):
    scored()
    first = (tmp_path / "f.json").rename(tmp_path / "first.json")
    (tmp_path / "f.further.npz").rename(tmp_path / "first.further.npz")
    content = json.loads(first.read_text())
    content["files"]["further"]["path"] = "first.further.npz"
    first.write_text(json.dumps(content))
    scored("metrics.2.threshold=0.7")
    files, table = (first, tmp_path / "f.json"), tmp_path / "table.md"
    options = ("--resamples", 10, "--json", tmp_path / "c.json", "--markdown", table)
    outcome = wsoltool("compare", *files, *options)
    assert outcome.code == 0, outcome
    rows = json.loads((tmp_path / "c.json").read_text())["comparisons"][0]["rows"]
    changed = {row["metric"] for row in rows if row["difference"]}
    assert {row["metric"] for row in rows} == FIGURES
    assert changed
    assert all(name.startswith("segmentation/m") for name in changed)
    outcome = wsoltool("compare", f"low={first}", f"high={files[1]}", *options)
    assert outcome.code == 0, outcome
    assert "| segmentation/mIoU (label) |" in table.read_text()


@pytest.fixture
def localized(run, wsoltool, tmp_path):
    """Localize one photo; what was printed, its record, and the table's lines."""
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    cv2.imwrite(str(photo), noise)

    def localize(*options):
        outcome = wsoltool("localize", CONFIG, run / "last.pth", photo, "--out", out, *options)
        assert outcome.code == 0, outcome
        (record,) = json.loads((out / "boxes.json").read_text())["images"]
        with (out / "boxes.csv").open() as file:
            return outcome.out, record, list(csv.DictReader(file))

    return localize


def test_boxes_of_photos_by_a_multi_label_network(localized):
    _, record, _ = localized("--top", 2)
    first, second = (found["class_score"] for found in record["predictions"])
    assert 1 >= first >= second > 0


def test_every_class_that_a_photo_probably_shows(localized, tmp_path):
    small = ("model.boxes.threshold=0.5", "model.boxes.min_area=0.0")
    _, every, table = localized("--min-score", 0, "--cfg-options", *small)
    scores = [found["class_score"] for found in every["predictions"]]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 5
    boxes = {found["class"]: found["boxes"] for found in every["predictions"]}
    assert max(map(len, boxes.values())) > 1, "several instances of a class"
    assert Counter(row["class"] for row in table) == Counter(
        {name: len(own) for name, own in boxes.items() if own}
    )
    middle = (scores[1] + scores[2]) / 2
    text, record, _ = localized("--min-score", middle)
    assert [found["class_score"] for found in record["predictions"]] == scores[:2]
    assert "0 images without a class" in text
    _, record, _ = localized("--min-score", middle, "--top", 1)
    assert [found["class_score"] for found in record["predictions"]] == scores[:1]
    names = [found["class"] for found in every["predictions"]]
    _, record, _ = localized("--min-score", middle, "--classes", names[4], names[1])
    assert [found["class"] for found in record["predictions"]] == [names[1]]


def test_a_photo_may_show_no_class(localized):
    text, record, table = localized("--min-score", 1)
    assert record["predictions"] == table == []
    assert "1 images without a class of probability 1 or more" in text


def test_a_probability_above_1_is_refused(run, refused, tmp_path):
    arguments = (run / "last.pth", tmp_path, "--out", tmp_path / "out", "--min-score", 1.5)
    message = refused("localize", CONFIG, *arguments)
    assert "--min-score=1.5" in message
    assert "a number from 0 to 1" in message
