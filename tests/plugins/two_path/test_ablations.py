"""The README's switches do what their rows say; the configs are the paper's."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.testing import published_figures, section_tables, switches
from wsoltool_plugins.two_path.attention import SCHEMES

HOME = Path(wsoltool_plugins.__path__[0]) / "two_path"
CONFIGS = [name for name in bundled_configs() if name.startswith("two_path/")]
PAPERS = ["two_path/two_path_vgg16_cub.py", "two_path/two_path_inceptionv3_cub.py"]
LARGE = [*PAPERS, *(name.replace("_cub", "_ilsvrc") for name in PAPERS)]
(ROWS,) = section_tables(HOME / "README.md", "Ablations")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["row"])
def test_a_row_is_what_its_switches_make(network, row: dict[str, str]) -> None:
    model = network(PAPERS[0], *switches(row["`--cfg-options`"]))
    found = (model.head.scheme, f"{model.head.weight:g}", model.fusion.branches, model.head.scored)
    assert found == (row["M'"], row["weight"], row["maps"], row["scores"])
    assert model.fusion.normalize_branches
    assert model.head.normalize == "minmax"


def test_every_scheme_has_a_row() -> None:
    assert {row["M'"] for row in ROWS} == set(SCHEMES)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_equation_7s_weight_and_both_maps(network, name: str) -> None:
    model = network(name)
    assert (model.head.scheme, model.head.weight, model.head.scored) == ("reduce", 5.0, "mean")
    assert (model.fusion.branches, model.fusion.normalize_branches) == ("mean", True)
    assert model.inserts is None


def test_the_papers_configs_are_there() -> None:
    assert set(LARGE) < set(CONFIGS)


@pytest.mark.parametrize("name", LARGE)
def test_the_papers_configs_are_the_papers(network, name: str) -> None:
    """Section 4: learning rate 0.0001, batches of 128."""
    config = load_config(name)
    assert config.optim_wrapper.optimizer.lr == 1e-4
    assert not config.optim_wrapper.paramwise_cfg
    assert config.train_dataloader.batch_size == 128
    model = network(name)
    assert model.head.num_classes == (200 if name.endswith("_cub.py") else 1000)
    assert model.head.upper.in_features == 1024


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_plain_cams_but_for_the_head(name: str) -> None:
    model = plain(load_config(name).model)
    stem = Path(name).stem.replace("two_path_", "cam_")
    stem = {"cam_small_creatures": "cam_small_creatures_coats"}.get(stem, stem)
    cam = plain(load_config(f"cam/{stem}.py").model)
    assert model["head"].pop("num_classes") == cam["head"].pop("num_classes")
    assert model.pop("head") == {"type": "two_path.TwoPathHead"}
    cam.pop("head")
    for ours in (model, cam):
        ours.pop("inserts", None)
        ours["fusion"] = {
            k: v for k, v in ours["fusion"].items() if k not in ("branches", "normalize_branches")
        }
    assert model == cam


def test_the_readmes_figures_are_those_of_the_data_file() -> None:
    figures = published_figures(HOME / "published.csv")
    found = {(f.method, f.backbone, f.metric): f.value for f in figures}
    assert len(found) == len(figures) == 16
    (table,) = section_tables(HOME / "README.md", "Figures")[:1]
    assert [row[""] for row in table] == ["CAM", "two-path attention"]
    for row in table:
        for backbone in ("VGG16", "InceptionV3"):
            values = [found[row[""], backbone, metric] for metric in ("Top-1 Loc", "Top-1 Cls")]
            assert row[backbone] == " / ".join(values)
