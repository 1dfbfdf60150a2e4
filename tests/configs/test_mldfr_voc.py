"""mLDFR's configs of VOC2007, trained a step and scored on a miniature tree by the commands."""

from __future__ import annotations

import pytest

from wsoltool.config import config_root
from wsoltool.testing.voc_trees import write_voc_tree

#: One step on small images; the smallest of the five views has 2 x 2 cells.
SMALL = {
    "model.backbone.pretrained": False,
    "model.backbone.extra_conv": 8,
    "train_dataloader.batch_size": 4,
    "train_dataloader.num_workers": 0,
    "train_dataloader.dataset.pipeline.0.size": 32,
    "test_dataloader.num_workers": 0,
    "test_dataloader.dataset.pipeline.0.size": 160,
    "train_cfg.max_epochs": 1,
    "metrics.0.resamples": 10,
}


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("mldfr_vgg16_voc2007", {"cat", "dog", "person"}),
        # Trainval's cat stands beside a person who is too hard to count.
        ("mldfr_vgg16_voc2007_corloc", {"cat", "dog", "person"}),
    ],
)
def test_voc(train_and_score, tmp_path, name: str, classes: set[str]) -> None:
    write_voc_tree(tmp_path)
    text = f"_base_ = [{str(config_root() / 'mldfr' / f'{name}.py')!r}]\n"
    content = train_and_score(text, {**SMALL, "data_root": tmp_path})
    rows = {row["metric"]: row for row in content["further_rows"]}
    assert {"mAP@0.5", "mAP@0.3", "mAP@0.1", "CorLoc"} <= set(rows)
    values = rows["CorLoc"]["per_class"]
    assert {label for label, value in values.items() if value is not None} == classes
    images = 4 if name.endswith("corloc") else 3
    assert rows["CorLoc"]["images"] == images
