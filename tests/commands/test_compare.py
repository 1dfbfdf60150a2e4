"""``wsoltool compare``: what it prints and writes, and how it fails."""

import json
import shutil

import pytest

from wsoltool.cli import main

CONFIG = "cam/cam_small_creatures.py"


@pytest.fixture(scope="module")
def reports(trained, tiny_options, tmp_path_factory):
    """The tiny checkpoint at two fixed thresholds: a.json, b.json and what lies beside them."""
    folder = tmp_path_factory.mktemp("reports")
    for name, threshold in (("a", 0.2), ("b", 0.6)):
        options = [*tiny_options, f"model.boxes.threshold={threshold}"]
        files = ["--json", str(folder / f"{name}.json"), "--work-dir", str(folder / "work")]
        assert main(["test", CONFIG, str(trained / "last.pth"), *files, *options]) == 0
    return folder


def test_results_of_single_images_lie_beside_the_figures(reports):
    content = json.loads((reports / "a.json").read_text())
    for entry in content["files"].values():
        assert (reports / entry["path"]).is_file()
    assert content["files"].keys() == {"results", "fullsup"}
    assert content["fixed_threshold"] == 0.2
    assert content["cfg_options"][-1] == "model.boxes.threshold=0.2"


def test_two_thresholds_of_one_checkpoint(wsoltool, reports, tmp_path):
    file = tmp_path / "new" / "comparison.json"
    outcome = wsoltool("compare", reports / "a.json", reports / "b.json", "--json", file)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "10 images, percent; B - A with its 95 % interval" in outcome.out
    assert "A: " in outcome.out
    rows = json.loads(file.read_text())["comparisons"][0]["rows"]
    chosen = [row for row in rows if row["threshold_source"] in ("fullsup", "test-oracle")]
    assert chosen
    assert all(row["difference"] == 0 for row in chosen), "the same maps, swept"
    fixed = [row for row in rows if row["threshold_source"] == "fixed"]
    assert any(row["difference"] != 0 for row in fixed)
    assert f"comparison: {file}" in outcome.out


def test_resamples_and_seed(wsoltool, reports, tmp_path):
    file = tmp_path / "comparison.json"
    options = ("--resamples", "7", "--seed", "5", "--json", file)
    assert wsoltool("compare", *[reports / "a.json"] * 3, *options).code == 0
    content = json.loads(file.read_text())
    assert (content["resamples"], content["seed"]) == (7, 5)
    assert len(content["comparisons"]) == 2


def test_one_file_alone_or_no_resamples_are_usage_errors(reports, capsys):
    for arguments in (["a.json"], ["a.json", "b.json", "--resamples", "0"]):
        with pytest.raises(SystemExit):
            main(["compare", *arguments])
    assert "'0' is no number above 0" in capsys.readouterr().err


def test_a_seed_below_0_is_a_usage_error(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "a.json", "b.json", "--seed=-1"])
    assert "'-1' is no whole number from 0" in capsys.readouterr().err


def test_a_lost_sidecar_is_named(refused, reports, tmp_path):
    shutil.copy(reports / "a.json", tmp_path)
    message = refused("compare", reports / "b.json", tmp_path / "a.json")
    assert f"are missing: {tmp_path / 'a.npz'}" in message
    assert "copy all files of an evaluation together" in message


def test_a_checkpoint_is_no_report(refused, reports, trained):
    message = refused("compare", reports / "a.json", trained / "last.pth")
    assert "cannot read figures" in message
    assert "last.pth" in message


def test_a_comparison_that_cannot_be_written_is_refused_first(refused, reports, tmp_path, capsys):
    message = refused("compare", *[reports / "a.json"] * 2, "--json", tmp_path)
    assert "a folder stands where a file" in message
    assert "percent" not in capsys.readouterr().out


def test_the_training_is_recorded(reports):
    training = json.loads((reports / "a.json").read_text())["training"]
    assert training["seed"] == 0
    assert training["run"].startswith("cam_small_creatures_")
    assert training["epoch"] >= 1


def test_groups_of_runs(wsoltool, reports, tmp_path):
    file, pasted = tmp_path / "groups.json", tmp_path / "new" / "table.md"
    groups = (f"low={reports}/a.json", f"high={reports}/[b].json")
    written = ("--json", file, "--markdown", pasted)
    outcome = wsoltool("compare", *groups, *written, "--resamples", "20")
    assert outcome.code == 0, outcome
    assert "high - low, percent; with its 95 % interval" in outcome.out
    title = "10 images, percent; mean ± standard deviation over runs"
    assert title in " ".join(outcome.out.split())
    content = json.loads(file.read_text())
    assert content["comparisons"][0]["drawn_together"], "one training, scored twice"
    assert f"tables: {pasted}" in outcome.out
    assert "| low 1 run | high 1 run | high - low |" in pasted.read_text()


def test_files_can_be_pasted_too(wsoltool, reports, tmp_path):
    pasted = tmp_path / "table.md"
    options = ("--markdown", pasted, "--resamples", "20")
    assert wsoltool("compare", *[reports / "a.json"] * 2, *options).code == 0
    assert "| metric | threshold | A | B | B - A | only A | only B | p |" in pasted.read_text()


def test_groups_and_files_do_not_mix(refused, reports):
    message = refused("compare", reports / "a.json", f"b={reports}/b.json")
    assert "groups of runs beside a plain file" in message


def test_a_pattern_without_files_is_named(refused, reports):
    message = refused("compare", f"a={reports}/a.json", f"b={reports}/x*.json")
    assert "no file fits the pattern" in message


def test_the_help_has_an_example_of_groups(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "wsoltool compare 'cam=runs/cam_s*/result.json'" in capsys.readouterr().out
