"""The tables, and the dict that is stored."""

from __future__ import annotations

import io
import json

import pytest
import torch
from rich.console import Console

from wsoltool.models.builder import build_localizer
from wsoltool.models.complexity import (
    Complexity,
    ModuleCost,
    ViewCost,
    measure,
    measure_views,
    member_costs,
)
from wsoltool.models.complexity_rows import Row, depth_rows, stage_rows
from wsoltool.models.complexity_table import (
    bytes_text,
    complexity_table,
    count_text,
    points_table,
    report,
    views_note,
)


def text_of(table, width=120):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(table)
    return console.file.getvalue()


def lines_of(table):
    return [line.strip() for line in text_of(table).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def localizer():
    backbone = {"type": "SmallNet", "channels": (4, 6, 8)}
    head = {"type": "cam.CAMHead", "num_classes": 3}
    inserts = [{"at": "stage2", "module": {"type": "BatchNorm"}}]
    return build_localizer({"backbone": backbone, "head": head, "inserts": inserts})


@pytest.fixture(scope="module")
def complexity(localizer):
    return measure(localizer, torch.zeros(1, 3, 32, 32))


def test_a_table_has_a_line_for_each_row_and_the_total(localizer, complexity):
    lines = lines_of(complexity_table(stage_rows(localizer, complexity), complexity, ["Note."]))
    assert lines[0].split() == [
        *("module", "contents", "output", "params", "multiply-adds", "share", "activations")
    ]
    first, *_, last = (line for line in lines if line.endswith("MiB"))
    assert first.split()[:2] == ["backbone", "SmallNet"]
    assert last.split()[:2] == ["total", "831"]
    # 16 x 16 x 9 x 12, 8 x 8 x 9 x 24, 8 x 8 x 9 x 48 and 24.
    assert "69.14 k  100.0 %" in last
    (stage1,) = (line.split("  ") for line in lines if line.startswith("stage1"))
    assert [cell.strip() for cell in stage1 if cell] == [
        *("stage1", "conv1 .. relu1", "4 x 16 x 16", "116", "27.65 k", "40.0 %", "0.02 MiB")
    ]
    assert any(line.startswith("stage2  BatchNorm") for line in lines)
    assert "Note." in lines


def test_trained_parameters_are_told_where_some_are_not():
    modules = (ModuleCost("head", "Head", 3000, 0, 0),)
    for trainable, told in ((3000, False), (1000, True)):
        complexity = Complexity((8, 8), modules, trainable, {})
        text = text_of(complexity_table([], complexity))
        assert ("1.00 k of them are trained" in text) == told
        assert "%" not in text  # of no multiply-adds there is no share


@pytest.mark.parametrize("name", ["VGG16", "ResNet50"])
def test_tables_of_published_networks_fit_a_hundred_columns(name):
    head = {"type": "cam.CAMHead", "num_classes": 1000}
    localizer = build_localizer({"backbone": {"type": name}, "head": head})
    complexity = measure(localizer, torch.zeros(1, 3, 224, 224))
    for rows in (stage_rows(localizer, complexity), depth_rows(complexity, 2)):
        lines = text_of(complexity_table(rows, complexity), width=100).splitlines()
        shown = [line for line in lines if line.endswith(("MiB ", "MiB  ", "0 ", "0  "))]
        assert len(shown) == len(rows) + 1, "a row takes more than a line"
        assert max(map(len, lines)) <= 100
    assert max(map(len, text_of(points_table(localizer.backbone, complexity)).splitlines())) <= 100


def test_names_are_no_markup():
    row = Row("[red]x", "[b]", (ModuleCost("a", "A", 1, 1, 1),))
    text = text_of(complexity_table([row], Complexity((1, 1), row.modules, 1, {})))
    assert "[red]x" in text
    assert "[b]" in text


def test_points_stand_in_running_order_with_their_other_names(localizer, complexity):
    header, _, *lines = lines_of(points_table(localizer.backbone, complexity))
    assert header.split("  ")[0] == "insert point"
    assert lines[0].split() == ["input", "3", "1", "3", "x", "32", "x", "32"]
    assert lines[3].split() == ["relu1", "stage1", "4", "2", "4", "x", "16", "x", "16"]
    assert lines[9].split() == ["relu3", "stage3,", "last", "8", "4", "8", "x", "8", "x", "8"]
    assert lines[10].startswith("Insert points of SmallNet at 32 x 32")


def test_the_report_is_plain_and_complete(localizer, complexity):
    views = measure_views(localizer, torch.zeros(1, 3, 32, 48))
    content = report(complexity, views)
    assert json.loads(json.dumps(content)) == content
    assert list(content) == [
        *("params", "trainable_params", "flops", "activation_bytes", "input", "modules"),
        *("views", "test_flops", "points"),
    ]
    assert content["input"] == [32, 32]
    assert len(content["modules"]) == len(list(localizer.modules()))
    for key in ("params", "flops", "activation_bytes"):
        assert isinstance(content[key], int)
        assert sum(module[key] for module in content["modules"]) == content[key]
    assert content["views"] == [
        {"scale": 1.0, "flip": False, "size": [32, 48], "flops": content["test_flops"]}
    ]
    assert content["points"]["stage1"] == {"channels": 4, "stride": 2, "shape": [4, 16, 16]}
    assert content["points"].keys() == localizer.backbone.insert_points.keys()


def test_views_are_told():
    one = ViewCost(1.0, False, (8, 8), 2_000_000)
    other = ViewCost(1.5, True, (12, 16), 9_000_000)
    assert views_note([one]) == "2.00 M multiply-adds, 1 view: 8 x 8"
    assert views_note([one, other]) == (
        "11.00 M multiply-adds, 2 views: 8 x 8 (2.00 M), 12 x 16 mirrored (9.00 M)"
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_994, "999.99 k"),
        (999_995, "1.00 M"),
        (16_310_000_000, "16.31 G"),
        (2_500_000_000_000, "2500.00 G"),
    ],
)
def test_counts(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1, "< 0.01 MiB"), (5242, "< 0.01 MiB"), (5243, "0.01 MiB"), (2**31, "2048.00 MiB")],
)
def test_bytes(count, text):
    assert bytes_text(count) == text


