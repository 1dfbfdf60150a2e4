from __future__ import annotations

from pathlib import Path

import pytest

from wsoltool.commands.run_group_arguments import run_groups
from wsoltool.errors import EvaluationError


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/cam_s1/r.json", "runs/cam_s0/r.json", "runs/fam_s0/r.json", "a.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


def of(*arguments: str) -> dict[str, list[str]]:
    groups = run_groups(arguments)
    assert groups is not None
    return {group.name: [path.as_posix() for path in group.files] for group in groups}


def test_files_between_commas():
    assert of("cam=a.json,b.json", "fam=runs/c.json") == {
        "cam": ["a.json", "b.json"],
        "fam": ["runs/c.json"],
    }
    assert of("a=x, y", "b=z") == {"a": ["x", "y"], "b": ["z"]}


def test_patterns_in_the_order_of_names(files):
    found = of(
        "cam=runs/cam_s*/r.json", f"fam={files}/runs/fam_s?/r.json,a.json", "all=runs/**/*.json"
    )
    assert found["cam"] == ["runs/cam_s0/r.json", "runs/cam_s1/r.json"]
    assert found["fam"] == [f"{files.as_posix()}/runs/fam_s0/r.json", "a.json"]
    assert len(found["all"]) == 3


def test_hidden_files_and_folders_fit_no_pattern(files):
    (files / "runs/._r.json").write_text("")
    (files / "runs/d.json").mkdir()
    with pytest.raises(EvaluationError, match="no file fits"):
        run_groups(["a=runs/*.json", "b=a.json"])


def test_a_file_whose_name_has_brackets_is_that_file(files):
    (files / "r[1].json").write_text("{}")
    assert of("a=r[1].json", "b=a.json")["a"] == ["r[1].json"]


def test_the_home_folder(files, monkeypatch):
    monkeypatch.setenv("HOME", str(files))
    assert of("a=~/a.json", "b=~/runs/f*/*.json")["a"] == [(files / "a.json").as_posix()]
    assert of("a=~/a.json", "b=~/runs/f*/*.json")["b"] == [f"{files.as_posix()}/runs/fam_s0/r.json"]


def test_plain_files_are_no_groups(files):
    assert run_groups(["a.json", "b.json"]) is None
    assert run_groups(["runs/lr=0.1/a.json", "b.json"]) is None
    Path("lr=0.1.json").write_text("{}")
    assert run_groups(["lr=0.1.json", "b.json"]) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cam=a.json", "b.json"], "groups of runs beside a plain file: b.json"),
        (["=a.json", "b=b.json"], "'' cannot name a group"),
        (["my cam=a.json", "b=b.json"], "'my cam' cannot name a group"),
        (["a" * 21 + "=a.json", "b=b.json"], "cannot name a group"),
        (["a=a.json,", "b=b.json"], "a file's name is missing"),
        (["a=", "b=b.json"], "a file's name is missing"),
        (["a=none/*.json", "b=b.json"], "no file fits the pattern 'none/*.json'"),
    ],
)
def test_what_is_no_group(files, arguments, says):
    with pytest.raises(EvaluationError) as caught:
        run_groups(arguments)
    assert says in str(caught.value)
    assert "expected:" in str(caught.value)
