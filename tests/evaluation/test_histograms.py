from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsoltool.evaluation.histograms import histogram, one_box_iou
from wsoltool.evaluation.results import BoxCurves
from wsoltool.functional.sweep import reaches

IOU = np.array([0, 0.05, 0.1, 0.3, 0.69, 0.7, 0.95, 1.0, 1.0, 0.5], np.float32)


def test_ten_images_by_hand():
    found = histogram("tight", "fixed", "all", IOU)
    assert found.counts == (2, 1, 0, 1, 0, 1, 1, 1, 0, 3)
    assert found.mean_iou == pytest.approx(52.9)
    assert found.percents[0] == 20
    assert found.box_recall == pytest.approx(
        {0.1: 80, 0.2: 70, 0.3: 70, 0.4: 60, 0.5: 60, 0.6: 50, 0.7: 40, 0.8: 30, 0.9: 30}
    )


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 1, width=32)))
def test_recall_counts_the_images_that_reach_each_iou(best_iou):
    found = histogram("tight", "fixed", "all", best_iou)
    assert sum(found.counts) == len(best_iou)
    for iou, recall in found.box_recall.items():
        assert recall == pytest.approx(100 * reaches(best_iou, iou).mean())


def test_the_box_is_that_of_gt_known_loc():
    largest = np.array([[0.6, 0.4, 0.9], [0.2, 0.5, 0.3], [0.1, 0.5, 0.1]], np.float32)
    curves = BoxCurves(np.array([0.1, 0.2, 0.3]), largest, largest, largest[:, 2])
    np.testing.assert_array_equal(one_box_iou(curves, None), largest[:, 2])
    np.testing.assert_array_equal(one_box_iou(curves, curves), largest[:, 1])
    np.testing.assert_array_equal(one_box_iou(curves, curves.select([0])), largest[:, 0])
