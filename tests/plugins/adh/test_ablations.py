"""The README's switches do what their rows say; the configs are the thesis's."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from mmengine.config import Config

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.builder import without_pretrained
from wsoltool.models.insert_groups import insert_entries
from wsoltool.plugin.manager import build
from wsoltool.preflight import check
from wsoltool_plugins.adh.adh import DualHiding

HOME = Path(wsoltool_plugins.__path__[0]) / "adh"
CONFIGS = [name for name in bundled_configs() if name.startswith("adh/")]
THESIS = [f"adh/adh_{net}_{data}.py" for net in ("vgg16", "resnet50") for data in ("cub", "ilsvrc")]
VGG16 = THESIS[0]
#: (table, row) -> points, areas of the attention, areas of channels.
ROWS = {
    ("7", "N/A (CAM)"): ([], None),
    ("7", "conv 5-3"): (["relu5_3"], (1, 1)),
    ("7", "+ pool4"): (["pool4", "relu5_3"], (1, 1)),
    ("7", "+ pool3"): (["pool3", "pool4", "relu5_3"], (1, 1)),
    ("7", "+ pool2"): (["pool2", "pool3", "pool4", "relu5_3"], (1, 1)),
    ("7", "+ pool1"): (["pool1", "pool2", "pool3", "pool4", "relu5_3"], (1, 1)),
    ("8", "N/A (CAM)"): ([], None),
    ("8", "drop mask of self-attention"): (["pool3", "pool4", "relu5_3"], (0, 0)),
    ("8", "+ Top-1 spatial region"): (["pool3", "pool4", "relu5_3"], (1, 0)),
    ("8", "+ Top-1 channel region"): (["pool3", "pool4", "relu5_3"], (1, 1)),
    ("8", "+ Top-2 spatial region"): (["pool3", "pool4", "relu5_3"], (2, 1)),
    ("8", "+ Top-2 channel region"): (["pool3", "pool4", "relu5_3"], (2, 2)),
}
#: Whose row in the data file is not "ADH (row)".
METHODS = {
    "N/A (CAM)": "CAM",
    "+ pool3": "ADH",
    "+ Top-1 channel region": "ADH",
}


class Row(NamedTuple):
    options: list[str]
    thesis: str


def rows() -> dict[tuple[str, str], Row]:
    """(table, row) -> its switches and the thesis's figures."""
    text = (HOME / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Ablations")[2].partition("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in block.splitlines() if line.startswith("|")]
    return {
        (table.strip(), row.strip()): Row(
            " ".join(re.findall("`(.+?)`", cell)).split(), own.strip()
        )
        for table, row, cell, own in lines[2:]
    }


SWITCHES = rows()


def published() -> dict[tuple[str, ...], str]:
    """(table, method, backbone, data set, metric) -> value, as it is written."""
    with (HOME / "published.csv").open(encoding="utf-8", newline="") as file:
        return {
            (r["table"], r["method"], r["backbone"], r["dataset"], r["metric"]): r["value"]
            for r in csv.DictReader(file)
        }


@cache
def backbone_of(name: str) -> Backbone:
    model = without_pretrained(plain(load_config(name).model))
    return build("backbone", model["backbone"], "model.backbone")


def erasers(name: str, config: Config) -> dict[str, DualHiding]:
    """Insert point -> its eraser, in running order."""
    backbone = backbone_of(name)
    found = {}
    for at, entry in insert_entries(plain(config.model).get("inserts"), "model.inserts"):
        for point in backbone.resolve_points(entry["at"]):
            found[point] = build("eraser", entry["module"], at)
    return {point: found[point] for point in backbone.insert_points if point in found}


def test_the_tables_are_those_of_the_thesis() -> None:
    assert set(SWITCHES) == set(ROWS)


@pytest.mark.parametrize("key", ROWS, ids=": ".join)
def test_a_row_is_what_its_switches_make(key: tuple[str, str]) -> None:
    points, areas = ROWS[key]
    config = load_config(VGG16, parse_options(SWITCHES[key].options))
    check(config, "train")
    made = erasers(VGG16, config)
    assert [*made] == points
    assert {(m.spatial, m.channel) for m in made.values()} == ({areas} if areas else set())
    sizes = {"relu5_3": 3, "pool4": 3}
    assert {p: m.block_size for p, m in made.items()} == {p: sizes.get(p, 5) for p in points}


