"""The README's switches do what their rows say; every config fits its network."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.testing import section_tables, switches

HOME = Path(wsoltool_plugins.__path__[0]) / "abn"
CONFIGS = [name for name in bundled_configs() if name.startswith("abn/")]
(ROWS,) = section_tables(HOME / "README.md", "Ablations")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_a_row_is_what_its_switches_make(network, row: dict[str, str], name: str) -> None:
    fusion = network(name, *switches(row["`--cfg-options`"])).fusion
    assert fusion.branches == row["branches"]
    assert fusion.normalize_branches is (row["each scaled first"] == "yes")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_plain_cams_but_for_the_head(name: str) -> None:
    model = plain(load_config(name).model)
    stem = Path(name).stem.replace("abn_", "cam_")
    stem = {"cam_small_creatures": "cam_small_creatures_coats"}.get(stem, stem)
    cam = plain(load_config(f"cam/{stem}.py").model)
    assert model["fusion"].pop("branches") == "attention"
    assert model["head"].pop("type") == "abn.AttentionBranchHead"
    cam["head"].pop("type")
    assert model == cam


@pytest.mark.parametrize(("name", "layers"), [("abn/abn_resnet50_cub.py", 3)])
def test_the_branch_has_the_last_stage_on_the_grid_of_the_one_before(network, name, layers) -> None:
    model = network(name)
    points = model.backbone.insert_points
    assert points["stage3"][1] == points["last"][1] == 16
    assert len(model.head.branch.layers) == layers
    last_stage = sum(p.numel() for p in model.backbone.layer4.parameters())
    assert sum(p.numel() for p in model.head.branch.layers.parameters()) == last_stage
