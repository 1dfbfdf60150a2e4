"""The README's switches do what their rows say; its configs are the paper's."""

import re
from pathlib import Path

import pytest

import wsoltool_plugins
from wsoltool.commands.options import parse_options
from wsoltool.config import bundled_configs, config_root, load_config, plain
from wsoltool.engine.stage_list import final_config, stages_of
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.preflight import check
from wsoltool.testing import published_figures, section_tables, switches
from wsoltool_plugins.class_grouping.fusion import LevelFusion
from wsoltool_plugins.class_grouping.grouping import Grouping
from wsoltool_plugins.class_grouping.rest import WithRest
from wsoltool_plugins.class_grouping.stages import TrainLevel
from wsoltool_plugins.class_grouping.tree import tree_text

HOME = Path(wsoltool_plugins.__path__[0]) / "class_grouping"
README = (HOME / "README.md").read_text(encoding="utf-8")
(TABLE,) = section_tables(HOME / "README.md", "Ablations")
CONFIGS = [name for name in bundled_configs() if name.startswith("class_grouping/")]
PAPERS = [f"class_grouping/class_grouping_{net}_voc2012.py" for net in ("resnet50", "vgg16")]
SMALL = "class_grouping/class_grouping_small_creatures.py"
FIGURES = published_figures(HOME / "published.csv")


#: Three faces, of which one level after the other becomes a group.
TREE = Grouping(
    (
        "pointed-masked",
        "round-muzzled",
        "long-muzzled",
        "horned-muzzled",
        "round-capped",
        "long-capped",
    ),
    ((0, 1, 1, 1, 2, 3), (0, 1, 1, 1, 2, 2), (0, 1, 1, 1, 0, 0)),
    (0, 0, 0),
)


def named(row):
    return f"{row['table']}: {row['row']}"


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_a_row_is_what_it_says(row):
    config = load_config(SMALL, parse_options(switches(row["switch"])))
    check(config, "train")
    trained = [stage for stage in stages_of(config) if isinstance(stage, TrainLevel)]
    assert ", ".join(str(stage.num_classes) for stage in trained) == row["levels"]
    final = final_config(config)
    check(final, "test")
    model = build_localizer(without_pretrained(plain(final.model)))
    assert len(model.head.taps) == int(row["networks"])
    several = len(model.head.taps) > 1
    weight = f"{model.head.orthogonal:g}" if several and model.head.orthogonal else "none"
    assert weight == row["weight"]


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_the_papers_configs_take_the_switches(row):
    config = load_config(PAPERS[0], parse_options(switches(row["switch"])))
    assert stages_of(config)[0].num_classes == 20
    check(final_config(config), "test")


@pytest.mark.parametrize("row", [row for row in TABLE if row["paper"]], ids=named)
def test_its_figures_are_those_of_the_data_file(row):
    method = "class grouping" if row["row"] == "all" else f"class grouping {row['row']}"
    found = {
        figure.metric: figure.value
        for figure in FIGURES
        if (figure.table, figure.method) == (row["table"], method)
        and figure.dataset == "VOC2012 val"
    }
    assert f"{found['mIoU']} / {found['mLEV']}" == row["paper"]


def test_every_row_of_tables_i_and_ii_is_there():
    told = {(figure.table, figure.method) for figure in FIGURES if figure.table in ("I", "II")}
    assert len(told) == sum(row["table"] in ("I", "II") for row in TABLE) == 9


def test_the_tables_agree_where_they_say_the_same():
    """Table II's ends are Table I's, and Table III's last row of each network is the method."""
    by_row = {(f.table, f.method, f.backbone, f.dataset, f.metric): f.value for f in FIGURES}
    same = {
        "class grouping without clustering, orthogonal": "class grouping N={20}",
        "class grouping": "class grouping N={20,12,8,5}",
    }
    for split in ("VOC2012 train", "VOC2012 val"):
        for second, first in same.items():
            for metric in ("mIoU", "mLEV"):
                ours = by_row["II", second, "ResNet50", split, metric]
                assert ours == by_row["I", first, "ResNet50", split, metric]
        third = by_row["III", "class grouping", "ResNet50", split, "mIoU"]
        assert third == by_row["II", "class grouping", "ResNet50", split, "mIoU"]


