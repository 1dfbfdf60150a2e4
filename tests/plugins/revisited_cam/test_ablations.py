"""The README's switches do what their rows say; configs are plain CAM's with the three parts."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.models.boxes import OtsuBoxes, ThresholdBoxes
from wsoltool.models.localizer import HeadMaps, Localizer
from wsoltool.models.pooling import GlobalAveragePool
from wsoltool.testing import published_figures, section_tables, switches
from wsoltool_plugins.revisited_cam.pooling import WeightedGlobalAveragePool
from wsoltool_plugins.revisited_cam.recombination import RecombinedWeights
from wsoltool_plugins.revisited_cam.two_stage import TwoStageBoxes

HOME = Path(wsoltool_plugins.__path__[0]) / "revisited_cam"
CONFIGS = [name for name in bundled_configs() if name.startswith("revisited_cam/")]
SMALL = "revisited_cam/revisited_cam_small_creatures.py"
PARTS = ("WGAP", "recombined weights", "two-stage boxes")
#: Config -> the config of plain CAM that it inherits from.
BASES = {
    "revisited_cam_vgg16_cub.py": "cam/cam_vgg16_cub.py",
    "revisited_cam_vgg16_ilsvrc.py": "cam/cam_vgg16_ilsvrc.py",
    "revisited_cam_small_creatures.py": "cam/cam_small_creatures_coats.py",
    "revisited_cam_mobilenetv1_tinyimagenet50.py": "cam/cam_mobilenetv1_tinyimagenet50.py",
}
#: Of each table: a row's cells but the last -> its switches.
COMBINATIONS, ADDED, READINGS = (
    {" / ".join(name): switches(cell) for *name, cell in map(dict.values, table)}
    for table in section_tables(HOME / "README.md", "Ablations")
)


def parts_of(localizer: Localizer) -> tuple[bool, bool, bool]:
    """Whether it has WGAP, recombined weights and two-stage boxes; else CAM's own, exactly."""
    pooling, source, boxes = localizer.head.pooling, localizer.map_source, localizer.boxes
    has = (
        isinstance(pooling, WeightedGlobalAveragePool),
        isinstance(source, RecombinedWeights),
        isinstance(boxes, TwoStageBoxes),
    )
    assert has[0] or isinstance(pooling, GlobalAveragePool)
    assert has[1] or isinstance(source, HeadMaps)
    if not has[2]:
        plain_cam = vars(ThresholdBoxes(threshold=0.2, instances="largest"))
        assert (type(boxes), vars(boxes)) == (ThresholdBoxes, plain_cam)
    return has


@pytest.mark.parametrize("has", list(product([True, False], repeat=3)))
def test_a_combination_has_the_parts_that_its_row_says(
    network, has: tuple[bool, bool, bool]
) -> None:
    row = " / ".join("yes" if part else "no" for part in has)
    assert len(COMBINATIONS) == 8
    assert parts_of(network(SMALL, *COMBINATIONS[row])) == has


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_plain_cam_without_the_parts(name: str) -> None:
    options = COMBINATIONS["no / no / no"]
    own = plain(load_config(name, parse_options(options)).model)
    base = plain(load_config(BASES[name.partition("/")[2]]).model)
    assert own.pop("map_source") is None
    assert own["head"].pop("pooling") is None
    assert own.pop("boxes") == {"type": "ThresholdBoxes"}
    assert base.pop("boxes") == {"type": "ThresholdBoxes", "threshold": 0.2, "instances": "largest"}
    assert own == base


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "name", ["cam/cam_small_creatures.py", "cam/cam_mobilenetv1_tinyimagenet50.py"]
)
def test_each_part_is_added_to_plain_cam_alone(network, name: str, part: str) -> None:
    assert set(ADDED) == set(PARTS)
    assert parts_of(network(name, *ADDED[part])) == tuple(part == other for other in PARTS)


def test_all_parts_are_added_to_plain_cam_together(network) -> None:
    options = [option for part in PARTS for option in ADDED[part]]
    assert parts_of(network("cam/cam_small_creatures.py", *options)) == (True, True, True)


def test_thresholds_of_the_map_alone_are_a_switch_too(network) -> None:
    (option,) = re.findall("`(model.boxes.type=Otsu.+?)`", (HOME / "README.md").read_text("utf-8"))
    assert isinstance(network(SMALL, option).boxes, OtsuBoxes)


def test_our_readings_are_switches(network) -> None:
    localizer = network(SMALL, *(option for options in READINGS.values() for option in options))
    assert localizer.head.pooling.literal
    boxes = localizer.boxes
    assert (boxes.cut, boxes.min_seeds, len(boxes.thresholds)) == ("pixels", 1, 100)
    assert len(READINGS) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_the_three_parts_as_the_thesis_sets_them(network, name: str) -> None:
    """Section 5.5.1: thresholds every 0.05, at least four seeds."""
    localizer = network(name)
    assert parts_of(localizer) == (True, True, True)
    assert not localizer.head.pooling.literal
    boxes = localizer.boxes
    assert (boxes.cut, boxes.min_seeds, boxes.thresholds[1]) == ("cells", 4, 0.05)


@pytest.mark.parametrize("data", ["cub", "ilsvrc"])
def test_the_thesis_s_network_trains_as_it_says(data: str) -> None:
    """Section 5.5.1: learning rate 0.0001, batch size 32."""
    config = load_config(f"revisited_cam/revisited_cam_vgg16_{data}.py")
    assert config.optim_wrapper.optimizer.lr == 1e-4
    assert config.train_dataloader.batch_size == 32
    assert config.model.backbone.type == "VGG16"


def test_there_is_a_config_for_each_base() -> None:
    assert {name.partition("/")[2] for name in CONFIGS} == set(BASES)


def test_the_readme_shows_the_published_figures() -> None:
    figures = published_figures(HOME / "published.csv")
    values = {(figure.method, figure.metric): figure.value for figure in figures}
    table, *_ = section_tables(HOME / "README.md", "Figures")
    shown = {row.pop(""): row for row in table}
    shown["RCAM"] = shown.pop("RCAM of the thesis")
    assert shown == {
        method: {metric: values[method, metric] for metric in ("Top-1 Cls", "Top-1 Loc")}
        for method in ("CAM", "EIL", "MCI", "ICL", "RCAM")
    }
