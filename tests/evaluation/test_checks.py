from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.errors import EvaluationError
from wsoltool.evaluation.checks import check_summary
from wsoltool.evaluation.chosen_thresholds import ChosenThresholds
from wsoltool.evaluation.estimates import Estimate
from wsoltool.evaluation.histograms import Histogram, histogram
from wsoltool.evaluation.results import BoxCurves, LocalizationResults
from wsoltool.evaluation.rows import Row, Summary
from wsoltool.evaluation.summary import summarize


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


def summary_of(swept=(), histograms=(), **sources) -> Summary:
    """Rows of the protocol tight: source -> metric -> percent."""
    rows = [
        Row(name, Estimate(value), 10, "tight", source.replace("_", "-"))
        for source, figures in sources.items()
        for name, value in figures.items()
    ]
    return Summary(rows, ("tight",), 10, histograms=list(histograms), swept=swept)


def mean_of_parts(name: str, parts: tuple[float, float, float]) -> dict[str, float]:
    base, _, note = name.partition(" ")
    names = [" ".join(filter(None, (f"{base}@{iou}", note))) for iou in (0.3, 0.5, 0.7)]
    return {name: sum(parts) / 3, **dict(zip(names, parts, strict=True))}


COMMON = "MaxBoxAccV2 (common threshold)"


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"Top-1 Loc": 30, "Top-5 Loc": 20}, "Top-1 Loc 30.000 is above Top-5 Loc"),
        ({"MaxBoxAcc@0.3": 50, "MaxBoxAcc@0.5": 60}, "rises with IoU"),
        (
            mean_of_parts("MaxBoxAccV2", (80, 60, 40)) | {"MaxBoxAcc@0.5": 61},
            r"MaxBoxAcc@0.5 61.000 is above MaxBoxAccV2@0.5",
        ),
        (
            mean_of_parts("MaxBoxAccV2", (80, 60, 40)) | mean_of_parts(COMMON, (80, 61, 30)),
            "above MaxBoxAccV2@0.5 60",
        ),
        (mean_of_parts(COMMON, (80, 60, 40)) | {COMMON: 61}, "not the mean of its parts"),
    ],
)
def test_what_cannot_be_under_the_oracle(figures, says):
    with pytest.raises(EvaluationError, match=says):
        check_summary(summary_of(test_oracle=figures))


def test_one_threshold_for_all_ious_orders_them_whatever_chose_it():
    with pytest.raises(EvaluationError, match="rises with IoU"):
        check_summary(summary_of(fullsup=mean_of_parts(COMMON, (50, 60, 40))))
    check_summary(summary_of(fullsup=mean_of_parts("MaxBoxAccV2", (50, 60, 40))))


def test_no_other_threshold_beats_the_oracles():
    check_summary(summary_of(fullsup={"GT-known Loc": 50}, test_oracle={"GT-known Loc": 50}))
    with pytest.raises(EvaluationError, match=r"51\.000 is above GT-known Loc under test-oracle"):
        check_summary(summary_of(fullsup={"GT-known Loc": 51}, test_oracle={"GT-known Loc": 50}))
    # its threshold is the best for GT-known Loc
    check_summary(summary_of(fullsup={"Top-1 Loc": 51}, test_oracle={"Top-1 Loc": 50}))


def test_fixed_boxes_beat_the_oracle_only_if_they_are_none_of_the_sweep():
    figures = {"fixed": {"GT-known Loc": 51}, "test_oracle": {"GT-known Loc": 50}}
    check_summary(summary_of(**figures))
    with pytest.raises(EvaluationError, match=r"51\.000 is above"):
        check_summary(summary_of(swept=("tight",), **figures))


@pytest.mark.parametrize("name", ["GT-known Loc", "Top-1 Loc", "mean IoU"])
@pytest.mark.parametrize("source", ["test_oracle", "fullsup"])
def test_one_threshold_for_all_images_does_not_beat_one_for_each(source, name):
    check_summary(summary_of(**{source: {name: 50}}, image_oracle={name: 50}))
    with pytest.raises(EvaluationError, match=f"{name} 51.000 is above {name} under image-oracle"):
        check_summary(summary_of(**{source: {name: 51}}, image_oracle={name: 50}))


