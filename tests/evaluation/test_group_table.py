from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from wsoltool.evaluation.estimates import Estimate
from wsoltool.evaluation.group_comparison import (
    GroupComparison,
    GroupDifference,
    GroupFigure,
    Pairing,
)
from wsoltool.evaluation.group_table import group_report, group_tables, pasted_table
from wsoltool.evaluation.markdown import markdown_table
from wsoltool.evaluation.rows import Row, Summary
from wsoltool.evaluation.run_groups import Run, Runs

EMPTY = Summary([], ("tight",), 400)


def run(name: str, seed: int | None, config: str = "a.py", trained: str = "1") -> Run:
    data = {"train-weaksup": {"images": 90, "quarantined": 0, "ids_sha256": trained}}
    return Run(Path(f"{name}.json"), seed, name, {"config": config}, data, EMPTY)


def figure(name, values, differences, protocol="tight", source="fixed", subset="all"):
    row = Row(name, Estimate(0.0), 400, protocol, source, subset)
    return GroupFigure(row, values, differences)


@pytest.fixture
def comparison():
    """cam has three runs, fam two of the same seeds, one only one that says no seed."""
    sure = GroupDifference(10.0, (8.0, 12.5), 2, 0.002, 0.008)
    unsure = GroupDifference(-2.0, (-4.0, 1.0), None, 0.4, 0.8)
    return GroupComparison(
        groups=(
            Runs("cam", (run("c0", 0), run("c1", 1), run("c2", 2))),
            Runs("fam", (run("f0", 0, "f.py"), run("f2", 2, "g.py", "2"))),
            Runs("one", (run("o", None),)),
        ),
        pairings=(Pairing("seed", ((0, 0), (2, 1))), Pairing(None, ())),
        figures=(
            figure("GT-known Loc", ((50.0, 52.0, 54.0), (61.0, 63.0), (50.0,)), (sure, unsure)),
            figure(
                "mean IoU",
                ((1.0, 1.0, 1.0), (1.0, 1.0), (1.0,)),
                (GroupDifference(0.0, (0.0, 0.0), None),) * 2,
                subset="small",
            ),
            figure("MaxBoxAccV2@0.5", ((1.0,) * 3, (1.0,) * 2, (1.0,)), (sure, sure)),
        ),
        left_out=("fullsup",),
        protocols=("tight",),
        images=400,
        resamples=1000,
        seed=3,
    )


def printed(comparison) -> list[str]:
    texts = []
    for table in group_tables(comparison):
        console = Console(file=io.StringIO(), width=110)
        console.print(table)
        texts.append(console.file.getvalue())
    return texts


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.strip().startswith(start))
    return re.split(r"\s{2,}", line.strip())


def flat(text: str) -> str:
    return " ".join(text.split())


def test_means_of_every_group(comparison):
    means = printed(comparison)[0]
    assert cells(means, "GT-known Loc")[1:] == ["fixed", "52.0 ± 2.0", "62.0 ± 1.4", "50.0"]
    assert cells(means, "mean IoU (small)")[-1] == "1.0"
    assert "MaxBoxAccV2@0.5" not in means
    assert "cam (seed 0, 1, 2): c0.json, c1.json, c2.json" in flat(means)
    assert "one: o.json" in means
    assert "fam: its runs are of several configs: f.py, g.py." in flat(means)
    assert "c0.json and f2.json were trained on different images" in flat(means)
    assert "left out, for not every run has it: fullsup." in flat(means)
    assert cells(means, "metric")[-3:] == ["3 runs", "2 runs", "1 run"]


def test_how_each_group_differs(comparison):
    _, fam, one = printed(comparison)
    assert "fam - cam, percent" in fam
    assert cells(fam, "GT-known Loc")[1:] == ["fixed", "+10.0 (+8.0 to +12.5) *", "2 of 2", "0.008"]
    assert "of the 2 seeds that both have" in flat(fam)
    assert "67 % with 2 runs" in flat(fam)
    assert cells(one, "GT-known Loc")[1:] == ["fixed", "-2.0 (-4.0 to +1.0)", "0.800"]
    assert "one and cam: 1 and 3 runs, which nothing pairs." in flat(one)
    assert "one: one run, so no interval has its seed's part." in flat(one)
    said = "adjusted for 4 tests (Holm); 1000 resamples can tell none below 0.008."
    assert all(said in flat(text) for text in (fam, one))


