from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.alignment import Images, aligned
from wsoltool.evaluation.comparison import check_comparison, compare_reports
from wsoltool.evaluation.report_files import read_report, write_report
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import FIXED, FULLSUP, IMAGE_ORACLE, ORACLE
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.paired import mcnemar

GRID = np.array([0.1, 0.2, 0.3, 0.4])
SOURCES = (FIXED, FULLSUP, ORACLE)


def made(seed: int, images: int = 60, prefix: str = "image", truth_seed: int = 7):
    """Images of one truth; what the seed decides is how well they were answered."""
    random, truth = np.random.default_rng(seed), np.random.default_rng(truth_seed)
    largest = random.random((images, len(GRID))).astype(np.float32)
    every = np.maximum(largest, random.random(largest.shape).astype(np.float32))
    labels = truth.integers(0, 6, images)
    boxes = [np.array([[0, 0, 10, 10 * share]], np.float32) for share in truth.random(images)]
    top = np.stack([random.permutation(6)[:5] for _ in range(images)])
    top[:, 0] = np.where(random.random(images) < 0.5, labels, top[:, 0])
    return LocalizationResults(
        image_ids=np.array([f"{prefix}{index}" for index in range(images)]),
        labels=labels,
        top=top,
        sizes=np.full((images, 2), 10),
        boxes=boxes,
        annotated_boxes=[np.floor(box) for box in boxes],
        part_iou=np.where(truth.random(images) < 0.5, np.nan, random.random(images)).astype("f4"),
        curves={name: BoxCurves(GRID, largest, every, largest[:, 1]) for name in PROTOCOLS},
    )


PROTOCOLS = ("tight", "wsolevaluation")


def write(path: Path, results: LocalizationResults, tuned: LocalizationResults | None) -> Path:
    summary = summarize(results, tuned, 0.2, resamples=0, controls=False)
    write_report(path, summary, results, tuned, {"config": f"{path.stem}.py"})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """a, b and c: the same images, b in another order."""
    folder = tmp_path_factory.mktemp("reports")
    tuned = made(9, 20, "tuned")
    write(folder / "a.json", made(0), tuned)
    write(folder / "b.json", made(1).select(np.random.default_rng(0).permutation(60)), tuned)
    write(folder / "c.json", made(2), tuned)
    return folder


@pytest.fixture(scope="module")
def compared(folder):
    return compare_reports([folder / "a.json", folder / "b.json"], resamples=80)


def find(differences, name, protocol="tight", source=None, subset="all"):
    key = (name, protocol, source, subset)
    found = [d for d in differences if (d.a.name, d.a.protocol, d.a.source, d.a.subset) == key]
    assert len(found) == 1
    return found[0]


def test_every_figure_that_both_have(compared):
    tuned = made(9, 20, "tuned")
    a, b = (summarize(made(seed), tuned, 0.2, resamples=0, controls=False) for seed in (0, 1))
    differences = compared.differences[0]
    assert len(differences) == len(a.rows)
    for own, row_a, row_b in zip(differences, a.rows, b.rows, strict=True):
        assert own.a.key == own.b.key == row_a.key
        assert own.value == pytest.approx(row_b.estimate.value - row_a.estimate.value)
    assert compared.images == 60
    assert compared.protocols == PROTOCOLS
    assert [origin["config"] for origin in compared.origins] == ["a.py", "b.py"]


def test_an_oracle_chooses_anew_in_every_resample_of_each(compared):
    curves = [made(seed).curves["tight"].largest for seed in (0, 1)]
    expected = []
    for counts in Bootstrap(60, 80).counts:
        sample = np.repeat(np.arange(60), counts)
        best = [100 * (own[sample] >= 0.5).mean(axis=0).max() for own in curves]
        expected.append(best[1] - best[0])
    found = find(compared.differences[0], "GT-known Loc", source=ORACLE)
    low, high = np.percentile(expected, [2.5, 97.5])
    assert found.interval == pytest.approx((low, high))
    assert found.excludes_zero == (low > 0 or high < 0)


def test_a_fixed_difference_is_paired(compared):
    hits = [made(seed).curves["tight"].fixed >= 0.5 for seed in (0, 1)]
    change = hits[1].astype(float) - hits[0]
    expected = [100 * np.repeat(change, counts).mean() for counts in Bootstrap(60, 80).counts]
    found = find(compared.differences[0], "GT-known Loc", source=FIXED)
    assert found.interval == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))


