"""The README's switches do what their rows say; the configs are the thesis's."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.functional.selection import Selection
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.localizer import Localizer
from wsoltool.preflight import check

HOME = Path(wsoltool_plugins.__path__[0]) / "ass"
CONFIGS = [name for name in bundled_configs() if name.startswith("ass/")]
PAPERS = ["ass/ass_vgg16_cub.py", "ass/ass_vgg16_ilsvrc.py"]
RESNETS = ["ass/ass_resnet50_cub.py", "ass/ass_resnet50_ilsvrc.py"]
FIGURES = ("Top-1 Cls", "Top-1 Loc")


def rows() -> list[dict[str, str]]:
    """The README's table of ablations, a dict of column -> cell for each row."""
    text = (HOME / "README.md").read_text(encoding="utf-8")
    block = text.partition("## Ablations")[2].partition("\n## ")[0]
    lines = [line for line in block.splitlines() if line.startswith("|")]
    header, _, *cells = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in cells]


ROWS = rows()


@cache
def network(name: str, *options: str) -> Localizer:
    config = load_config(name, parse_options(options))
    check(config, "train")
    return build_localizer(without_pretrained(plain(config.model)))


def places(model: Localizer) -> list[str]:
    """Where the strategy acts, in running order."""
    there = () if model.inserts is None else model.inserts.points.values()
    order = list(model.backbone.insert_points)
    return sorted(there, key=order.index)


def of_row(row: dict[str, str]) -> Localizer:
    return network(PAPERS[0], *row["`--cfg-options`"].strip("`").split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']}: {row['row']}")
def test_a_row_acts_where_it_says(row: dict[str, str]) -> None:
    model = of_row(row)
    steps = model.backbone.step_names
    expected = [place for place in row["places"].split(", ") if place]
    assert sorted(places(model), key=steps.index) == expected
    always = row["row"] == "ASS without selection"
    for eraser in (model.inserts or {}).values():
        assert type(eraser).__name__ == "SelectionStrategy"
        assert eraser.selection == Selection(always_hide=always)
        assert eraser.peak == 0.8


def test_every_row_is_one_switch() -> None:
    for row in ROWS:
        assert len(row["`--cfg-options`"].split()) <= 1
        assert not row["`--cfg-options`"] or row["row"] != "ASS"


def test_the_figures_are_those_of_the_data_file() -> None:
    with (HOME / "published.csv").open(encoding="utf-8", newline="") as file:
        published = {(r["table"], r["method"], r["metric"]): r for r in csv.DictReader(file)}
    asked = {(row["table"], row["row"]) for row in ROWS}
    assert asked == {key[:2] for key in published if key[0] in ("1", "2")}
    for row in ROWS:
        values = [published[row["table"], row["row"], metric]["value"] for metric in FIGURES]
        assert row["figures"] == " / ".join(values)


def test_the_readmes_main_figures_are_those_of_the_data_file() -> None:
    text = (HOME / "README.md").read_text(encoding="utf-8").partition("## Figures")[2]
    row = r"^\| (\w+) \| ([\d./ ]+?)(?: \(impossible\))? \| ([\d./ ]+) \|$"
    shown = re.findall(row, text, re.M)
    assert [method for method, *_ in shown] == ["CAM", "ADL", "ASS"]
    with (HOME / "published.csv").open(encoding="utf-8", newline="") as file:
        found = {(r["method"], r["dataset"], r["metric"]): r["value"] for r in csv.DictReader(file)}
    for method, *cells in shown:
        for data, cell in zip(("CUB", "ILSVRC"), cells, strict=True):
            assert cell == " / ".join(found[method, data, metric] for metric in FIGURES)


@pytest.mark.parametrize("name", PAPERS)
def test_the_thesiss_configs_are_the_thesiss(name: str) -> None:
    """Section 3.3.1."""
    config, model = load_config(name), network(name)
    assert places(model) == ["pool3", "pool4", "relu5_3"]
    # Images of 224 pixels: 28 x 28, 14 x 14 and 14 x 14 positions.
    assert [224 / model.backbone.insert_points[place][1] for place in places(model)] == [28, 14, 14]
    assert [eraser.selection for eraser in model.inserts.values()] == [Selection()] * 3
    assert config.optim_wrapper.optimizer.lr == 0.001
    assert config.train_dataloader.batch_size == 32
    assert type(model.head.pooling).__name__ == "GlobalAveragePool"


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_maps_have_the_sizes_of_vggs(name: str) -> None:
    model = network(name)
    assert places(model) == ["stage2", "stage3", "stage4"]
    assert [224 / model.backbone.insert_points[place][1] for place in places(model)] == [28, 14, 14]
    config = load_config(name)
    assert config.optim_wrapper.optimizer.lr == 0.001
    assert config.train_dataloader.batch_size == 32


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in PAPERS + RESNETS])
def test_other_maps_have_thresholds_and_switches_of_their_own(name: str) -> None:
    keys = [f"model.inserts.{group}" for group in ("early", "middle", "late")]
    assert places(network(name)) == ["stage2", "stage3", "stage4"]
    assert places(network(name, f"{keys[0]}=None")) == ["stage3", "stage4"]
    assert places(network(name, f"{keys[0]}=None", f"{keys[1]}=None")) == ["stage4"]
    model = network(name, *(f"{key}.module.always_hide=True" for key in keys))
    assert all(eraser.selection.always_hide for eraser in model.inserts.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_plain_cams_but_for_the_strategy(name: str) -> None:
    model = plain(load_config(name).model)
    assert model.pop("inserts")
    twin = {"ass_small_creatures": "cam_small_creatures_coats"}
    stem = Path(name).stem
    plains = load_config(f"cam/{twin.get(stem, stem.replace('ass_', 'cam_'))}.py").model
    assert model == plain(plains)