def test_copies_of_one_config_are_one(comparison):
    runs = tuple(run(f"f{seed}", seed, f"runs/{seed}/f.py") for seed in range(2))
    groups = (comparison.groups[0], Runs("fam", runs), comparison.groups[2])
    assert "several configs" not in printed(replace(comparison, groups=groups))[0]


def test_runs_drawn_together_tell_less(comparison):
    pairings = (Pairing("training", ((0, 0), (1, 1))), comparison.pairings[1])
    changed = replace(comparison, pairings=pairings)
    _, fam, one = printed(changed)
    assert "rather 50 % with 2 runs drawn together, 75 % with 3, 87 % with 5; and" in flat(fam)
    assert "drawn together" not in flat(one)
    below = " ".join(pasted_table(changed)[1])
    assert "90 % with 5; 50 % with 2 runs drawn together" in below


def test_one_run_of_each_says_so(comparison):
    groups = tuple(replace(group, runs=group.runs[:1]) for group in comparison.groups)
    _, fam, _ = printed(replace(comparison, groups=groups, pairings=(Pairing("order", ()),) * 2))
    assert "over images alone, for there is one run of each" in flat(fam)
    assert "So few runs" not in flat(fam)


@pytest.mark.parametrize(
    ("pairing", "says"),
    [
        (Pairing("training", ((0, 0), (1, 1))), "same trainings scored in two ways"),
        (Pairing("seed", ((0, 0),)), "of the one seed of both"),
        (Pairing("order", ((0, 0), (1, 1))), "the runs have no seed in common"),
    ],
)
def test_how_runs_were_paired(comparison, pairing, says):
    changed = replace(comparison, pairings=(pairing, comparison.pairings[1]))
    assert says in flat(printed(changed)[1])


def test_a_table_to_paste(comparison):
    lines = markdown_table(*pasted_table(comparison)).splitlines()
    assert lines[0] == (
        "| metric | threshold | cam 3 runs | fam 2 runs | fam - cam | same sign | p "
        "| one 1 run | one - cam | same sign | p |"
    )
    assert lines[2].startswith("| **tight** |  |")
    assert lines[3] == (
        "| GT-known Loc | fixed | 52.0 ± 2.0 | 62.0 ± 1.4 | +10.0 (+8.0 to +12.5) \\* | 2 of 2 "
        "| 0.008 | 50.0 | -2.0 (-4.0 to +1.0) |  | 0.800 |"
    )
    assert "- 400 images, percent; mean ± standard deviation over runs." in lines
    assert sum("So few runs" in line for line in lines) == 1


def test_the_report_is_plain_json(comparison):
    data = json.loads(json.dumps(group_report(comparison)))
    assert data["format"] == "wsoltool group comparison 1"
    assert (data["images"], data["resamples"], data["seed"]) == (400, 1000, 3)
    assert data["left_out"] == ["fullsup"]
    assert [run["seed"] for run in data["groups"][0]["runs"]] == [0, 1, 2]
    assert data["groups"][1]["runs"][1]["path"] == "f2.json"
    key = {
        "metric": "GT-known Loc",
        "protocol": "tight",
        "threshold_source": "fixed",
        "subset": "all",
        "images": 400,
    }
    first = data["figures"][0]
    assert {name: first[name] for name in key} == key
    assert first["groups"][0] == {"name": "cam", "mean": 52, "sd": 2, "values": [50, 52, 54]}
    assert first["groups"][2]["sd"] is None
    fam = data["comparisons"][0]
    rows = fam.pop("rows")
    assert fam == {
        "a": "cam",
        "b": "fam",
        "paired_by": "seed",
        "pairs": [[0, 0], [2, 1]],
        "drawn_together": False,
    }
    assert rows[0] == {
        **key,
        "difference": 10,
        "interval": [8, 12.5],
        "excludes_zero": True,
        "agreeing": 2,
        "p": 0.002,
        "p_holm": 0.008,
    }
    assert len(rows) == 3
    assert rows[1]["p_holm"] is None
