"""The README's switches do what their rows say; the configs are the thesis's."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.functional.selection import Selection
from wsoltool.testing import published_figures, section_tables, switches

HOME = Path(wsoltool_plugins.__path__[0]) / "ass"
CONFIGS = [name for name in bundled_configs() if name.startswith("ass/")]
PAPERS = ["ass/ass_vgg16_cub.py", "ass/ass_vgg16_ilsvrc.py"]
RESNETS = ["ass/ass_resnet50_cub.py", "ass/ass_resnet50_ilsvrc.py"]
FIGURES = ("Top-1 Cls", "Top-1 Loc")
(ROWS,) = section_tables(HOME / "README.md", "Ablations")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']}: {row['row']}")
def test_a_row_acts_where_it_says(inserts, row: dict[str, str]) -> None:
    erasers = inserts(PAPERS[0], *switches(row["`--cfg-options`"]))
    assert list(erasers) == [place for place in row["places"].split(", ") if place]
    always = row["row"] == "ASS without selection"
    for eraser in erasers.values():
        assert type(eraser).__name__ == "SelectionStrategy"
        assert (eraser.peak, eraser.selection) == (0.8, Selection(always_hide=always))


def test_every_row_is_one_switch() -> None:
    for row in ROWS:
        options = switches(row["`--cfg-options`"])
        assert len(options) == (0 if row["row"] == "ASS" else 1)


def test_the_figures_are_those_of_the_data_file() -> None:
    figures = published_figures(HOME / "published.csv")
    published = {(f.table, f.method, f.metric): f.value for f in figures}
    asked = {(row["table"], row["row"]) for row in ROWS}
    assert asked == {key[:2] for key in published if key[0] in ("1", "2")}
    for row in ROWS:
        values = [published[row["table"], row["row"], metric] for metric in FIGURES]
        assert row["figures"] == " / ".join(values)


def test_the_readmes_main_figures_are_those_of_the_data_file() -> None:
    table = section_tables(HOME / "README.md", "Figures")[0]
    figures = published_figures(HOME / "published.csv")
    found = {(f.method, f.dataset, f.metric): f.value for f in figures}
    assert [row[""] for row in table] == ["CAM", "ADL", "ASS"]
    for row in table:
        for data in ("CUB", "ILSVRC"):
            own = " / ".join(found[row[""], data, metric] for metric in FIGURES)
            assert row[data].removesuffix(" (impossible)") == own


@pytest.mark.parametrize("name", PAPERS)
def test_the_thesiss_configs_are_the_thesiss(network, inserts, name: str) -> None:
    """Section 3.3.1."""
    config, model, erasers = load_config(name), network(name), inserts(name)
    assert list(erasers) == ["pool3", "pool4", "relu5_3"]
    # Images of 224 pixels: 28 x 28, 14 x 14 and 14 x 14 positions.
    assert [224 / model.backbone.insert_points[place][1] for place in erasers] == [28, 14, 14]
    assert [eraser.selection for eraser in erasers.values()] == [Selection()] * 3
    assert config.optim_wrapper.optimizer.lr == 0.001
    assert config.train_dataloader.batch_size == 32
    assert type(model.head.pooling).__name__ == "GlobalAveragePool"


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_maps_have_the_sizes_of_vggs(network, inserts, name: str) -> None:
    places, points = list(inserts(name)), network(name).backbone.insert_points
    assert places == ["stage2", "stage3", "stage4"]
    assert [224 / points[place][1] for place in places] == [28, 14, 14]
    config = load_config(name)
    assert (config.optim_wrapper.optimizer.lr, config.train_dataloader.batch_size) == (0.001, 32)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in PAPERS + RESNETS])
def test_other_maps_have_thresholds_and_switches_of_their_own(inserts, name: str) -> None:
    keys = [f"model.inserts.{group}" for group in ("early", "middle", "late")]
    assert list(inserts(name)) == ["stage2", "stage3", "stage4"]
    assert list(inserts(name, f"{keys[0]}=None")) == ["stage3", "stage4"]
    assert list(inserts(name, f"{keys[0]}=None", f"{keys[1]}=None")) == ["stage4"]
    erasers = inserts(name, *(f"{key}.module.always_hide=True" for key in keys))
    assert all(eraser.selection.always_hide for eraser in erasers.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_plain_cams_but_for_the_strategy(name: str) -> None:
    model = plain(load_config(name).model)
    assert model.pop("inserts")
    twin = {"ass_small_creatures": "cam_small_creatures_coats"}
    stem = Path(name).stem
    plains = load_config(f"cam/{twin.get(stem, stem.replace('ass_', 'cam_'))}.py").model
    assert model == plain(plains)
