from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.objects import (
    image_classes,
    known_classes,
    likely_classes,
    true_objects,
    true_segments,
)
from wsoltool.structures import Sample, Truth

BOXES = np.array([[0, 0, 2, 2], [1, 1, 4, 4]], np.float32)


def sample(label, **truth):
    truth = {"boxes": BOXES, "annotated_boxes": BOXES + 1, **truth}
    return Sample("a", label, (4, 5), (0, 0, 5, 4), truth=Truth(**truth))


def hot(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("label", "classes"), [(3, [3]), (-1, []), (hot(0, 1, 1), [1, 2]), (hot(0, 0), [])]
)
def test_classes_of_any_kind_of_label(label, classes):
    assert image_classes(sample(label)) == classes


def test_known_classes_are_those_of_label_and_boxes():
    assert known_classes(sample(hot(1, 0, 0, 0), labels=np.array([3, 0]))) == [0, 3]
    assert known_classes(Sample("a", 2, (4, 5), (0, 0, 5, 4))) == [2]


def test_likely_classes_reach_the_score_in_double_precision():
    assert likely_classes(np.array([0.1, 0.5, 0.05], np.float32), 0.1) == [0, 1]
    assert likely_classes(np.array([0.7], np.float32), 0.7) == [], "0.7 is a little less in float32"
    assert likely_classes(np.array([0.0, 1.0]), 0.0) == [0, 1]


@pytest.mark.parametrize("scores", [[1.5, 0], [-0.1, 0], [np.nan, 0], [[0.5]]])
def test_scores_that_are_no_probabilities_are_refused(scores):
    with pytest.raises(EvaluationError, match="class scores"):
        likely_classes(np.array(scores), 0.1)


def test_boxes_without_labels_have_the_images_one_class():
    for label in (2, hot(0, 0, 1)):
        objects = true_objects(sample(label))
        assert objects.classes.tolist() == [2, 2]
        assert objects.difficult.tolist() == [False, False]
        assert np.array_equal(objects.boxes, BOXES)
    assert np.array_equal(true_objects(sample(2), annotated=True).boxes, BOXES + 1)


def test_boxes_have_their_own_labels_and_marks():
    labels, difficult = np.array([1, 0]), np.array([0, 1])
    objects = true_objects(sample(hot(1, 1), labels=labels, difficult=difficult))
    assert objects.classes.tolist() == [1, 0]
    assert objects.difficult.tolist() == [False, True]


def test_an_image_without_objects_needs_no_class():
    none = np.zeros((0, 4), np.float32)
    objects = true_objects(sample(hot(0, 0), boxes=none, annotated_boxes=none))
    assert objects.boxes.shape == (0, 4)
    assert objects.classes.shape == objects.difficult.shape == (0,)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": hot(1, 1)}, "boxes of an image with 2 classes"),
        ({"label": -1}, "boxes of an image with 0 classes"),
        ({"label": 0, "labels": np.array([1])}, "2 true boxes, 1 labels"),
        ({"label": 0, "difficult": np.zeros(3)}, "3 difficulty marks"),
    ],
)
def test_boxes_of_no_known_class_are_refused(changed, message):
    with pytest.raises(EvaluationError, match=message):
        true_objects(sample(**changed))


def test_a_split_without_truth_is_refused():
    bare = Sample("a", 0, (4, 5), (0, 0, 5, 4))
    for read in (true_objects, true_segments):
        with pytest.raises(EvaluationError, match="without a record"):
            read(bare)


def test_segments_are_taken_as_they_are():
    segments = np.arange(20, dtype=np.int16).reshape(4, 5) - 1
    found = true_segments(sample(hot(1, 1), segments=segments))
    assert np.array_equal(found, segments)
    assert found.dtype == np.int64


def test_a_mask_is_the_one_class():
    mask = np.zeros((4, 5), np.uint8)
    mask[0, 0], mask[1, 1] = 1, 255
    expected = np.zeros((4, 5))
    expected[0, 0], expected[1, 1] = 8, -1
    assert np.array_equal(true_segments(sample(7, mask=mask)), expected)


def test_a_mask_of_another_resolution_is_that_of_the_image():
    mask = np.array([[1, 0], [0, 255]], np.uint8)
    found = true_segments(
        Sample("a", 0, (4, 4), (0, 0, 4, 4), truth=Truth(BOXES, BOXES, mask=mask))
    )
    expected = np.repeat(np.repeat([[1, 0], [0, -1]], 2, axis=0), 2, axis=1)
    assert np.array_equal(found, expected)


def test_a_mask_without_objects_needs_no_class():
    assert not true_segments(sample(hot(0, 0), mask=np.zeros((4, 5), np.uint8))).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "without segments or a mask"),
        ({"segments": np.zeros((5, 4))}, r"shape \(5, 4\)"),
        ({"mask": np.ones((4, 5), np.uint8)}, "pixels of an image with 2 classes"),
    ],
)
def test_pixels_that_cannot_be_scored_are_refused(changed, message):
    with pytest.raises(EvaluationError, match=message):
        true_segments(sample(hot(1, 1), **changed))