def test_the_bounds_differ_too_but_are_not_tested(compared):
    best = [made(seed).curves["tight"].largest.max(axis=1) for seed in (0, 1)]
    change = best[1].astype(np.float64) - best[0]
    found = find(compared.differences[0], "mean IoU", source=IMAGE_ORACLE)
    assert found.value == pytest.approx(100 * change.mean())
    expected = [100 * np.repeat(change, counts).mean() for counts in Bootstrap(60, 80).counts]
    assert found.interval == pytest.approx(tuple(np.percentile(expected, [2.5, 97.5])))
    assert find(compared.differences[0], "GT-known Loc", source=IMAGE_ORACLE).images is None


def test_thresholds_chosen_for_each_image_follow_the_order_of_the_first(folder, tmp_path):
    results = made(1)
    results.chosen_thresholds = np.linspace(0, 1, 60).astype(np.float32)
    path = tmp_path / "chosen.json"
    write_report(path, summarize(results, None, None, 0, controls=False), results)
    found = aligned(read_report(path), Images.of(read_report(folder / "b.json"))).results
    order = [int(name.removeprefix("image")) for name in found.image_ids]
    assert order != sorted(order)
    np.testing.assert_array_equal(found.chosen_thresholds, results.chosen_thresholds[order])
    differences = compare_reports([folder / "a.json", path], resamples=10).differences[0]
    assert find(differences, "GT-known Loc", source=FIXED).b.estimate.thresholds == ()


def test_images_that_one_alone_has_right(compared):
    hits = [made(seed).curves["tight"].fixed >= 0.5 for seed in (0, 1)]
    found = find(compared.differences[0], "GT-known Loc", source=FIXED).images
    alone = int((hits[0] & ~hits[1]).sum()), int((hits[1] & ~hits[0]).sum())
    assert (found.only_a, found.only_b) == alone
    assert found.p == mcnemar(*alone)


def test_three_metrics_are_tested_on_all_images(compared):
    tested = {(d.a.name, d.a.protocol, d.a.source) for d in compared.differences[0] if d.images}
    assert tested == {("Top-1 Cls", None, None)} | {
        (name, protocol, source)
        for name in ("GT-known Loc", "Top-1 Loc")
        for protocol in PROTOCOLS
        for source in SOURCES
    }
    assert all(d.a.subset == "all" for d in compared.differences[0] if d.images)


def test_p_values_are_adjusted_over_all_files(folder):
    files = [folder / name for name in ("a.json", "b.json", "c.json")]
    found = compare_reports(files, resamples=10)
    tests = [d.images for pair in found.differences for d in pair if d.images]
    assert len(found.differences) == 2
    assert len(tests) == 2 * 13
    smallest = min(tests, key=lambda test: test.p)
    assert smallest.p_holm == pytest.approx(min(1, 26 * smallest.p))
    # Against the first, not against one another
    alone = compare_reports([files[0], files[2]], resamples=10).differences[0]
    assert [d.value for d in found.differences[1]] == [d.value for d in alone]


def test_a_file_differs_from_itself_in_nothing(folder):
    for file in ("a.json", "b.json"):
        found = compare_reports([folder / file] * 2, resamples=30).differences[0]
        assert len(found) > 100
        for own in found:
            assert own.value == 0
            assert own.interval == (0, 0)
            assert not own.excludes_zero
            assert own.images is None or (own.images.only_a, own.images.p) == (0, 1)


def test_swapping_the_files_turns_the_signs(folder, compared):
    swapped = compare_reports([folder / "b.json", folder / "a.json"], resamples=80)
    for own, other in zip(compared.differences[0], swapped.differences[0], strict=True):
        assert own.value == -other.value
        if own.images:
            assert own.images.only_a == other.images.only_b


def test_the_seed_and_the_number_of_resamples(folder):
    files = [folder / "a.json", folder / "b.json"]
    first, same, other = (compare_reports(files, 20, seed) for seed in (0, 0, 1))
    intervals = [[own.interval for own in each.differences[0]] for each in (first, same, other)]
    assert intervals[0] == intervals[1] != intervals[2]
    assert (other.resamples, other.seed) == (20, 1)


def refused(first: Path, second: Path, says: str, at: str | None = None) -> None:
    with pytest.raises(EvaluationError) as caught:
        compare_reports([first, second], resamples=5)
    assert says in str(caught.value)
    for line in ("at:", "expected:", "hint:"):
        assert line in str(caught.value)
    if at:
        assert f"at: {at}" in str(caught.value)


def test_without_train_fullsup_its_figures_are_left_out(folder, tmp_path):
    other = write(tmp_path / "d.json", made(3), None)
    for files in ([folder / "a.json", other], [other, folder / "a.json"]):
        found = compare_reports(files, resamples=5).differences[0]
        assert {own.a.source for own in found} == {None, FIXED, ORACLE, IMAGE_ORACLE}


