"""mLDFR's configs of VOC2007, trained a step and scored on a miniature tree by the commands."""

from __future__ import annotations

import json

from wsoltool.cli import main
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
    "metrics.1.resamples": 10,
}


def test_one_checkpoint_gives_map_on_test_and_corloc_on_trainval(
    train_and_score, tmp_path, capsys
) -> None:
    write_voc_tree(tmp_path)
    options = {**SMALL, "data_root": tmp_path}
    text = f"_base_ = [{(config_root() / 'mldfr/mldfr_vgg16_voc2007.py').as_posix()!r}]\n"
    on_test = rows_of(train_and_score(text, options))
    assert {"mAP@0.5", "mAP@0.3", "mAP@0.1"} <= set(on_test)
    assert on_test["CorLoc"]["images"] == 3

    figures = tmp_path / "corloc.json"
    arguments = ["mldfr/mldfr_vgg16_voc2007_corloc.py", str(tmp_path / "work/last.pth")]
    switches = [f"{key}={value}" for key, value in options.items()]
    outcome = main(["test", *arguments, "--json", str(figures), "--cfg-options", *switches])
    assert outcome == 0, capsys.readouterr()
    corloc = rows_of(json.loads(figures.read_text()))["CorLoc"]
    assert corloc["images"] == 4
    known = {label for label, value in corloc["per_class"].items() if value is not None}
    assert known == {"cat", "dog", "person"}


def rows_of(content: dict) -> dict[str, dict]:
    return {row["metric"]: row for row in content["further_rows"]}