def test_mlev_is_an_area_measure_in_the_paper():
    """Its mIoU and mLEV of one row add up to 91 to 94."""
    rows = {(f.table, f.method, f.dataset): {} for f in FIGURES if f.table in ("I", "II")}
    for figure in FIGURES:
        if figure.table in ("I", "II"):
            key = figure.table, figure.method, figure.dataset
            rows[key][figure.metric] = float(figure.value)
    assert all(91 < sum(values.values()) < 94 for values in rows.values())


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_configs_are_the_papers(name):
    """Section III-A: trainaug, batches of 20, 100 epochs at 1e-4, halved, the middle square."""
    config = load_config(name)
    assert config.train_dataloader.batch_size == 20
    assert config.train_dataloader.dataset.reader.parts["train-weaksup"] == "Segmentation/trainaug"
    assert config.test_dataloader.dataset.reader.parts["test"] == "Segmentation/val"
    assert config.train_cfg.max_epochs == 100
    assert config.optim_wrapper.optimizer.lr == 1e-4
    (schedule,) = config.param_scheduler
    assert plain(schedule) == {
        "type": "ReduceOnPlateauLR",
        "monitor": "train/loss",
        "rule": "less",
        "factor": 0.5,
        "patience": 4,
    }
    for loader in (config.train_dataloader, config.test_dataloader):
        assert plain(loader.dataset.pipeline) == [
            {"type": "ResizeShortSide", "size": 224},
            {"type": "CenterCrop", "size": 224},
        ]
    assert [plain(metric) for metric in config.metrics] == [
        {"type": "SegmentationMetric", "threshold": 0.15}
    ]
    assert config.model.head.loss.type == "BinaryCrossEntropy"
    assert config.model.head.orthogonal == 1e-4
    assert tuple(config.stages.levels) == (20, 12, 8, 5)


@pytest.mark.parametrize(("name", "shape"), [(PAPERS[0], (2048, 32)), (PAPERS[1], (512, 16))])
def test_both_papers_networks_have_features_of_one_size(name, shape, network):
    model = network(name)
    channels, stride = shape
    for side in ("a", "b"):
        assert model.backbone.insert_points[f"{side}.last"] == (channels, stride)
    assert channels * (224 // stride) ** 2 == 100_352


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_two_networks_and_grad_cam_of_both(name):
    model = load_config(name).model
    assert list(model.backbone.networks) == ["a", "b"]
    assert plain(model.map_source) == {"type": "gradcam.GradCAM", "target": ["a.last", "b.last"]}
    assert model.boxes.threshold == 0.15
    # Pretrained MobileNets start alike, and at the paper's weight learn nothing else than to part.
    smoke = name == "class_grouping/class_grouping_mobilenetv1_coco128.py"
    assert model.head.get("orthogonal", 1e-4) == (1e-6 if smoke else 1e-4)


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readmes_config_is_one(tmp_path):
    """It passes the check, trains on several labels, and is the paper's model."""
    path = tmp_path / "mine.py"
    path.write_text(python_blocks()[0].replace("../_base_", str(config_root() / "_base_")))
    config = load_config(path)
    check(config, "train")
    check(final_config(config), "test")
    assert plain(config.model) == plain(load_config(PAPERS[0]).model) | {
        "head": {
            "type": "class_grouping.BranchesHead",
            "num_classes": 20,
            "loss": {"type": "BinaryCrossEntropy"},
        }
    }
    assert config.train_dataloader.dataset.reader.type == "PascalVOC"
    assert [stage.name for stage in stages_of(config)][-1] == "fused_20_12_8_5"


def test_the_readmes_map_source_alone_is_one():
    said = {}
    exec(python_blocks()[1], said)
    config = load_config("cam/cam_small_creatures_multilabel.py")
    config.model.update(said["model"])
    check(config, "train")
    model = build_localizer(plain(config.model))
    assert isinstance(model.map_source, WithRest)
    assert isinstance(model.fusion, LevelFusion)


def test_the_readmes_tree_is_what_is_written():
    assert TREE.counts == (6, 4, 3, 2)
    assert f"```\n{tree_text(TREE)}```" in README