@pytest.mark.parametrize("key", ROWS, ids=": ".join)
def test_a_rows_figures_are_those_of_the_data_file(key: tuple[str, str]) -> None:
    table, row = key
    method = METHODS.get(row, f"ADH ({row})")
    figures = published()
    own = [figures[table, method, "VGG16", "CUB", m] for m in ("Top-1 Cls", "Top-1 Loc")]
    assert SWITCHES[key].thesis == " / ".join(own)


def test_every_published_row_has_switches() -> None:
    methods = {(key[0], key[1]) for key in published() if key[0] in ("7", "8")}
    assert methods == {(table, METHODS.get(row, f"ADH ({row})")) for table, row in ROWS}


def test_the_method_has_one_set_of_figures() -> None:
    """Tables 5, 7 and 8 say the same of VGG16 on CUB."""
    for metric in ("Top-1 Cls", "Top-1 Loc"):
        for method in ("CAM", "ADH"):
            values = {
                v for k, v in published().items() if k[1:] == (method, "VGG16", "CUB", metric)
            }
            assert len(values) == 1


def test_the_readmes_main_figures_are_those_of_the_data_file() -> None:
    text = (HOME / "README.md").read_text(encoding="utf-8").partition("## Figures")[2]
    shown = re.findall(
        r"^\| (\w+), (\w+) \| ([\d./ ]+?)(?: \(impossible\))? \| ([\d./ ]+) \|$", text, re.M
    )
    assert len(shown) == 4
    figures = {key[1:]: value for key, value in published().items()}
    for backbone, method, *cells in shown:
        for data, cell in zip(("CUB", "ILSVRC"), cells, strict=True):
            own = [figures[method, backbone, data, m] for m in ("Top-1 Cls", "Top-1 Loc")]
            assert cell == " / ".join(own)


def test_the_impossible_row_is_flagged_wherever_it_stands() -> None:
    with (HOME / "published.csv").open(encoding="utf-8", newline="") as file:
        flagged = [row for row in csv.DictReader(file) if "impossible" in row["note"]]
    assert {(r["method"], r["backbone"], r["dataset"]) for r in flagged} == {
        ("CAM", "VGG16", "CUB")
    }
    assert sorted(r["table"] for r in flagged) == ["5", "5", "7", "7", "8", "8", "9"]


@pytest.mark.parametrize("name", THESIS)
def test_the_configs_have_the_published_settings(name: str) -> None:
    """Section 4.3.1; areas of 5 on 28 x 28 positions and of 3 on 14 x 14."""
    config = load_config(name)
    vgg = "vgg16" in name
    made = erasers(name, config)
    assert [*made] == (["pool3", "pool4", "relu5_3"] if vgg else ["stage2", "stage3", "stage4"])
    sides = [224 // backbone_of(name).insert_points[point][1] for point in made]
    assert sides == [28, 14, 14]
    assert [m.block_size for m in made.values()] == [5, 3, 3]
    assert {m.peak for m in made.values()} == {0.8 if vgg else 0.9}
    assert {(m.spatial, m.channel, m.temperature) for m in made.values()} == {(1, 1, 1.0)}
    assert {m.channel_score for m in made.values()} == {"weighted"}
    assert {m.selection.dispersion for m in made.values()} == {40}
    assert not any(m.selection.always_hide for m in made.values())
    assert config.optim_wrapper.optimizer.lr == 0.001
    assert config.train_dataloader.batch_size == 32
    assert config.model.head.num_classes == (200 if name.endswith("_cub.py") else 1000)


def test_four_configs_of_the_thesis_and_two_small_ones() -> None:
    small = {"adh/adh_small_creatures.py", "adh/adh_mobilenetv1_tinyimagenet50.py"}
    assert set(CONFIGS) == {*THESIS, *small}


@pytest.mark.parametrize("name", CONFIGS)
def test_attentions_lie_behind_relus(name: str) -> None:
    import torch

    config = load_config(name)
    backbone = backbone_of(name).eval()
    backbone.want(erasers(name, config))
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, 64, 64))
    for point in erasers(name, config):
        assert features[point].min() >= 0


def test_thresholds_of_the_selection_are_switches_too() -> None:
    for name in (VGG16, "adh/adh_small_creatures.py"):
        option = "model.inserts.late.module.selection.dispersion=29"
        made = erasers(name, load_config(name, parse_options([option])))
        assert [*made.values()][-1].selection.dispersion == 29
