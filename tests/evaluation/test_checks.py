from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.estimates import Estimate, any_box_estimates, one_box_estimates
from wsoltool.evaluation.results import BoxCurves
from wsoltool.evaluation.summary import Row, Summary


def table(source="test-oracle", control=None, **figures) -> Summary:
    """A table whose box rows carry the figures, or a control's if one is named."""
    rows = []
    for name, value in figures.items():
        name = name.replace("_", " ").replace("Top1", "Top-1").replace("GT", "GT-known")
        name = name.replace("V2 ", "MaxBoxAccV2@0.").replace("V2mean", "MaxBoxAccV2")
        if name.endswith("Cls"):
            rows.append(Row(name, Estimate(value), 10))
        elif control:
            rows.append(Row(name, Estimate(50), 10, "tight", source, controls={control: value}))
        else:
            rows.append(Row(name, Estimate(value), 10, "tight", source))
    return Summary(rows, ("tight",), 10)


GOOD_LOC = {"Top1_Cls": 70.0, "GT_Loc": 60.0, "Top1_Loc": 45.0}
GOOD_V2 = {"V2mean": 60.0, "V2_3": 80.0, "V2_5": 60.0, "V2_7": 40.0}


@pytest.mark.parametrize("both", [30, 45, 60])
def test_tables_that_can_be_true(both):
    check_summary(table(**{**GOOD_LOC, "Top1_Loc": both}))
    check_summary(table(**GOOD_V2))


@pytest.mark.parametrize("both", [29.9, 60.1])
def test_both_right_is_bounded_by_each(both):
    with pytest.raises(EvaluationError, match="does not fit Top-1 Cls 70"):
        check_summary(table(**{**GOOD_LOC, "Top1_Loc": both}))


def test_the_impossible_row_of_a_printed_table_is_caught():
    # class error 23.86, GT-known error 36.77, localization error 66.05
    figures = {"Top1_Cls": 76.14, "GT_Loc": 63.23, "Top1_Loc": 33.95}
    with pytest.raises(EvaluationError, match=r"error in wsoltool"):
        check_summary(table(**figures))


def test_the_mean_of_the_parts():
    with pytest.raises(EvaluationError, match="not the mean of its parts"):
        check_summary(table(**{**GOOD_V2, "V2mean": 60.01}))


RISING = {"V2mean": 60.0, "V2_3": 55.0, "V2_5": 65.0, "V2_7": 60.0}


def test_accuracy_does_not_rise_with_iou_where_each_has_its_best_threshold():
    with pytest.raises(EvaluationError, match="rises with IoU"):
        check_summary(table(**RISING))
    check_summary(table(source="fullsup", **RISING))


def test_controls_are_checked_too():
    with pytest.raises(EvaluationError, match="centre box"):
        check_summary(table(control="centre box", **RISING))
    with pytest.raises(EvaluationError, match="whole image"):
        check_summary(table(control="whole image", **{**GOOD_LOC, "Top1_Loc": 61}))


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_no_set_of_results_breaks_a_check(images, columns, seed):
    random = np.random.default_rng(seed)
    largest = random.random((images, columns)).astype(np.float32)
    every = np.maximum(largest, random.random(largest.shape).astype(np.float32))
    curves = BoxCurves(np.arange(columns) / 10, largest, every, largest[:, 0])
    top1 = random.random(images) < 0.5
    correct = {"Top-1": top1, "Top-5": top1 | (random.random(images) < 0.5)}
    rows = [Row(f"{k} Cls", Estimate(100 * v.mean()), images) for k, v in correct.items()]
    other = BoxCurves(curves.thresholds, largest[:1], every[:1], None)
    for source, reference in (("fixed", None), ("fullsup", other), ("test-oracle", curves)):
        figures = one_box_estimates(curves, reference, correct)
        if reference is not None:
            figures |= any_box_estimates(curves, reference)
        rows += [Row(k, v, images, "tight", source) for k, v in figures.items()]
    check_summary(Summary(rows, ("tight",), images))
