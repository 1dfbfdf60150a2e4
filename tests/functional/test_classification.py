"""Figures of class scores, by hand and against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import ShapeError
from wsoltool.functional.classification import (
    ABSENT,
    IGNORED,
    SHOWN,
    average_precisions,
    f1_scores,
    prevalences,
    top1_hits,
)


def column(*values):
    return np.array(values)[:, None]


def slow_precision(scores, labels, form):
    """Cut at every score there is, with whole numbers only where recall is compared."""
    pairs = [pair for pair in zip(scores, labels, strict=True) if pair[1] != IGNORED]
    positives = sum(label == SHOWN for _, label in pairs)
    if not positives:
        return float("nan")
    points = [(0, 1.0)]
    for cut in sorted({score for score, _ in pairs}, reverse=True):
        answered = [label for score, label in pairs if score >= cut]
        hits = sum(label == SHOWN for label in answered)
        points.append((hits, hits / len(answered)))

    def best(hits):
        return max((p for h, p in points[1:] if h >= hits), default=0.0)

    if form == "area":
        # The curve is flat between two numbers of hits.
        return sum(best(hits) for hits in range(1, positives + 1)) / positives
    least = [-(-tenths * positives // 10) for tenths in range(11)]
    return sum(best(hits) for hits in least) / 11


def test_one_class_by_hand():
    scores, labels = column(0.9, 0.8, 0.7, 0.6), column(1, 0, 1, 1)
    area, points = average_precisions(scores, labels)
    # Precision 1 at 1/3; 2/3 and 3/4 at 2/3 and 3/3, of which the higher one counts for both.
    assert area.item() == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)
    # Recall 0 to 0.3 needs one hit, the other seven more.
    assert points.item() == pytest.approx((4 * 1 + 7 * 3 / 4) / 11)


def test_equal_scores_are_ranked_together():
    # One cut holds two images, one of them right: 1/2; then all four, two right.
    scores = column(0.9, 0.9, 0.1, 0.1)
    for labels in (column(1, 0, 1, 0), column(0, 1, 0, 1), column(0, 1, 1, 0)):
        assert average_precisions(scores, labels)[0].item() == 0.5


def test_equal_scores_for_all_give_the_prevalence():
    labels = np.random.default_rng(0).integers(0, 2, (50, 3))
    area, points = average_precisions(np.full((50, 3), 0.3), labels)
    assert np.allclose(area, prevalences(labels))
    assert np.allclose(points, prevalences(labels))


def test_ignored_images_count_for_nothing():
    scores, labels = column(0.9, 0.8, 0.7), column(-1, 1, 0)
    assert average_precisions(scores, labels)[0].item() == 1
    assert f1_scores(scores > 0.75, labels)[1].item() == 1
    assert prevalences(labels).item() == 0.5


tables = st.integers(0, 10**6).map(np.random.default_rng)


@given(tables)
def test_against_a_slow_loop(random):
    images, classes = random.integers(1, 12), random.integers(1, 4)
    scores = random.integers(0, 6, (images, classes)) / 8  # many ties
    labels = random.integers(-1, 2, (images, classes))
    found = average_precisions(scores, labels)
    for values, form in zip(found, ("area", "11point"), strict=True):
        wanted = [slow_precision(scores[:, k], labels[:, k], form) for k in range(classes)]
        assert np.allclose(values[0], wanted, equal_nan=True)


@given(tables)
def test_a_resample_is_the_data_set_that_it_draws(random):
    images, classes = random.integers(1, 8), random.integers(1, 3)
    scores = random.integers(0, 5, (images, classes)) / 8
    labels = random.integers(-1, 2, (images, classes))
    drawn = random.integers(0, images, (4, images))
    counts = np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(np.uint8)
    area, points = average_precisions(scores, labels, counts)
    by_class, micro = f1_scores(scores > 0.3, labels, counts)
    for index, row in enumerate(drawn):
        own = average_precisions(scores[row], labels[row])
        assert np.allclose([area[index], points[index]], np.stack(own)[:, 0], equal_nan=True)
        of_row, of_all = f1_scores(scores[row] > 0.3, labels[row])
        assert np.allclose(by_class[index], of_row[0], equal_nan=True)
        assert np.allclose(micro[index], of_all[0], equal_nan=True)


@given(tables)
def test_the_order_of_images_changes_nothing(random):
    scores, labels = random.integers(0, 4, (9, 2)) / 4, random.integers(-1, 2, (9, 2))
    order = random.permutation(9)
    first = average_precisions(scores, labels)
    again = average_precisions(scores[order], labels[order])
    assert np.array_equal(first, again, equal_nan=True)


def test_blocks_of_resamples_change_nothing(monkeypatch):
    random = np.random.default_rng(1)
    scores, labels = random.random((20, 2)), random.integers(0, 2, (20, 2))
    counts = random.integers(0, 3, (7, 20))
    whole = average_precisions(scores, labels, counts)
    monkeypatch.setattr("wsoltool.functional.classification.BLOCK", 45)
    assert np.allclose(whole, average_precisions(scores, labels, counts), rtol=1e-12)


def test_f1_by_hand():
    answers = np.array([[1, 1, 0], [0, 1, 1]], bool)
    labels = np.array([[1, 0, 1], [1, 1, 0]])
    by_class, micro = f1_scores(answers, labels)
    # First class 1 TP 1 FN, second 1 TP 1 FP, third 1 FP 1 FN.
    assert by_class[0].tolist() == [pytest.approx(2 / 3), pytest.approx(2 / 3), 0]
    assert micro[0] == pytest.approx(4 / (4 + 2 + 2))


def test_a_class_that_no_image_shows_has_no_figure():
    answers, labels = np.ones((2, 2), bool), np.array([[1, 0], [0, 0]])
    assert np.isnan(average_precisions(answers * 0.5, labels)[0][0, 1])
    by_class, micro = f1_scores(answers, labels)
    assert np.isnan(by_class[0, 1])
    assert micro[0] == pytest.approx(2 / (1 + 4)), "but answers of it are wrong"
    assert np.isnan(f1_scores(answers, 0 * labels)[1][0])


def test_top1_takes_the_first_of_equal_classes_and_passes_over_ignored_ones():
    scores = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert top1_hits(scores, np.array([[0, 1], [IGNORED, SHOWN]])).tolist() == [0, 1]
    assert np.isnan(top1_hits(scores, np.full((2, 2), ABSENT))).all()


def test_shapes_must_agree():
    with pytest.raises(ShapeError, match="disagree"):
        average_precisions(np.ones((2, 3)), np.ones((2, 2)))
    with pytest.raises(ShapeError, match="disagree"):
        f1_scores(np.ones((2, 2), bool), np.ones((2, 2)), np.ones((1, 3)))
