"""Matching, average precision and CorLoc against values by hand and slow references."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import ConfigError, EvaluationError, ShapeError
from wsoltool.functional.bootstrap import Bootstrap
from wsoltool.functional.detection import (
    FORMS,
    HIT,
    IGNORED,
    MISS,
    Detections,
    average_precision,
    class_precisions,
    correct_localization,
    match_detections,
    precision_recall,
    weighted_precisions,
)

FIVE = np.array([HIT, MISS, HIT, MISS, HIT])


def boxes(*rows):
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def match(found, true, difficult=None, ious=(0.5,), **options):
    """Outcomes of one class at each IoU, as lists."""
    classes = np.zeros(len(found)), np.zeros(len(true))
    return match_detections(
        boxes(*found), classes[0], boxes(*true), classes[1], difficult, ious, **options
    ).T.tolist()


# --- slow references, written from the rules alone -------------------------------------------


def pair_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - overlap
    return overlap / union


def slow_outcomes(found, true, iou):
    """``found``: (score, image, box), stable; ``true``: (image, box, difficult)."""
    taken, outcomes = set(), []
    for _, image, box in sorted(found, key=lambda item: -item[0]):
        best, claimed = -1.0, None
        for index, (where, target, _) in enumerate(true):
            if where == image and pair_iou(box, target) > best:
                best, claimed = pair_iou(box, target), index
        if claimed is None or best < iou:
            outcomes.append(MISS)
        elif true[claimed][2]:
            outcomes.append(IGNORED)
        else:
            outcomes.append(MISS if claimed in taken else HIT)
            taken.add(claimed)
    return outcomes


def slow_average_precision(outcomes, positives, form):
    """Exact, from the list of all (recall, precision) pairs."""
    curve, hits, seen = [], 0, 0
    for outcome in outcomes:
        if outcome != IGNORED:
            seen += 1
            hits += outcome == HIT
            curve.append((Fraction(hits, positives), Fraction(hits, seen)))

    def best(recall):
        return max((p for r, p in curve if r >= recall), default=Fraction(0))

    if form == "11point":
        return sum(best(Fraction(k, 10)) for k in range(11)) / 11
    steps = [Fraction(k, positives) for k in range(positives + 1)]
    return sum((high - low) * best(high) for low, high in pairwise(steps))


# --- matching --------------------------------------------------------------------------------


def test_the_surest_takes_the_box_and_duplicates_miss():
    true = [(0, 0, 10, 10)]
    assert match([(0, 0, 10, 8), (0, 0, 10, 10), (20, 20, 30, 30)], true) == [[HIT, MISS, MISS]]


def test_a_duplicate_does_not_turn_to_its_second_choice():
    # Both fit the first box best; the second box would do for either at IoU 0.3.
    true = [(0, 0, 10, 10), (0, 4, 10, 14)]
    found = [(0, 1, 10, 11), (0, 1, 10, 11)]
    assert match(found, true, ious=(0.3,)) == [[HIT, MISS]]


def test_an_iou_of_exactly_the_threshold_is_a_hit():
    assert match([(0, 0, 10, 5)], [(0, 0, 10, 10)], ious=(0.5, 0.5001)) == [[HIT], [MISS]]
    assert match([(0, 0, 10, 3)], [(0, 0, 10, 10)], ious=(0.3,)) == [[HIT]]
    assert match([(0, 0, 10, 1)], [(0, 0, 10, 10)], ious=(0.1,)) == [[HIT]]


def test_of_equal_overlaps_the_first_true_box_is_claimed():
    true = [(0, 0, 10, 10), (10, 0, 20, 10)]
    both = [(0, 0, 20, 10)]
    assert match(both, true, np.array([True, False])) == [[IGNORED]]
    assert match(both, true, np.array([False, True])) == [[HIT]]


def test_difficult_boxes_are_neither_demanded_nor_punished():
    true, difficult = [(0, 0, 10, 10), (20, 20, 30, 30)], np.array([True, False])
    found = [(0, 0, 10, 9), (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)]
    assert match(found, true, difficult) == [[IGNORED, IGNORED, HIT, MISS]]


def test_inclusive_overlap_adds_a_pixel():
    # half-open 1/2 x 1 = 0.5; inclusive (2 x 3) / (3 x 3) = 0.67
    found, true = [(0, 0, 1, 2)], [(0, 0, 2, 2)]
    assert match(found, true, ious=(0.6,)) == [[MISS]]
    assert match(found, true, ious=(0.6,), inclusive=True) == [[HIT]]


def test_classes_do_not_meet():
    box = boxes((0, 0, 4, 4))
    twice = np.concatenate([box, box])
    found = match_detections(twice, np.array([1, 2]), twice, np.array([2, 3]))
    assert found.T.tolist() == [[MISS, HIT]]


@pytest.mark.parametrize(("found", "true"), [(0, 0), (0, 2), (3, 0)])
def test_nothing_found_or_nothing_true(found, true):
    outcomes = match_detections(
        np.zeros((found, 4)), np.zeros(found), np.zeros((true, 4)), np.zeros(true), ious=(0.5, 0.3)
    )
    assert outcomes.shape == (found, 2)
    assert outcomes.dtype == np.int8
    assert (outcomes == MISS).all()


def test_counts_that_differ_are_refused():
    one = np.zeros((1, 4))
    with pytest.raises(ShapeError, match="1 boxes with 2 classes"):
        match_detections(one, np.zeros(2), one, np.zeros(1))
    with pytest.raises(ShapeError, match="2 marks"):
        match_detections(one, np.zeros(1), one, np.zeros(1), np.zeros(2))


# --- average precision -----------------------------------------------------------------------


def test_five_detections_by_hand():
    """Hit, miss, hit, miss, hit of 4 objects.

    Precision 1, 1/2, 2/3, 1/2, 3/5 at recall 1/4, 1/4, 2/4, 2/4, 3/4; its highest at or beyond
    recall 1/4, 2/4, 3/4, 1 is 1, 2/3, 3/5, 0.
    """
    precision, recall = precision_recall(FIVE, 4)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 1 / 2, 3 / 5])
    np.testing.assert_allclose(recall, [1 / 4, 1 / 4, 2 / 4, 2 / 4, 3 / 4])
    assert average_precision(FIVE, 4) == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)
    # Recall 0, 0.1, 0.2: 1; 0.3, 0.4, 0.5: 2/3; 0.6, 0.7: 3/5; 0.8, 0.9, 1: 0.
    by_points = (3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11
    assert average_precision(FIVE, 4, "11point") == pytest.approx(by_points)


def test_precision_may_rise_and_the_envelope_takes_it():
    # Misses first: precision 0, 0, 1/3, 2/4; at every recall the best is 1/2.
    outcomes = np.array([MISS, MISS, HIT, HIT])
    assert average_precision(outcomes, 2) == pytest.approx(1 / 2)
    assert average_precision(outcomes, 2, "11point") == pytest.approx(1 / 2)


def test_recall_is_compared_exactly():
    # Three of ten: recall 0.3 is reached, which 3 * 0.1 as a float is not.
    outcomes = np.array([HIT] * 3)
    assert average_precision(outcomes, 10, "11point") == pytest.approx(4 / 11)
    assert average_precision(np.array([HIT] * 7), 10, "11point") == pytest.approx(8 / 11)


def test_ignored_detections_change_nothing():
    mixed = np.array([IGNORED, HIT, MISS, IGNORED, HIT, MISS, HIT, IGNORED])
    for form in FORMS:
        assert average_precision(mixed, 4, form) == average_precision(FIVE, 4, form)


@pytest.mark.parametrize("form", FORMS)
def test_the_extremes(form):
    assert average_precision(np.array([HIT] * 4), 4, form) == pytest.approx(1)
    assert average_precision(np.array([MISS] * 4), 4, form) == 0
    assert average_precision(np.array([], dtype=int), 4, form) == 0


def test_impossible_counts_are_refused():
    with pytest.raises(EvaluationError, match="3 hits of 2 true boxes"):
        average_precision(FIVE, 2)
    with pytest.raises(EvaluationError, match="0 hits of 0"):
        average_precision(np.array([MISS]), 0)
    with pytest.raises(ConfigError, match="unknown form") as caught:
        average_precision(FIVE, 4, "11points")
    assert "11point" in caught.value.hint


@settings(max_examples=150, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([HIT, MISS, IGNORED]), max_size=20),
    more=st.integers(0, 5),
    form=st.sampled_from(FORMS),
)
def test_average_precision_is_that_of_the_whole_curve(outcomes, more, form):
    positives = max(1, outcomes.count(HIT) + more)
    expected = slow_average_precision(outcomes, positives, form)
    assert average_precision(np.array(outcomes, dtype=np.int8), positives, form) == pytest.approx(
        float(expected), abs=1e-12
    )


def random_images(rng, count, num_classes, difficult=0.2, levels=8):
    """Detections and truth of several images on a coarse grid, so that ties are common."""
    images = []
    for _ in range(count):
        found, true = (rng.integers(0, 5, 2) for _ in range(2))
        parts = []
        for n in (int(found[0]), int(true[0])):
            corner = rng.integers(0, 6, (n, 2))
            xyxy = np.concatenate([corner, corner + rng.integers(1, 6, (n, 2))], axis=1)
            parts += [xyxy.astype(np.float64), rng.integers(0, num_classes, n)]
        scores = np.sort(rng.integers(0, levels, len(parts[0])))[::-1] / levels
        images.append((*parts, scores, rng.random(len(parts[2])) < difficult))
    return images


def gathered(images, ious):
    """As the evaluation gathers them: Detections, and the images and classes of the demanded."""
    outcomes = [match_detections(f, fc, t, tc, d, ious) for f, fc, t, tc, _, d in images]
    index = np.arange(len(images))
    detections = Detections(
        np.repeat(index, [len(image[0]) for image in images]),
        np.concatenate([image[1] for image in images]).astype(np.int64),
        np.concatenate([image[4] for image in images]),
        np.concatenate(outcomes),
    )
    demanded = [tc[~d] for _, _, _, tc, _, d in images]
    return detections, np.repeat(index, [len(d) for d in demanded]), np.concatenate(demanded)


def slow_class_precision(images, copies, class_id, iou, form):
    """Average precision of a class over images that are held several times."""
    found, true, number = [], [], 0
    for image, count in zip(images, copies, strict=True):
        f, fc, t, tc, scores, difficult = image
        for _ in range(count):
            number += 1
            found += [
                (s, number, b) for s, b, c in zip(scores, f, fc, strict=True) if c == class_id
            ]
            true += [
                (number, b, d) for b, c, d in zip(t, tc, difficult, strict=True) if c == class_id
            ]
    positives = sum(not hard for *_, hard in true)
    if not positives:
        return np.nan
    return float(slow_average_precision(slow_outcomes(found, true, iou), positives, form))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), form=st.sampled_from(FORMS))
def test_classes_of_many_images_against_the_slow_rules(seed, form):
    rng = np.random.default_rng(seed)
    images, ious = random_images(rng, 6, 3), (0.5, 0.3, 0.1)
    found = class_precisions(*gathered(images, ious), 3, form)
    expected = [
        [slow_class_precision(images, [1] * 6, class_id, iou, form) for iou in ious]
        for class_id in range(3)
    ]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), form=st.sampled_from(FORMS))
def test_a_resample_is_the_evaluation_of_repeated_images(seed, form):
    rng = np.random.default_rng(seed)
    # All scores differ, so that the order of copies is no question.
    images = random_images(rng, 5, 2, levels=10**6)
    counts = rng.multinomial(5, [0.2] * 5, size=4).astype(np.uint16)
    found = class_precisions(*gathered(images, (0.5,)), 2, form, counts)
    for row, copies in enumerate(counts):
        expected = [slow_class_precision(images, copies, c, 0.5, form) for c in range(2)]
        np.testing.assert_allclose(found[row, :, 0], expected, atol=1e-12)


def test_equal_scores_keep_the_order_of_the_images():
    """Two images with one detection each, both at 0.5: the first image's comes first."""
    outcomes = np.array([[MISS], [HIT]], dtype=np.int8)
    images, zeros = np.arange(2), np.zeros(2, dtype=np.int64)
    tied = Detections(images, zeros, np.full(2, 0.5), outcomes)
    assert class_precisions(tied, images[:1], zeros[:1], 1)[0, 0, 0] == pytest.approx(1 / 2)
    tied = Detections(images, zeros, np.full(2, 0.5), outcomes[::-1])
    assert class_precisions(tied, images[:1], zeros[:1], 1)[0, 0, 0] == pytest.approx(1)


