from __future__ import annotations

import itertools
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.comparison import compare_reports
from wsoltool.evaluation.group_comparison import compare_groups
from wsoltool.evaluation.report_files import read_report, write_report
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import FIXED, FULLSUP, IMAGE_ORACLE, ORACLE
from wsoltool.evaluation.run_groups import RunGroup
from wsoltool.evaluation.summary import summarize
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.crossed import draw_runs

GRID = np.array([0.1, 0.2, 0.3, 0.4])
IMAGES = 60


def made(run: int, gain: float = 0.0, images: int = IMAGES, prefix: str = "image"):
    """One truth; the run decides how well it is answered, the gain how much better."""
    random, truth = np.random.default_rng(run), np.random.default_rng(7)
    largest = np.clip(random.random((images, len(GRID))) + gain, 0, 1).astype(np.float32)
    labels = truth.integers(0, 6, images)
    boxes = [np.array([[0, 0, 10, 10 * share]], np.float32) for share in truth.random(images)]
    top = np.stack([random.permutation(6)[:5] for _ in range(images)])
    return LocalizationResults(
        image_ids=np.array([f"{prefix}{index}" for index in range(images)]),
        labels=labels,
        top=top,
        sizes=np.full((images, 2), 10),
        boxes=boxes,
        annotated_boxes=[np.floor(box) for box in boxes],
        part_iou=np.full(images, np.nan, np.float32),
        curves={"tight": BoxCurves(GRID, largest, largest, largest[:, 1])},
    )


TUNED = made(99, images=20, prefix="tuned")


def write(path: Path, results, seed=None, training=None, tuned=TUNED, fixed=0.2, **entries) -> Path:
    path.parent.mkdir(exist_ok=True)
    summary = summarize(results, tuned, fixed, resamples=0, controls=False)
    said = {} if seed is None else {"seed": seed, "run": training or path.stem}
    entries = {"config": "a.py", "training": said, **entries}
    write_report(path, summary, results, tuned, entries)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three runs of a, three better ones of b with the same seeds, two of c that tell no seed."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        write(folder / f"a{seed}.json", made(seed), seed)
        shuffled = made(10 + seed, 0.2).select(np.random.default_rng(seed).permutation(IMAGES))
        write(folder / f"b{seed}.json", shuffled, seed)
        write(folder / f"c{seed}.json", made(20 + seed))
    return folder


def groups(folder: Path, **names: str) -> list[RunGroup]:
    """``a="a0 a1"``: the group a of these files."""
    return [
        RunGroup(name, tuple(folder / f"{stem}.json" for stem in stems.split()))
        for name, stems in names.items()
    ]


@pytest.fixture(scope="module")
def compared(folder):
    return compare_groups(groups(folder, a="a0 a1 a2", b="b0 b1 b2"), resamples=80)


def find(comparison, name, source=None, subset="all"):
    key = (name, source, subset)
    found = [f for f in comparison.figures if (f.row.name, f.row.source, f.row.subset) == key]
    assert len(found) == 1
    return found[0]


def hits(run: int, gain: float = 0.0) -> np.ndarray:
    return made(run, gain).curves["tight"].fixed >= 0.5


def test_mean_and_deviation_by_hand(compared):
    figure = find(compared, "GT-known Loc", FIXED)
    values = [[100 * hits(run, gain).mean() for run in runs] for runs, gain in RUNS]
    assert figure.values[0] == pytest.approx(values[0])
    for group, (x, y, z) in enumerate(values):
        mean = (x + y + z) / 3
        assert figure.mean(group) == pytest.approx(mean)
        squares = (x - mean) ** 2 + (y - mean) ** 2 + (z - mean) ** 2
        assert figure.deviation(group) == pytest.approx((squares / 2) ** 0.5)
    difference = sum(values[1]) / 3 - sum(values[0]) / 3
    assert figure.differences[0].value == pytest.approx(difference)


RUNS = (((0, 1, 2), 0.0), ((10, 11, 12), 0.2))


def slow(figure_of) -> list[float]:
    """B - A in every resample, of images listed one by one and runs drawn by themselves."""
    counts = [draw_runs(3, 80, (0, place)) for place in (1, 2)]
    moved = []
    for index, often in enumerate(Bootstrap(IMAGES, 80).counts):
        sample = np.repeat(np.arange(IMAGES), often)
        means = []
        for own, (runs, gain) in zip(counts, RUNS, strict=True):
            drawn = np.repeat(runs, own[index])
            means.append(np.mean([figure_of(made(run, gain), sample) for run in drawn]))
        moved.append(100 * (means[1] - means[0]))
    return moved


def of_oracle(results, sample):
    return (results.curves["tight"].largest[sample] >= 0.5).mean(axis=0).max()


def of_fixed(results, sample):
    return (results.curves["tight"].fixed[sample] >= 0.5).mean()


@pytest.mark.parametrize(("source", "figure_of"), [(FIXED, of_fixed), (ORACLE, of_oracle)])
def test_images_and_runs_are_resampled(compared, source, figure_of):
    moved = slow(figure_of)
    found = find(compared, "GT-known Loc", source).differences[0]
    assert found.interval == pytest.approx(tuple(np.percentile(moved, [2.5, 97.5])))
    beyond = sum(value <= 0 for value in moved)
    assert found.p == pytest.approx(2 * (beyond + 1) / 81)


