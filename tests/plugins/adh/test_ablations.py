"""The README's switches do what their rows say; the configs are the thesis's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import wsoltool_plugins
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.testing import published_figures, section_tables, switches
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
METRICS = ("Top-1 Cls", "Top-1 Loc")
(TABLE,) = section_tables(HOME / "README.md", "Ablations")
#: (table, row) -> the README's row.
SHOWN = {(row["table"], row["row"]): row for row in TABLE}
FIGURES = published_figures(HOME / "published.csv")
#: (table, method, backbone, data set, metric) -> value, as it is written.
PUBLISHED = {figure[:5]: figure.value for figure in FIGURES}


def test_the_tables_are_those_of_the_thesis() -> None:
    assert set(SHOWN) == set(ROWS)
    assert len(TABLE) == len(ROWS)


@pytest.mark.parametrize("key", ROWS, ids=": ".join)
def test_a_row_is_what_its_switches_make(inserts, key: tuple[str, str]) -> None:
    points, areas = ROWS[key]
    made = inserts(VGG16, *switches(SHOWN[key]["switch"]))
    assert [*made] == points
    assert all(type(eraser) is DualHiding for eraser in made.values())
    assert {(m.spatial, m.channel) for m in made.values()} == ({areas} if areas else set())
    sizes = {"relu5_3": 3, "pool4": 3}
    assert {p: m.block_size for p, m in made.items()} == {p: sizes.get(p, 5) for p in points}


@pytest.mark.parametrize("key", ROWS, ids=": ".join)
def test_a_rows_figures_are_those_of_the_data_file(key: tuple[str, str]) -> None:
    table, row = key
    method = METHODS.get(row, f"ADH ({row})")
    own = [PUBLISHED[table, method, "VGG16", "CUB", metric] for metric in METRICS]
    assert SHOWN[key]["thesis"] == " / ".join(own)


def test_every_published_row_has_switches() -> None:
    methods = {(key[0], key[1]) for key in PUBLISHED if key[0] in ("7", "8")}
    assert methods == {(table, METHODS.get(row, f"ADH ({row})")) for table, row in ROWS}


def test_the_method_has_one_set_of_figures() -> None:
    """Tables 5, 7 and 8 say the same of VGG16 on CUB."""
    for metric in METRICS:
        for method in ("CAM", "ADH"):
            values = {v for k, v in PUBLISHED.items() if k[1:] == (method, "VGG16", "CUB", metric)}
            assert len(values) == 1


def test_the_readmes_main_figures_are_those_of_the_data_file() -> None:
    table, *_ = section_tables(HOME / "README.md", "Figures")
    figures = {key[1:]: value for key, value in PUBLISHED.items()}
    assert len({row[""] for row in table}) == 4
    for row in table:
        backbone, method = row[""].split(", ")
        for data in ("CUB", "ILSVRC"):
            own = [figures[method, backbone, data, metric] for metric in METRICS]
            flag = " (impossible)" if (row[""], data) == ("VGG16, CAM", "CUB") else ""
            assert row[data] == " / ".join(own) + flag


def test_the_impossible_row_is_flagged_wherever_it_stands() -> None:
    flagged = [figure for figure in FIGURES if "impossible" in figure.note]
    assert {figure[1:4] for figure in flagged} == {("CAM", "VGG16", "CUB")}
    assert sorted(figure.table for figure in flagged) == ["5", "5", "7", "7", "8", "8", "9"]


@pytest.mark.parametrize("name", THESIS)
def test_the_configs_have_the_published_settings(network, inserts, name: str) -> None:
    """Section 4.3.1; areas of 5 on 28 x 28 positions and of 3 on 14 x 14."""
    config = load_config(name)
    vgg = "vgg16" in name
    made = inserts(name)
    assert [*made] == (["pool3", "pool4", "relu5_3"] if vgg else ["stage2", "stage3", "stage4"])
    sides = [224 // network(name).backbone.insert_points[point][1] for point in made]
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
def test_attentions_lie_behind_relus(inserts, name: str) -> None:
    points = list(inserts(name))
    model = build_localizer(without_pretrained(plain(load_config(name).model))).eval()
    model.backbone.want(points)
    with torch.no_grad():
        features = model.backbone(torch.randn(1, 3, 64, 64))
    assert points
    for point in points:
        assert features[point].min() >= 0


def test_thresholds_of_the_selection_are_switches_too(inserts) -> None:
    for name in (VGG16, "adh/adh_small_creatures.py"):
        option = "model.inserts.late.module.selection.dispersion=29"
        assert [*inserts(name, option).values()][-1].selection.dispersion == 29
