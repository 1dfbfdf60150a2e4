from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from wsoltool.evaluation.comparison import Comparison, Difference, Discordance
from wsoltool.evaluation.comparison_table import comparison_report, comparison_tables
from wsoltool.evaluation.estimates import Estimate
from wsoltool.evaluation.rows import Row


def difference(name, a, b, interval, protocol="tight", source="fixed", subset="all", images=None):
    first, second = (
        Row(name, Estimate(value, (0.25,)), 400, protocol, source, subset) for value in (a, b)
    )
    return Difference(first, second, interval, images)


def prepared(images, quarantined, ids_sha256):
    return {"images": images, "quarantined": quarantined, "ids_sha256": ids_sha256}


@pytest.fixture
def comparison():
    known = Discordance(only_a=3, only_b=11, p=0.0574, p_holm=0.1148)
    own = [
        difference("Top-1 Cls", 70, 71, (-1, 3), None, None, images=Discordance(2, 6, 0.28, 0.28)),
        difference("GT-known Loc", 50, 52, (0.25, 3.5), images=known),
        difference("MaxBoxAccV2@0.5", 60, 61, (-1, 2), source="test-oracle"),
        difference("MaxBoxAccV2 (common threshold)", 60, 59, (-3, 2), source="test-oracle"),
        difference("GT-known Loc", 20, 10, (-12, -8), subset="small"),
        difference("mean IoU", 20, 10, (-12, -8), subset="small"),
        difference("GT-known Loc", 80, 81, (-1, 3), source="image-oracle"),
        difference("GT-known Loc", 44, 45, (-1, 3), source="image-oracle", subset="small"),
    ]
    sure = Discordance(only_a=0, only_b=40, p=1e-12, p_holm=1e-11)
    others = [difference("GT-known Loc", 50, 60, (8, 12), images=sure)]
    return Comparison(
        files=(Path("a.json"), Path("b.json"), Path("c.json")),
        origins=(
            {"config": "a.py", "checkpoint": "a.pth", "cfg_options": ["seed=1", "model.x=2"]},
            {"cfg_options": []},
            {"maps": "maps/c"},
        ),
        data=(
            {"test": prepared(400, 3, "1"), "train-weaksup": prepared(90, 0, "2")},
            {"test": prepared(400, 3, "1"), "train-weaksup": prepared(88, 2, "3")},
            {},
        ),
        differences=(own, others),
        protocols=("tight",),
        images=400,
        resamples=1000,
        seed=3,
    )


@pytest.fixture
def printed(comparison):
    console = Console(file=io.StringIO(), width=110)
    for table in comparison_tables(comparison):
        console.print(table)
    return console.file.getvalue()


def cells(printed: str, start: str) -> list[str]:
    line = next(line for line in printed.splitlines() if line.strip().startswith(start))
    return re.split(r"\s{2,}", line.strip())


def test_a_line_of_the_table(printed):
    expected = ["50.0", "52.0", "+2.0 (+0.2 to +3.5) *", "3", "11", "0.115"]
    assert cells(printed, "GT-known Loc ") == ["GT-known Loc", "fixed", *expected]
    assert cells(printed, "Top-1 Cls")[:4] == ["Top-1 Cls", "70.0", "71.0", "+1.0 (-1.0 to +3.0)"]


def test_bounds_are_shown_of_all_images_and_explained(printed, comparison):
    (line,) = [line for line in printed.splitlines() if "image-oracle  " in line]
    assert re.split(r"\s{2,}", line.strip())[2:] == ["80.0", "81.0", "+1.0 (-1.0 to +3.0)"]
    first, second = (str(table.caption) for table in comparison_tables(comparison))
    assert "image-oracle: the best threshold for every image by itself" in first
    assert "image-oracle" not in second


def test_what_is_not_tested_has_no_counts(printed):
    assert cells(printed, "MaxBoxAccV2 (common)")[-1] == "-1.0 (-3.0 to +2.0)"


def test_details_are_left_to_the_report(printed, comparison):
    assert "MaxBoxAccV2@0.5" not in printed
    assert "GT-known Loc (small)" in printed
    assert "mean IoU (small)" not in printed
    rows = comparison_report(comparison)["comparisons"][0]["rows"]
    assert len(rows) == len(comparison.differences[0])


def test_every_file_has_its_table_against_the_first(printed):
    assert printed.count("A: a.json (a.py, a.pth, seed=1 model.x=2)") == 2
    assert "B: b.json " in printed
    assert "B: c.json (maps/c)" in printed
    assert "< 0.001" in printed
    assert "adjusted for 3 tests (Holm)" in " ".join(printed.split())
    assert "…" not in printed


def test_the_report_is_plain_json(comparison):
    data = json.loads(json.dumps(comparison_report(comparison)))
    assert data["format"] == "wsoltool comparison 1"
    assert (data["images"], data["resamples"], data["seed"]) == (400, 1000, 3)
    assert data["files"][0]["path"] == "a.json"
    assert data["files"][0]["cfg_options"] == ["seed=1", "model.x=2"]
    assert [(c["a"], c["b"]) for c in data["comparisons"]] == [
        ("a.json", "b.json"),
        ("a.json", "c.json"),
    ]
    assert data["comparisons"][0]["rows"][1] == {
        "metric": "GT-known Loc",
        "protocol": "tight",
        "threshold_source": "fixed",
        "subset": "all",
        "images": 400,
        "a": 50,
        "b": 52,
        "difference": 2,
        "interval": [0.25, 3.5],
        "excludes_zero": True,
        "thresholds_a": [0.25],
        "thresholds_b": [0.25],
        "only_a": 3,
        "only_b": 11,
        "p": 0.0574,
        "p_holm": 0.1148,
    }
    assert data["comparisons"][0]["rows"][2]["p"] is None


def test_what_was_left_out_of_the_images_is_said(comparison):
    captions = [str(table.caption).splitlines() for table in comparison_tables(comparison)]
    left_out = "test: 400 images, 3 left out by wsoltool prepare (quarantine)."
    assert left_out in captions[0]
    assert (
        "B, train-weaksup: 88 images, 2 left out by wsoltool prepare (quarantine)." in captions[0]
    )
    assert "A and B were trained on different images (train-weaksup: 90 and 88)." in captions[0]
    assert f"A, {left_out}" in captions[1]
    assert not any("different images" in line for line in captions[1])


def test_the_report_says_which_images(comparison):
    files = comparison_report(comparison)["files"]
    assert [file["data"] for file in files] == list(comparison.data)