def test_signs_are_counted_by_seed(compared):
    figure = find(compared, "Top-1 Cls")
    right = [made(run).top[:, 0] == made(run).labels for run in (0, 1, 2, 10, 11, 12)]
    changes = [right[3 + i].mean() - right[i].mean() for i in range(3)]
    expected = sum(np.sign(change) == np.sign(sum(changes)) for change in changes)
    assert figure.differences[0].agreeing == expected
    assert find(compared, "GT-known Loc", FIXED).differences[0].agreeing == 3
    assert compared.pairings[0].by == "seed"
    assert compared.pairings[0].pairs == ((0, 0), (1, 1), (2, 2))


def test_three_metrics_are_tested_and_adjusted_over_all_groups(folder):
    names = {"a": "a0 a1 a2", "b": "b0 b1 b2", "c": "c0 c1 c2"}
    found = compare_groups(groups(folder, **names), resamples=40)
    tests = [d for figure in found.figures for d in figure.differences if d.p is not None]
    assert len(tests) == 2 * (1 + 2 * 3)
    smallest = min(tests, key=lambda test: test.p)
    assert smallest.p_holm == pytest.approx(min(1, 14 * smallest.p))
    assert all(test.p <= test.p_holm <= 1 for test in tests)
    # A third group moves nothing of the second but its adjusted p-values
    alone = compare_groups(groups(folder, a="a0 a1 a2", b="b0 b1 b2"), resamples=40)
    for own, other in zip(found.figures, alone.figures, strict=True):
        assert own.differences[0].interval == other.differences[0].interval


def test_the_order_of_files_with_seeds_changes_nothing(folder, compared):
    for order in itertools.permutations("012"):
        names = {name: " ".join(name + seed for seed in order) for name in "ab"}
        names["b"] = " ".join(reversed(names["b"].split()))
        found = compare_groups(groups(folder, **names), resamples=80)
        assert [own.differences for own in found.figures] == [
            own.differences for own in compared.figures
        ]
        assert found.groups == compared.groups


def test_one_run_each_is_the_comparison_of_two_files(folder):
    found = compare_groups(groups(folder, a="a1", b="b2"), resamples=50, seed=3)
    single = compare_reports([folder / "a1.json", folder / "b2.json"], resamples=50, seed=3)
    assert len(found.figures) == len(single.differences[0])
    for own, other in zip(found.figures, single.differences[0], strict=True):
        assert own.differences[0].interval == other.interval
        assert own.differences[0].value == pytest.approx(other.value)
        assert own.deviation(0) is None


def test_the_same_trainings_scored_twice_differ_in_nothing(folder, tmp_path):
    for seed in range(3):
        write(tmp_path / f"a{seed}.json", made(seed), seed)
    first, second = groups(folder, a="a0 a1 a2"), groups(tmp_path, again="a2 a0 a1")
    found = compare_groups([*first, *second], resamples=60)
    assert found.pairings[0].drawn_together
    for own in found.figures:
        assert own.differences[0].interval == (0, 0)
        assert own.differences[0].value == 0
        assert own.differences[0].agreeing is None
        assert own.differences[0].p in (None, 1)


def test_trainings_that_say_nothing_are_told_by_their_results(folder, tmp_path):
    for seed in range(3):
        write(tmp_path / f"d{seed}.json", made(20 + seed))
    order = "d1 d2 d0"
    both = [*groups(folder, c="c0 c1 c2"), *groups(tmp_path, d=order)]
    found = compare_groups(both, resamples=30)
    assert found.pairings[0].pairs == ((0, 2), (1, 0), (2, 1))
    assert all(own.differences[0].interval == (0, 0) for own in found.figures)


def test_shared_weights_shorten_the_interval(tmp_path):
    """Two ways to score the same trainings: far runs, a small difference that all have."""
    for seed, gain in enumerate((0.0, 0.2, 0.4)):
        write(tmp_path / f"x{seed}.json", made(0, gain), seed, f"training {seed}")
        write(tmp_path / f"y{seed}.json", made(0, gain + 0.05), seed, f"training {seed}")
        write(tmp_path / f"z{seed}.json", made(0, gain + 0.05), seed, f"other {seed}")
    together = compare_groups(groups(tmp_path, x="x0 x1 x2", y="y0 y1 y2"), resamples=200)
    apart = compare_groups(groups(tmp_path, x="x0 x1 x2", z="z0 z1 z2"), resamples=200)
    assert (together.pairings[0].by, apart.pairings[0].by) == ("training", "seed")
    own, other = (find(each, "mean IoU", FIXED).differences[0] for each in (together, apart))
    assert own.value == other.value
    assert 3 * np.ptp(own.interval) < np.ptp(other.interval)
    assert own.agreeing == other.agreeing == 3