def test_images_of_one_alone_are_named(folder, tmp_path):
    first = folder / "a.json"
    fewer = write(tmp_path / "fewer.json", made(1).select(np.arange(60) > 1), None)
    refused(first, fewer, "2 of 60 images are in this evaluation alone: image0, image1", first)
    refused(fewer, first, "2 of 60 images are in this evaluation alone: image0, image1", first)
    other = write(tmp_path / "other.json", made(1, prefix="photo"), None)
    refused(first, other, "60 of 60 images are in this evaluation alone: image0", first)


def relabelled(results: LocalizationResults) -> LocalizationResults:
    return replace(results, labels=results.labels + (np.arange(60) == 3))


def moved(results: LocalizationResults) -> LocalizationResults:
    boxes = [box + (index == 3) for index, box in enumerate(results.boxes)]
    return replace(results, boxes=boxes)


def without_a_part(results: LocalizationResults) -> LocalizationResults:
    assert not np.isnan(results.part_iou[3])
    part_iou = np.where(np.arange(60) == 3, np.nan, results.part_iou)
    return replace(results, part_iou=part_iou.astype("f4"))


@pytest.mark.parametrize("change", [relabelled, moved, without_a_part])
def test_another_truth(folder, tmp_path, change):
    other = write(tmp_path / "other.json", change(made(1)), None)
    refused(folder / "a.json", other, "1 images have other labels, sizes or true boxes, among them")


def test_results_without_part_boxes_are_compared_without(folder, tmp_path):
    bare = replace(made(1), part_iou=np.full(60, np.nan, np.float32))
    other = write(tmp_path / "other.json", bare, None)
    found = compare_reports([folder / "a.json", other], resamples=5).differences[0]
    assert not any("part box" in own.a.name for own in found)


def test_other_protocols(folder, tmp_path):
    fewer = replace(made(1), curves={"tight": made(1).curves["tight"]})
    other = write(tmp_path / "other.json", fewer, None)
    refused(folder / "a.json", other, "different protocols: tight, wsolevaluation; tight")


def test_protocols_in_another_order_are_the_same(folder, tmp_path):
    turned = replace(made(1), curves=dict(reversed(made(1).curves.items())))
    other = write(tmp_path / "other.json", turned, None)
    found = compare_reports([folder / "a.json", other], resamples=5)
    assert found.protocols == PROTOCOLS


def test_figures_that_do_not_follow_from_the_results(folder, tmp_path):
    path = write(tmp_path / "edited.json", made(1), None)
    content = json.loads(path.read_text())
    row = next(row for row in content["rows"] if row["metric"] == "GT-known Loc")
    row["value"] += 1
    path.write_text(json.dumps(content))
    refused(folder / "a.json", path, "GT-known Loc is", f"{path}: tight, GT-known Loc, fixed, all")


def test_nothing_to_compare(folder):
    with pytest.raises(EvaluationError, match="at least two evaluations"):
        compare_reports([folder / "a.json"])
    with pytest.raises(EvaluationError, match="at least one resample"):
        compare_reports([folder / "a.json", folder / "b.json"], resamples=0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"only_a": 1000}, "on which one alone is right"), ({"p_holm": -0.1}, "is adjusted to -0.1")],
)
def test_a_table_that_contradicts_itself_is_our_error(compared, changes, says):
    check_comparison(compared)
    differences = [
        replace(own, images=own.images and replace(own.images, **changes))
        for own in compared.differences[0]
    ]
    with pytest.raises(EvaluationError, match="error in wsoltool") as caught:
        check_comparison(replace(compared, differences=(differences,)))
    assert says in str(caught.value)


def test_images_that_were_left_out_explain_why_others_differ(tmp_path):
    for name, images, quarantined in (("a", 60, 0), ("b", 58, 2)):
        results = made(0, images)
        summary = summarize(results, None, 0.2, resamples=0, controls=False)
        data = {"test": {"images": images, "ids_sha256": name, "quarantined": quarantined}}
        write_report(tmp_path / f"{name}.json", summary, results, None, {"data": data})
    with pytest.raises(EvaluationError, match="2 of 60 images are in this evaluation") as caught:
        compare_reports([tmp_path / "a.json", tmp_path / "b.json"], resamples=2)
    assert caught.value.hint == (
        f"score both on the same split; {tmp_path / 'b.json'}: test: 58 images, 2 left out by"
        " wsoltool prepare (quarantine)"
    )