def test_a_class_without_a_true_box_has_no_precision():
    none = np.zeros(0, dtype=np.int64)
    empty = Detections(none, none, np.zeros(0), np.zeros((0, 1), np.int8))
    found = class_precisions(empty, np.array([0]), np.array([1]), 3)[0, :, 0]
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == 0


def test_resamples_without_a_true_box_have_no_precision():
    found = weighted_precisions(
        np.array([[HIT]]), np.array([[2], [0]], np.uint16), np.array([2, 0]), "area"
    )
    assert found[0, 0] == 1
    assert np.isnan(found[1, 0])


def test_blocks_of_resamples_do_not_matter(monkeypatch):
    rng = np.random.default_rng(3)
    parts = gathered(random_images(rng, 30, 3), (0.5, 0.1))
    draws = Bootstrap(30, 17)
    whole = class_precisions(*parts, 3, "area", draws.counts)
    monkeypatch.setattr("wsoltool.functional.detection.BLOCK", 50)
    np.testing.assert_array_equal(class_precisions(*parts, 3, "area", draws.counts), whole)


def test_shuffled_scores_keep_the_outcomes():
    detections, _, _ = gathered(random_images(np.random.default_rng(0), 200, 2), (0.5,))
    shuffled = detections.shuffled()
    assert np.array_equal(shuffled.outcomes, detections.outcomes)
    assert np.array_equal(shuffled.scores, detections.shuffled().scores)
    assert not np.array_equal(shuffled.scores, detections.scores)