@pytest.mark.parametrize(
    ("names", "by", "pairs"),
    [
        ({"a": "a0 a1 a2", "b": "b0 b2"}, "seed", ((0, 0), (2, 1))),
        ({"a": "a0 a1", "b": "b2"}, None, ()),
        ({"a": "a0", "b": "b2"}, "order", ((0, 0),)),
        ({"a": "a2 a1", "c": "c0 c1"}, "order", ((0, 0), (1, 1))),
        ({"c": "c0 c1", "a": "a0"}, None, ()),
    ],
)
def test_which_runs_belong_together(folder, names, by, pairs):
    pairing = compare_groups(groups(folder, **names), resamples=5).pairings[0]
    assert (pairing.by, pairing.pairs) == (by, pairs)


def test_figures_that_one_run_lacks_are_left_out_and_named(folder, tmp_path):
    bare = write(tmp_path / "bare.json", made(4), 4, tuned=None)
    first = groups(folder, a="a0 a1")
    found = compare_groups([*first, RunGroup("b", (folder / "b0.json", bare))], resamples=5)
    assert found.left_out == (FULLSUP,)
    assert {own.row.source for own in found.figures} == {None, FIXED, ORACLE, IMAGE_ORACLE}
    unsure = write(tmp_path / "unsure.json", replace(made(5), top=None), 5)
    found = compare_groups([*first, RunGroup("b", (unsure,))], resamples=5)
    assert found.left_out == ("Top-1 Cls", "Top-5 Cls", "Top-1 Loc", "Top-5 Loc")


def test_the_curves_of_one_run_are_in_memory_at_a_time(folder, monkeypatch):
    curves = []

    def watched(path):
        assert not any(held() is not None for held in curves)
        report = read_report(path)
        curves.append(weakref.ref(report.results.curves["tight"].largest))
        return report

    monkeypatch.setattr("wsoltool.evaluation.run_groups.read_report", watched)
    compare_groups(groups(folder, a="a0 a1", b="b0 b1"), resamples=5)
    assert len(curves) == 4


def refused(wanted: list[RunGroup], says: str, *at: Path) -> None:
    with pytest.raises(EvaluationError) as caught:
        compare_groups(wanted, resamples=5)
    assert says in str(caught.value)
    assert "hint:" in str(caught.value)
    for path in at:
        assert str(path) in str(caught.value.at)


def test_groups_that_cannot_be(folder):
    refused(groups(folder, a="a0"), "too few groups of runs to compare: 1")
    refused(groups(folder, a="a0") + groups(folder, a="a1"), "two groups of runs are called 'a'")
    refused([*groups(folder, a="a0"), RunGroup("b", ())], "the group 'b' has no files")
    with pytest.raises(EvaluationError, match="0 resamples"):
        compare_groups(groups(folder, a="a0", b="b0"), resamples=0)


def test_a_file_in_two_places(folder):
    again = folder / ".." / folder.name / "a0.json"
    twice = [RunGroup("a", (folder / "a0.json", again)), *groups(folder, b="b0")]
    refused(twice, "a file is twice in 'a'", again)
    refused(groups(folder, a="a0 a1", b="b0 a1"), "in 'a' and in 'b'", folder / "a1.json")


def test_runs_of_a_group_are_trainings_of_their_own(folder, tmp_path):
    def with_a0(path: Path) -> list[RunGroup]:
        return [RunGroup("a", (folder / "a0.json", path)), *groups(folder, b="b0")]

    epoch = write(tmp_path / "epoch.json", made(3), 0, "a0")
    refused(with_a0(epoch), "two runs of 'a' are one training", folder / "a0.json", epoch)
    seed = write(tmp_path / "seed.json", made(3), 0)
    refused(with_a0(seed), "two runs of 'a' have the seed 0", folder / "a0.json", seed)
    copy = write(tmp_path / "copy.json", made(20))
    copies = [RunGroup("c", (folder / "c0.json", copy)), *groups(folder, b="b0")]
    refused(copies, "one training or copies of it", copy)
    other = write(tmp_path / "other.json", made(3), 3, fixed=0.3)
    refused(with_a0(other), "have other fixed thresholds: 0.2 and 0.3", other)
    results = made(4)
    results.chosen_thresholds = np.full(len(results), 0.2, np.float32)
    each = write(tmp_path / "each.json", results, 4, fixed=None)
    refused(with_a0(each), "thresholds: 0.2 and one chosen for each image", each)


@pytest.mark.parametrize("place", ["a", "b"])
def test_other_images_anywhere_are_named(folder, tmp_path, place):
    fewer = write(tmp_path / "fewer.json", made(5).select(np.arange(IMAGES) > 1), 5)
    wanted = {"a": [folder / "a0.json"], "b": [folder / "b0.json"]}
    wanted[place].append(fewer)
    refused(
        [RunGroup(name, tuple(files)) for name, files in wanted.items()],
        "2 of 60 images are in this evaluation alone",
    )


@pytest.mark.parametrize("training", [3, {"seed": "0"}, {"seed": True}, {"run": 5}])
def test_a_training_that_is_none(folder, tmp_path, training):
    path = write(tmp_path / "bad.json", made(3))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "training": training}))
    refused([*groups(folder, a="a0"), RunGroup("b", (path,))], "figures are incomplete", path)
