from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wsoltool.errors import EvaluationError, WorkDirError
from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.report_files import read_report, write_report
from wsoltool.evaluation.results import LocalizationResults


@pytest.fixture
def metric(four, predict):
    """Four scored images, with thresholds of one other."""
    tuned = LocalizationMetric(["tight"], resamples=0)
    tuned.process(None, [predict("tune")])
    tuned.evaluate(1)
    metric = LocalizationMetric(["tight"], fixed_threshold=0.2, resamples=10)
    metric.fullsup = tuned.results_by_image
    metric.process(None, four)
    metric.evaluate(4)
    return metric


def write(metric, path, **further) -> Path:
    write_report(path, metric.summary, metric.results_by_image, metric.fullsup, further)
    return path


@pytest.fixture
def written(metric, tmp_path):
    return write(metric, tmp_path / "figures.json", config="a.py")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_figures_and_results_lie_side_by_side(written, metric):
    assert names(written.parent) == {"figures.json", "figures.npz", "figures.fullsup.npz"}
    content = json.loads(written.read_text())
    assert content["GT-known Loc"] == 75
    assert content["config"] == "a.py"
    assert content["fixed_threshold"] == 0.2
    assert content["resamples"] == 10
    assert content["files"]["results"]["path"] == "figures.npz"
    assert content["files"]["fullsup"]["path"] == "figures.fullsup.npz"
    assert len(content["files"]["results"]["sha256"]) == 64


def test_what_was_written_is_read_back_from_another_folder(written, metric, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(written.parent, moved, ignore=shutil.ignore_patterns("elsewhere"))
    found = read_report(moved / "figures.json")
    assert found.figures == json.loads(written.read_text())
    assert found.results.image_ids.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(
        found.results.curves["tight"].all, metric.results_by_image.curves["tight"].all
    )
    assert found.fullsup is not None
    assert found.fullsup.image_ids.tolist() == ["tune"]


def test_without_train_fullsup_there_is_no_file_of_it(metric, tmp_path):
    metric.fullsup = None
    path = write(metric, tmp_path / "run.v2")
    assert names(tmp_path) == {"run.v2", "run.v2.npz"}
    assert read_report(path).fullsup is None


def test_the_sidecar_never_takes_the_place_of_the_figures(metric, tmp_path):
    path = write(metric, tmp_path / "figures.npz")
    assert names(tmp_path) == {"figures.npz", "figures.npz.npz", "figures.npz.fullsup.npz"}
    assert len(read_report(path).results) == 4


def test_an_interrupted_write_leaves_the_files_of_before(written, metric, monkeypatch):
    before = {path.name: path.read_bytes() for path in written.parent.iterdir()}

    def stop(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", stop)
    with pytest.raises(KeyboardInterrupt):
        write(metric, written)
    assert {path.name: path.read_bytes() for path in written.parent.iterdir()} == before


def test_a_full_disk_is_an_expected_error(metric, tmp_path, monkeypatch):
    def full(file, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(WorkDirError, match="No space left on device"):
        write(metric, tmp_path / "figures.json")
    assert not names(tmp_path)


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def other_results(path: Path) -> None:
    results = LocalizationResults.load(path.with_name("figures.npz"))
    results.labels[0] += 1
    results.save(path.with_name("figures.npz"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text(path.read_text()[:200]), "cannot read figures"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot read figures"),
        (lambda path: path.write_text("[1, 2]"), "holds no figures"),
        (lambda path: path.write_text('{"loss": 3}'), "(format None)"),
        (lambda path: edit(path, lambda c: c.update(format="x 9")), "(format 'x 9')"),
        (lambda path: edit(path, lambda c: c.pop("files")), "name no results"),
        (lambda path: edit(path, lambda c: c["files"].pop("results")), "name no results"),
        (lambda path: edit(path, lambda c: c["files"].update(results="a.npz")), "'a.npz'"),
        (lambda path: edit(path, lambda c: c.pop("rows")), "incomplete"),
        (lambda path: edit(path, lambda c: c["rows"][0].pop("value")), "incomplete"),
        (lambda path: edit(path, lambda c: c.update(fixed_threshold="0.2")), "incomplete"),
        (lambda path: path.with_name("figures.npz").unlink(), "are missing"),
        (lambda path: path.with_name("figures.fullsup.npz").unlink(), "files.fullsup"),
        (other_results, "is not the file that"),
    ],
)
def test_damaged_or_foreign_files(written, damage, says):
    damage(written)
    with pytest.raises(EvaluationError) as caught:
        read_report(written)
    assert says in str(caught.value)
    assert f"at: {written}" in str(caught.value)
    assert "expected:" in str(caught.value)


@pytest.mark.parametrize("data", [3, {"test": 3}, {"test": {"images": "many"}}, {"test": {}}])
def test_entries_about_the_data_are_checked(written, data):
    content = json.loads(written.read_text())
    written.write_text(json.dumps({**content, "data": data}))
    with pytest.raises(EvaluationError, match="the figures are incomplete"):
        read_report(written)
