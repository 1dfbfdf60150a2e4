"""Figures of further metrics, kept of every resample: how they are stored and compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.classification import ClassificationMetric
from wsoltool.evaluation.comparison import compare_reports
from wsoltool.evaluation.comparison_table import comparison_report, comparison_tables
from wsoltool.evaluation.detection import DetectionMetric
from wsoltool.evaluation.further import truth_digest
from wsoltool.evaluation.further_results import FurtherResults
from wsoltool.evaluation.group_comparison import compare_groups
from wsoltool.evaluation.report_files import read_report, write_report
from wsoltool.evaluation.run_groups import RunGroup
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.crossed import draw_runs

IMAGES = 20
BOX = (0, 0, 4, 4)


@pytest.fixture
def images(several):
    """A function: predictions of one truth, which a seed decides the scores of."""

    def make(seed, gain=0.0):
        truth, random = np.random.default_rng(7), np.random.default_rng(seed)
        found = []
        for index in range(IMAGES):
            shown = np.flatnonzero(truth.random(3) < 0.6).tolist() or [0]
            scores = random.random(3) * 0.5
            scores[shown] += gain
            true = [(class_id, BOX) for class_id in shown]
            boxes = {c: [(1, random.choice([BOX, (5, 5, 9, 9)]))] for c in range(3)}
            found.append(several(f"i{index}", tuple(scores), boxes, true))
        return found

    return make


@pytest.fixture
def write(tmp_path):
    """A function that scores predictions and writes the report."""

    def run(name, predictions, seed=None, metrics=None, **entries) -> Path:
        metrics = metrics or [ClassificationMetric(), DetectionMetric()]
        evaluator = Evaluator(metrics)
        evaluator.process(predictions, None)
        figures = evaluator.evaluate(len(predictions))
        path = tmp_path / f"{name}.json"
        said = {} if seed is None else {"seed": seed, "run": name}
        kept = FurtherResults.of([metric.summary for metric in metrics])
        write_report(path, None, None, None, {"further": figures, "training": said}, kept)
        return path

    return run


def by_name(differences):
    return {own.a.name: own for own in differences}


def test_what_was_written_is_read_back(write, images):
    path = write("a", images(0))
    report = read_report(path)
    assert report.results is None
    assert report.further.image_ids.tolist() == [f"i{index}" for index in range(IMAGES)]
    assert report.further.values == report.figures["further"]
    assert all(len(own) == 1000 for own in report.further.resampled.values())
    assert report.figures["files"]["further"]["path"] == "a.further.npz"
    path.with_name("a.further.npz").write_bytes(b"no archive")
    with pytest.raises(EvaluationError, match="is not the file"):
        read_report(path)
    with pytest.raises(EvaluationError, match="cannot read figures of further metrics"):
        FurtherResults.load(path.with_name("a.further.npz"))


def test_two_evaluations_are_compared_resample_by_resample(write, images):
    a, b = images(0), images(1, gain=0.3)
    comparison = compare_reports([write("a", a), write("b", b)], resamples=60)
    (differences,) = comparison.differences
    own = by_name(differences)
    assert own.keys() == {*ClassificationMetric().figure_names(), *DetectionMetric().figure_names()}
    # Independently: the metric run on each drawn data set.
    draws = Bootstrap(IMAGES, 60).counts

    def drawn(predictions, counts):
        metric = ClassificationMetric(resamples=0)
        records = [metric.score(p) for p, count in zip(predictions, counts, strict=True)
                   for _ in range(count)]  # fmt: skip
        return metric.summarize(records).metrics()["classification/mAP"]

    changes = [drawn(b, counts) - drawn(a, counts) for counts in draws]
    difference = own["classification/mAP"]
    assert difference.interval == pytest.approx(tuple(np.percentile(changes, [2.5, 97.5])))
    assert difference.excludes_zero
    assert difference.images is None
    (table,) = comparison_tables(comparison)
    assert "McNemar" not in table.caption
    assert "test-oracle" not in table.caption
    rows = comparison_report(comparison)["comparisons"][0]["rows"]
    assert rows[0]["metric"] == "classification/mAP"
    assert rows[0]["protocol"] is None


def test_groups_of_runs_have_a_two_level_interval(write, images):
    files = {
        name: tuple(write(f"{name}{seed}", images(start + seed, gain), seed) for seed in range(3))
        for name, start, gain in (("a", 0, 0.0), ("b", 10, 0.1))
    }
    groups = [RunGroup(name, own) for name, own in files.items()]
    compared = compare_groups(groups, resamples=50)
    figure = next(own for own in compared.figures if own.row.name == "classification/mAP")
    reports = {name: [read_report(file).further for file in own] for name, own in files.items()}
    values = [[r.values["classification/mAP"] for r in own] for own in reports.values()]
    assert [list(own) for own in figure.values] == values
    assert figure.deviation(0) == pytest.approx(np.std(values[0], ddof=1))
    (difference,) = figure.differences
    assert difference.value == pytest.approx(np.mean(values[1]) - np.mean(values[0]))
    assert difference.agreeing == sum(b > a for a, b in zip(*values, strict=True))
    means = []
    for place, own in enumerate(reports.values(), start=1):
        runs = draw_runs(3, 50, (0, place))
        kept = np.stack([r.resampled["classification/mAP"][:50] for r in own], axis=1)
        means.append([(w * k).sum() / w.sum() for w, k in zip(runs, kept, strict=True)])
    wanted = np.percentile(np.subtract(means[1], means[0]), [2.5, 97.5])
    assert difference.interval == pytest.approx(tuple(wanted))
    assert difference.p is None


def test_other_images_orders_and_truths_are_refused(write, images):
    first, others = write("a", images(0)), images(1)
    cases = {
        "in different orders": others[::-1],
        "2 of 20 images are in this evaluation alone": others[:-2],
    }
    for name, (message, predictions) in enumerate(cases.items()):
        with pytest.raises(EvaluationError, match=message):
            compare_reports([first, write(str(name), predictions)])
    others[3].sample = replace(others[3].sample, label=np.array([0, 0, 1], np.float32))
    with pytest.raises(EvaluationError, match=r"1 images have another label.* i3"):
        compare_reports([first, write("c", others)])


def test_figures_without_these_resamples_are_left_out_and_named(write, images):
    def metrics():
        return [ClassificationMetric(resamples=0), DetectionMetric(resamples=30)]

    files = [write(name, images(seed), metrics=metrics()) for seed, name in enumerate("ab")]
    comparison = compare_reports(files, resamples=30)
    assert by_name(comparison.differences[0]).keys() == set(DetectionMetric().figure_names())
    first, second = comparison.left_out
    assert first.startswith(f"{files[0]}: classification/mAP, ")
    assert first.endswith("not compared, for it was tested with resamples=0.")
    assert second.startswith(str(files[1]))
    assert first in comparison_tables(comparison)[0].caption
    for options, reason in (({"resamples": 31}, "30 times, not 31"), ({"seed": 1}, "with seed 0")):
        with pytest.raises(EvaluationError, match="no figure that can be compared") as caught:
            compare_reports(files, **{"resamples": 30, **options})
        assert reason in caught.value.hint


def test_edited_figures_are_refused(write, images):
    file = write("a", images(0))
    content = json.loads(file.read_text())
    content["further"]["CorLoc"] += 1
    file.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=r"CorLoc is .* in the file"):
        compare_reports([file, write("b", images(1))])


def test_a_truth_is_told_from_another(images):
    (sample, other) = (prediction.sample for prediction in images(0)[:2])
    again = images(1)[0].sample
    assert truth_digest(sample) == truth_digest(again), "whatever the model answers"
    moved = replace(sample.truth, boxes=sample.truth.boxes + 1)
    for changed in (replace(sample, truth=moved), replace(sample, size=(11, 10)), other):
        assert truth_digest(changed) != truth_digest(sample)
    assert truth_digest(replace(sample, truth=None)) != truth_digest(sample)
