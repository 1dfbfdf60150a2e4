"""The README's tables: each ablation is the switch that it names, each figure the paper's."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import load_config, plain
from wsoltool.engine.dataloaders import build_pipeline
from wsoltool.errors import ConfigError
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.localizer import Localizer
from wsoltool.plugin.manager import build
from wsoltool.preflight import check
from wsoltool.testing import published_figures, section_tables, switches
from wsoltool_plugins.mldfr.mldfr import SelfAttention

HOME = Path(wsoltool_plugins.__path__[0]) / "mldfr"
SWITCHES = "`--cfg-options`"
#: Name -> classes.
DATA = {"ILSVRC": 1000, "CUB": 200}
CREATURES = "mldfr/mldfr_small_creatures.py"
(ROWS,) = section_tables(HOME / "README.md", "Ablations")
ALL = {(row["table"], row["row"], row["backbone"]): row for row in ROWS}
#: (table, method, backbone, data set, metric) -> value, as it is written.
PUBLISHED = {figure[:5]: figure.value for figure in published_figures(HOME / "published.csv")}


def of_row(row: dict[str, str]) -> Config:
    options = parse_options(switches(row[SWITCHES]))
    return load_config(f"mldfr/mldfr_{row['backbone'].lower()}_cub.py", options)


@cache
def built(backbone_and_inserts: str) -> Localizer:
    """One network for all rows that share it, to be looked at: its weights are never filled."""
    model = json.loads(backbone_and_inserts)
    others = {"head": {"type": "cam.ConvHead", "num_classes": 2}}
    others["preprocessor"] = {"channels_last": False}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("kaiming_uniform_", "kaiming_normal_", "trunc_normal_", "normal_", "uniform_"):
            patch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
        return build_localizer(without_pretrained({**model, **others}))


def network(config: Config) -> Localizer:
    model = plain(config.model)
    parts = {key: model[key] for key in ("backbone", "inserts")}
    return built(json.dumps(parts, sort_keys=False))


def modules_of(model: nn.Module) -> tuple[int, int]:
    """How many self-attentions, and how many BatchNorms outside of them."""
    attentions = [m for m in model.modules() if isinstance(m, SelfAttention)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    inside = [m for a in attentions for m in a.modules() if isinstance(m, nn.BatchNorm2d)]
    return len(attentions), len(norms) - len(inside)


def numbers(cell: str) -> list[float]:
    return [float(number) for number in cell.split(",")]


@pytest.mark.parametrize("row", ROWS, ids="{0[table]}-{0[backbone]}-{0[row]}".format)
def test_a_row_is_what_its_switches_make(row: dict[str, str]) -> None:
    config = of_row(row)
    assert modules_of(network(config)) == (int(row["SA"]), int(row["BN"]))
    views = build("fusion", plain(config.model.fusion), "model.fusion").views()
    delivered = config.model.fusion.input_scale
    assert [view.scale * delivered for view in views] == pytest.approx(numbers(row["scales"]))
    crop = build_pipeline(config, "train_dataloader")[0]
    assert list(crop.area) == numbers(row["crop's area"])
    assert config.train_dataloader.batch_size == int(row["batch"])


@pytest.mark.parametrize("backbone", sorted({row["backbone"].lower() for row in ROWS}))
def test_on_ilsvrc_all_is_the_same_but_data_and_classes(backbone: str) -> None:
    ilsvrc, cub = (
        load_config(f"mldfr/mldfr_{backbone}_{name.lower()}.py").to_dict() for name in DATA
    )
    for config, classes in zip((ilsvrc, cub), DATA.values(), strict=True):
        assert config["model"]["head"].pop("num_classes") == classes
        assert config.pop("data_root") in DATA
    assert cub == ilsvrc


def test_rows_are_the_papers_and_so_are_their_figures() -> None:
    known = {key[:3] for key in PUBLISHED if key[0] in ("VIII", "IX", "X", "XI", "XII")}
    known |= {key[:3] for key in PUBLISHED if key[:2] == ("XIII", "mLDFR")}
    # At batches of 16 the paper's training does not converge: no figures.
    assert set(ALL) == known | {("XII", "batch size 16", "VGG16")}
    for key, row in ALL.items():
        values = [PUBLISHED.get((*key, data, "GT-known Loc")) for data in DATA]
        expected = " / ".join(v for v in values if v) or "does not converge"
        assert row["paper"] == expected, key


def test_switches_change_something_and_one_key_a_thing() -> None:
    """A row without switches is the config; the others differ from it by as many columns."""
    columns = (("SA", "BN"), ("scales",), ("crop's area",), ("batch",))
    whole = {row["backbone"]: row for row in ROWS if not row[SWITCHES]}
    for row in ROWS:
        base = whole[row["backbone"]]
        changed = sum(any(row[c] != base[c] for c in things) for things in columns)
        assert len(switches(row[SWITCHES])) == changed, row


def test_the_papers_results_are_those_of_the_data_file() -> None:
    tables = section_tables(HOME / "README.md", "Figures")
    (table,) = (t for t in tables if {"method", "GT-known Loc"} <= set(t[0]))
    cells = 0
    for row in table:
        for metric in list(row)[3:]:
            key = (row["method"], row["backbone"], row["data"], metric)
            found = {v for k, v in PUBLISHED.items() if k[1:] == key}
            assert found == ({row[metric]} if row[metric] else set()), key
            cells += bool(row[metric])
    own = {k[1:] for k in PUBLISHED if k[1] == "mLDFR" and k[3] in DATA}
    assert cells > len(own)
    assert {k[:3] for k in own} == {
        (r["method"], r["backbone"], r["data"]) for r in table if r["method"] == "mLDFR"
    }


def test_one_method_has_one_value() -> None:
    """Whatever table a figure is printed in."""
    values: dict[tuple[str, ...], set[str]] = {}
    for key, value in PUBLISHED.items():
        values.setdefault(key[1:], set()).add(value)
    assert not {key: found for key, found in values.items() if len(found) > 1}


@pytest.mark.parametrize(
    ("options", "expected", "scales"),
    [
        ("", (3, 4), [1, 1.5, 2]),
        ("model.inserts.sa=None", (0, 4), [1, 1.5, 2]),
        ("model.inserts.bn=None", (3, 0), [1, 1.5, 2]),
        ("model.inserts=None", (0, 0), [1, 1.5, 2]),
        ("model.inserts=None model.fusion.scales=1.0,", (0, 0), [1]),
    ],
)
def test_the_creatures_config_takes_the_same_switches(options, expected, scales) -> None:
    config = load_config(CREATURES, parse_options(options.split()))
    check(config, "train")
    model = build_localizer(plain(config.model))
    assert modules_of(model) == expected
    assert [view.scale for view in model.fusion.views()] == scales


def test_with_batchnorm_alone_the_creatures_network_is_plain_cams() -> None:
    """The ablation's row B is plain CAM's network, function for function."""
    images = torch.randn(2, 3, 32, 32)
    options = {"model.inserts.sa": None}
    ours = build_localizer(plain(load_config(CREATURES, options).model)).train()
    plains = build_localizer(plain(load_config("cam/cam_small_creatures.py").model)).train()
    for mine, theirs in zip(ours.backbone.steps(), without_norms(plains), strict=True):
        mine[1].load_state_dict(theirs[1].state_dict())
    assert torch.equal(ours.extract(images)["last"], plains.extract(images)["last"])


def without_norms(model: Localizer) -> list[tuple[str, nn.Module]]:
    return [(name, m) for name, m in model.backbone.steps() if not name.startswith("bn")]


def test_densenets_last_attention_can_follow_the_papers_text() -> None:
    config = load_config("mldfr/mldfr_densenet161_cub.py", {"model.inserts.sa.2.at": "transition2"})
    entry = plain(config.model.inserts)["sa"][2]
    points = network(load_config("mldfr/mldfr_densenet161_cub.py")).backbone.insert_points
    assert entry["at"] == "transition2"
    assert points["transition2"] == (384, 16)
    assert points["transition3"] == (1056, 16)


@pytest.mark.parametrize(
    "name", ["vgg16_voc2007", "vgg16_cub", "googlenet_ilsvrc", "inceptionv3_cub"]
)
def test_larger_views_are_not_enlarged(name: str) -> None:
    """The pipeline delivers the largest scale; the smallest view's sides are the network's."""
    config = load_config(f"mldfr/mldfr_{name}.py")
    fusion = config.model.fusion
    size = config.train_dataloader.dataset.pipeline[0]["size"]
    for loader in ("val_dataloader", "test_dataloader"):
        if loader in config:
            (step,) = config[loader].dataset.pipeline
            assert step["size"] == size * fusion.input_scale
            assert fusion.input_scale == max(fusion.scales)


def test_vocs_views_have_whole_cells_at_all_scales() -> None:
    config = load_config("mldfr/mldfr_vgg16_voc2007.py")
    resize = build_pipeline(config, "test_dataloader")[0]
    fusion = config.model.fusion
    for height, width in ((375, 500), (500, 333), (442, 500), (500, 500)):
        image = torch.zeros(height, width, 3, dtype=torch.uint8).numpy()
        sides = resize.transform({"img": image})["img"].shape[:2]
        for scale in fusion.scales:
            assert all(side * scale / fusion.input_scale % 16 == 0 for side in sides)


def test_cub_takes_the_backbone_of_a_run_on_another_set(tmp_path) -> None:
    """The README's lines on starting weights, on the smallest network."""
    other = build_localizer(plain(load_config(CREATURES, {"model.head.num_classes": 7}).model))
    torch.save({"state_dict": other.state_dict()}, tmp_path / "last.pth")
    settings = {"key_map": {"backbone.": ""}, "ignore": ("head.*", "inserts.*")}
    assert repr(settings["ignore"]) in (HOME / "README.md").read_text().replace('"', "'")
    source = {"file": str(tmp_path / "last.pth"), **settings}
    config = plain(load_config(CREATURES).model)
    config["backbone"]["pretrained"] = source
    ours = build_localizer(config)
    for name, tensor in ours.backbone.state_dict().items():
        assert torch.equal(tensor, other.backbone.state_dict()[name])


def test_a_misspelled_group_is_not_left_out_silently() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sa'"):
        load_config(CREATURES, {"model.inserts.sas": None})