def test_fixed_boxes_beat_the_image_oracle_only_if_they_are_none_of_the_sweep():
    figures = {"fixed": {"mean IoU": 51}, "image_oracle": {"mean IoU": 50}}
    check_summary(summary_of(**figures))
    with pytest.raises(EvaluationError, match="under image-oracle"):
        check_summary(summary_of(swept=("tight",), **figures))


# Ten images: four at .22, five at .64, one without a box.
CHOSEN = ChosenThresholds((0,) * 4 + (4,) + (0,) * 7 + (5,) + (0,) * 7, 1, 4.08 / 9, 0.64)


@pytest.mark.parametrize(
    ("known", "changes", "says"),
    [
        (90, {}, None),
        (91, {}, "GT-known Loc 91.000 is above the share of images with a box 90"),
        (0, {"none": 2}, "chosen thresholds of 11 images"),
        (0, {"mean": 0.41}, "mean threshold 41.000 lies outside its histogram's bins"),
        (0, {"mean": 0.48}, "from 42.222 to 47.222"),
    ],
)
def test_chosen_thresholds_fit_the_table(known, changes, says):
    summary = summary_of(fixed={"GT-known Loc": known})
    summary.chosen = replace(CHOSEN, **changes)
    if says is None:
        check_summary(summary)
        return
    with pytest.raises(EvaluationError, match=says):
        check_summary(summary)


def test_a_fixed_threshold_compares_pixels_in_another_way():
    summary = summary_of(swept=("tight",), fixed={"PIoU": 51}, test_oracle={"PIoU": 50})
    check_summary(summary)
    with pytest.raises(EvaluationError, match=r"PIoU 51\.000 is above"):
        check_summary(summary_of(fullsup={"PIoU": 51}, test_oracle={"PIoU": 50}))


SPREAD = Histogram("tight", "fixed", "all", (0, 0, 0, 4, 0, 0, 6, 0, 0, 0), 52)


@pytest.mark.parametrize(
    ("figures", "changes", "says"),
    [
        ({"GT-known Loc": 60, "mean IoU": 52}, {}, None),
        ({"GT-known Loc": 50}, {}, "GT-known Loc 50.000 is not the histogram's 60"),
        ({"GT-known Loc": 60, "mean IoU": 51}, {}, "above mean IoU 51"),
        ({"GT-known Loc": 60}, {"mean_iou": 47.9}, "outside its histogram's bins"),
        ({"GT-known Loc": 60}, {"mean_iou": 58.1}, "outside its histogram's bins"),
        ({"GT-known Loc": 60}, {"counts": (1, 0, 0, 4, 0, 0, 6, 0, 0, 0)}, "of 11 images"),
    ],
)
def test_histograms_fit_their_figures(figures, changes, says):
    summary = summary_of(fixed=figures, histograms=[replace(SPREAD, **changes)])
    if says is None:
        check_summary(summary)
        return
    with pytest.raises(EvaluationError, match=says):
        check_summary(summary)


def test_an_iou_of_exactly_seven_tenths_is_within_its_bin():
    spread = histogram("tight", "fixed", "all", np.full(10, 0.7, np.float32))
    check_summary(summary_of(fixed={"GT-known Loc": 100}, histograms=[spread]))


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
    results = LocalizationResults(
        image_ids=np.array([str(index) for index in range(images)]),
        labels=np.zeros(images, int),
        top=random.integers(0, 4, (images, 5)),
        sizes=np.full((images, 2), 10),
        boxes=[np.array([[0, 0, 10, 10 * share]], np.float32) for share in random.random(images)],
        annotated_boxes=[np.array([[0, 0, 5, 5]], np.float32)] * images,
        part_iou=np.where(random.random(images) < 0.5, np.nan, 0.5).astype(np.float32),
        curves={"tight": curves},
        chosen_thresholds=random.random(images).astype(np.float32),
    )
    other = replace(
        results.select(np.arange(images) < 1),
        image_ids=np.array(["other"]),
        curves={"tight": BoxCurves(curves.thresholds, largest[:1], every[:1], largest[:1, 0])},
    )
    summary = summarize(results, other, fixed_threshold=0.0, resamples=5, controls=False)
    assert summary.swept == ("tight",)
    check_summary(summary)