def test_thousands_of_images_take_seconds():
    """2,500 images, 20 classes, 50 boxes an image, a hundred resamples."""
    rng = np.random.default_rng(0)
    count, total = 2500, 2500 * 50
    marks = rng.choice(np.array([HIT, MISS, IGNORED], np.int8), (total, 3), p=[0.1, 0.85, 0.05])
    detections = Detections(
        np.repeat(np.arange(count), 50), rng.integers(0, 20, total), rng.random(total), marks
    )
    truth = np.repeat(np.arange(count), 6), rng.integers(0, 20, 6 * count)
    begun = time.perf_counter()
    class_precisions(detections, *truth, 20, "area", Bootstrap(count, 100).counts)
    assert time.perf_counter() - begun < 5


# --- CorLoc ----------------------------------------------------------------------------------


def test_corloc_by_hand():
    # Class 0 in images 0, 1, 2, of which two fit; class 2 in image 1, at exactly one half.
    images, classes = np.array([0, 1, 1, 2]), np.array([0, 0, 2, 0])
    overlaps = np.array([0.7, 0.49, 0.5, 0.9])
    found = correct_localization(images, classes, overlaps, 3)
    np.testing.assert_allclose(found.ratios(), [2 / 3, np.nan, 1])
    np.testing.assert_allclose(found.pooled().ratios(), [3 / 4])
    stricter = correct_localization(images, classes, overlaps, 3, iou=0.8)
    np.testing.assert_allclose(stricter.ratios(), [1 / 3, np.nan, 0])