def small(*channels):
    return {"type": "SmallNet", "channels": channels, "output_stride": 2}


def test_networks_side_by_side_have_rows_of_their_own():
    inner = {"type": "Parallel", "networks": {"x": small(4), "y": small(5, 6)}}
    backbone = {"type": "Parallel", "networks": {"u": inner, "v": small(7)}}
    head = {"type": "cam.CAMHead", "num_classes": 3}
    localizer = build_localizer({"backbone": backbone, "head": head})
    complexity = measure(localizer, torch.zeros(1, 3, 32, 32))
    rows = stage_rows(localizer, complexity)
    assert [(row.name, row.contents) for row in rows] == [
        ("backbone", "Parallel"),
        ("  u", "Parallel"),
        ("    x", "SmallNet"),
        ("      stage1", "conv1 .. relu1"),
        ("    y", "SmallNet"),
        ("      stage1", "conv1 .. relu1"),
        ("      stage2", "conv2 .. relu2"),
        ("  v", "SmallNet"),
        ("    stage1", "conv1 .. relu1"),
        ("head", "CAMHead"),
    ]
    flops = {row.name: row.flops for row in rows}
    # 16 x 16 cells, 3 x 3 taps: of 3 channels, and of 5 in y's second convolution.
    x, y, v = (16 * 16 * 9 * taps for taps in (3 * 4, 3 * 5 + 5 * 6, 3 * 7))
    assert (flops["    x"], flops["    y"]) == (x, y)
    assert flops["  u"] == x + y
    assert flops["  v"] == v
    assert rows[0].flops == x + y + v
    assert rows[0].params == sum(p.numel() for p in localizer.backbone.parameters())
    inner_net = localizer.backbone.networks["u"].networks["x"]
    assert rows[2].params == sum(p.numel() for p in inner_net.parameters())
    assert rows[3].shape == (4, 16, 16)


@pytest.fixture(scope="module")
def ensemble():
    head = {"type": "cam.CAMHead", "num_classes": 3}
    insert = {"at": "stage1", "module": {"type": "BatchNorm"}}
    members = {
        "a": {"backbone": small(4), "head": head},
        "b": {"backbone": small(5), "head": head, "inserts": [insert]},
    }
    return build_localizer({"type": "Ensemble", "members": members, "fusion": {"type": "Flip"}})


def test_an_ensemble_costs_what_its_members_cost(ensemble):
    images = torch.zeros(1, 3, 32, 32)
    complexity = measure(ensemble, images)
    alone = {name: measure(part, images) for name, part in ensemble.localizers().items()}
    for figure in ("params", "flops", "activation_bytes", "trainable"):
        assert getattr(complexity, figure) == sum(getattr(c, figure) for c in alone.values())
    assert complexity.params == sum(p.numel() for p in ensemble.parameters())
    flops = [cost.flops for cost in measure_views(ensemble, images)]
    assert flops == [complexity.flops] * 2
    assert complexity.points["b/stage1"] == alone["b"].points["stage1"]
    rows = stage_rows(ensemble, complexity)
    assert [row.name for row in rows] == [
        *("members.a", "  backbone", "    stage1", "  head"),
        *("members.b", "  backbone", "    stage1", "  inserts", "    stage1", "  head"),
    ]
    assert rows[0].flops + rows[4].flops == complexity.flops
    assert [row.name for row in depth_rows(complexity, 2)] == ["members.a", "members.b"]
    shares = member_costs(ensemble, complexity)
    assert shares["b"].modules == alone["b"].modules
    assert "SmallNet of member b" in text_of(points_table(ensemble.backbone, shares["b"], "b"))
